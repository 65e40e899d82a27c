"""Data in external files: of Constant nodes, of int8 weights, and of what rewrites have to know."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.errors import ModelError
from pluginkit.onnx.model.model_file import load_model
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.unit.onnx.models import INT64, model_of, value

RNG = np.random.default_rng(5)
WEIGHTS = RNG.standard_normal((4, 4)).astype(np.float32)
X = RNG.standard_normal((2, 4)).astype(np.float32)


def external(tensor, folder, location="w.bin"):
    """Move a tensor's data to the end of a file."""
    file = folder / location
    file.parent.mkdir(parents=True, exist_ok=True)
    offset = file.stat().st_size if file.exists() else 0
    content = numpy_helper.to_array(tensor).tobytes()
    with file.open("ab") as out:
        out.write(content)
    moved = onnx.TensorProto(
        name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, data_location=1
    )
    for key, entry in (("location", location), ("offset", offset), ("length", len(content))):
        moved.external_data.add(key=key, value=str(entry))
    return moved


def saved(model, folder):
    folder.mkdir(exist_ok=True)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def constant(name, array, folder, location="w.bin"):
    tensor = external(numpy_helper.from_array(array), folder, location)
    return helper.make_node("Constant", [], [name], value=tensor)


MATMUL = helper.make_node("MatMul", ["x", "w"], ["m"])
#: A node that a rewrite replaces.
CROP = helper.make_node("CenterCropPad", ["m", "to"], ["y"], axes=[1])


@pytest.mark.parametrize("place", ["main", "branch", "function"])
def test_constants_in_external_files_are_found_from_any_working_directory(
    place, tmp_path, monkeypatch
):
    folder = tmp_path / "model"
    nodes = [constant("w", WEIGHTS, folder, "data/w.bin"), MATMUL]
    functions = []
    if place == "branch":
        body = helper.make_graph(nodes, "b", [], [value("m", [2, 4])])
        nodes = [helper.make_node("If", ["c"], ["m"], then_branch=body, else_branch=body)]
    elif place == "function":
        opsets = [helper.make_opsetid("", 18)]
        functions = [helper.make_function("f", "F", ["x"], ["m"], nodes, opsets)]
        nodes = [helper.make_node("F", ["x"], ["m"], domain="f")]
    model = model_of(
        [*nodes, CROP],
        [value("x", [2, 4])],
        [value("y", [2, 6])],
        [
            numpy_helper.from_array(np.array([6]), "to"),
            numpy_helper.from_array(np.array(True), "c"),
        ],
        functions=functions,
    )
    path = saved(model, folder)
    monkeypatch.chdir(tmp_path)
    result = rewrite_model(load_model(path), find_rewrites())
    assert result.applied[-1].rewrite == "ExpandCenterCropPad"
    assert not list(result.model.functions)
    got = run_model(result.model, {"x": X}, result.plugins, base_dir=folder)["y"]
    np.testing.assert_allclose(got, np.pad(X @ WEIGHTS, ((0, 0), (1, 1))), rtol=1e-5, atol=1e-6)


def test_small_tensors_of_one_axis_are_read_and_weights_are_not(tmp_path):
    stored = {
        "k": np.array([7]), "zero": np.int8(3), "axes": np.arange(256), "w": WEIGHTS,
        "long": np.arange(257), "half": np.ones(3, np.float16), "flags": np.array([True, False]),
    }  # fmt: skip
    tensors = [
        external(numpy_helper.from_array(np.asarray(array), name), tmp_path)
        for name, array in stored.items()
    ]
    identity = helper.make_node("Identity", ["w"], ["y"])
    path = saved(model_of([identity], [], [value("y", [4, 4])], tensors), tmp_path)
    model = load_model(path)
    read = {each.name for each in model.graph.initializer if not each.external_data}
    assert read == {"k", "zero", "axes", "half", "flags"}
    for tensor in model.graph.initializer:
        if tensor.name in read:
            np.testing.assert_array_equal(numpy_helper.to_array(tensor), stored[tensor.name])


def test_a_tensor_with_too_little_data_is_refused(tmp_path):
    tensor = external(numpy_helper.from_array(np.arange(4), "k"), tmp_path)
    tensor.dims[0] = 5
    path = saved(
        model_of(
            [helper.make_node("Identity", ["k"], ["y"])], [], [value("y", [5], INT64)], [tensor]
        ),
        tmp_path,
    )
    (tmp_path / "w.bin").write_bytes(bytes(64))  # of which another tensor has the rest
    with pytest.raises(ModelError, match="PK404 .* has 32 bytes; expected at least 40"):
        load_model(path)


QUANTIZED = {
    "DequantizeLinear": (
        [
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            helper.make_node("MatMul", ["x", "d"], ["y"]),
        ],
        X,
        TensorProto.FLOAT,
    ),
    "MatMulInteger": (
        [helper.make_node("MatMulInteger", ["x", "q", "", "zero"], ["y"])],
        RNG.integers(-128, 128, (2, 4)).astype(np.int8),
        TensorProto.INT32,
    ),
    "Add": (
        [
            helper.make_node("Add", ["x", "q"], ["s"]),
            helper.make_node("Cast", ["s"], ["y"], to=TensorProto.INT32),
        ],
        RNG.integers(-128, 128, (4, 4)).astype(np.int8),
        TensorProto.INT32,
    ),
}


@pytest.mark.parametrize("name", QUANTIZED)
def test_int8_weights_in_external_files_are_only_dequantized(name, tmp_path):
    """TensorRT takes stored int8 before DequantizeLinear only."""
    nodes, x, dtype = QUANTIZED[name]
    weights = numpy_helper.from_array(RNG.integers(-128, 128, (4, 4)).astype(np.int8), "q")
    stored = [
        external(weights, tmp_path),
        numpy_helper.from_array(np.float32(0.1), "scale"),
        numpy_helper.from_array(np.int8(3), "zero"),
    ]
    inputs = [value("x", list(x.shape), helper.np_dtype_to_tensor_dtype(x.dtype))]
    path = saved(model_of(nodes, inputs, [value("y", [len(x), 4], dtype)], stored), tmp_path)
    result = rewrite_model(load_model(path), find_rewrites())
    readers = [node for node in result.model.graph.node if "q" in node.input]
    assert {node.op_type for node in readers} == {"DequantizeLinear"}
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)["y"]
    q = numpy_helper.to_array(weights).astype(np.int32)
    expected = {
        "DequantizeLinear": lambda: X @ ((q - 3) * np.float32(0.1)),
        "MatMulInteger": lambda: x.astype(np.int32) @ (q - 3),
        "Add": lambda: (x + numpy_helper.to_array(weights)).astype(np.int32),  # int8 wraps around
    }[name]()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
