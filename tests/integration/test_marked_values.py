"""``build --mark``: values inside a model become outputs of the real plan."""

from pathlib import Path
from typing import Any

import onnx
import pytest

from pluginkit.engine import BuildOptions, build_engine, build_network
from pluginkit.errors import UsageError

pytestmark = pytest.mark.trt

LOOPED = """
    <ir_version: 10, opset_import: ["" : 18]> g (float[2] x) => (float[2] y)
    <int64 n = {3}, bool go = {1}, float[2] c = {1.0, 2.0}>
    {
        a = Mul(x, c)
        l = Loop(n, go, a) <body = b (int64 i, bool k, float[2] state) => (bool o, float[2] t)
            { o = Identity(k)  inner = Add(state, state)  t = Relu(inner) }>
        s = Shape(l)
        y = Neg(l)
    }
"""


def marked(folder: Path, *patterns: str) -> list[str]:
    onnx.save(onnx.parser.parse_model(LOOPED), folder / "m.onnx")
    options: dict[str, Any] = {"compute_capabilities": ["8.9"], "mark": patterns}
    result = build_engine(folder / "m.onnx", options=BuildOptions(**options))
    return [tensor.name for tensor in result.manifest.outputs]


def test_values_of_the_main_graph_are_marked_after_the_outputs(tmp_path: Path) -> None:
    assert marked(tmp_path) == ["y"]
    assert marked(tmp_path, "a", "a*") == ["y", "a"]
    assert marked(tmp_path, "*") == ["y", "a", "l", "s"]


def test_what_tensorrt_does_not_compute_is_refused(tmp_path: Path) -> None:
    for name in ("inner", "c", "none"):
        with pytest.raises(UsageError, match=f"PK546 --mark '{name}'.* there are a, l, s, y"):
            marked(tmp_path, name)


def test_a_script_marks_its_outputs_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="PK513 precision, mark and standalone"):
        build_network(tmp_path / "net.py", options=BuildOptions(mark=["*"]))
