"""Default ranges that a model itself rules out are changed until TensorRT builds it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit import BuildOptions
from pluginkit.engine import build_engine
from pluginkit.errors import BuildError

pytestmark = pytest.mark.trt
RTX = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])


def model(path: Path, nodes: list[onnx.NodeProto], inputs: Any, **stored: Any) -> Path:
    values = [
        helper.make_tensor_value_info(name, elem_type, shape)
        for name, (elem_type, shape) in inputs.items()
    ]
    rank = len(values[0].type.tensor_type.shape.dim)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)
    tensors = [numpy_helper.from_array(np.asarray(each), name) for name, each in stored.items()]
    graph = helper.make_graph(nodes, "g", values, [output], tensors)
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def ranges(path: Path, **options: Any) -> dict[str, list[tuple[int, ...]]]:
    result = build_engine(path, options=RTX, **options)
    assert result.plan_path.stat().st_size > 0
    (profile,) = result.profiles
    return {name: [*extent] for name, extent in profile.ranges.items()}


def test_a_position_embedding_fixes_the_length(tmp_path: Path) -> None:
    path = model(
        tmp_path / "m.onnx",
        [helper.make_node("Add", ["x", "positions"], ["y"])],
        {"x": (TensorProto.FLOAT, ["batch", "seq", 4])},
        positions=np.ones((1, 16, 4), np.float32),
    )
    assert ranges(path) == {"x": [(1, 16, 4), (4, 16, 4), (16, 16, 4)]}


def test_convolutions_want_enough_samples(tmp_path: Path) -> None:
    path = model(
        tmp_path / "m.onnx",
        [
            helper.make_node("Conv", ["x", "w"], ["a"], strides=[5]),
            helper.make_node("Conv", ["a", "w"], ["y"], strides=[5]),
        ],
        {"x": (TensorProto.FLOAT, ["batch", 1, "samples"])},
        w=np.ones((1, 1, 30), np.float32),
    )
    low, opt, high = ranges(path)["x"]
    assert (low[0], opt[0], high[0]) == (1, 4, 16)
    assert 30 + 5 * 29 <= opt[2] <= high[2]


def test_a_plugins_check_bounds_a_dimension(tmp_path: Path) -> None:
    path = model(
        tmp_path / "m.onnx",
        [helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], axis=1, reduction="add")],
        {
            "x": (TensorProto.FLOAT, ["n", 4]),
            "i": (TensorProto.INT64, [5, 4]),
            "u": (TensorProto.FLOAT, [5, 4]),
        },
    )
    assert ranges(path) == {"x": [(5, 4), (64, 4), (1024, 4)]}
    with pytest.raises(BuildError, match=r"PK522 ScatterElements refuses .* min shapes x \[1, 4\]"):
        build_engine(path, options=RTX, shapes={"x": "1x4,8x4,9x4"})


def test_updates_must_be_as_long_as_static_indices(tmp_path: Path) -> None:
    path = model(
        tmp_path / "m.onnx",
        [helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], axis=0, reduction="max")],
        {
            "x": (TensorProto.FLOAT, [10]),
            "i": (TensorProto.INT64, [20]),
            "u": (TensorProto.FLOAT, ["n"]),
        },
    )
    assert ranges(path) == {"u": [(20,), (20,), (20,)]}
