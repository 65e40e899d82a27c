"""TensorRT-RTX builds models with a precision in them, for every capability of the tables."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.cli.main import main
from pluginkit.engine import BuildOptions, build_engine
from pluginkit.errors import BuildError, UsageError
from pluginkit.onnx import plugin_node
from pluginkit.onnx.precision.precision_options import Precision, Quantization
from tests.unit.onnx.models import BOOL, INT64, model_of, value
from tests.unit.onnx.precision.float_models import cnn, node, transformer
from tests.unit.onnx.precision.soft_sign import SoftSign

pytestmark = pytest.mark.trt

SAGE = Path(__file__).parents[2] / "examples" / "models" / "sage_dyn.onnx"
ALL = ["8.6", "8.9", "12.0"]
Capture = pytest.CaptureFixture[str]


def model_file(name: str, folder: Path) -> Path:
    path = folder / f"{name}.onnx"
    if name == "gnn":
        shutil.copy(SAGE, path)
    else:
        onnx.save({"cnn": cnn, "transformer": transformer}[name](), path)
    return path


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["cnn", "gnn", "transformer"])
def test_models_build_in_16_bits(name: str, dtype: str, tmp_path: Path) -> None:
    options = BuildOptions(
        flavour="tensorrt_rtx", compute_capabilities=ALL, precision=Precision(dtype)
    )
    result = build_engine(model_file(name, tmp_path), options=options)
    assert result.precision is not None
    assert result.precision.converted >= 8
    assert list(result.manifest.compute_capabilities) == ALL
    assert {tensor.dtype for tensor in result.manifest.outputs} == {"float32"}
    assert result.plan_path.stat().st_size == result.manifest.plan_bytes


@pytest.mark.parametrize("name", ["cnn", "gnn", "transformer"])
def test_models_build_in_int8(name: str, tmp_path: Path, capsys: Capture) -> None:
    shapes = {
        "cnn": {"x": (2, 3, 16, 16)},
        "gnn": {"x": (9, 16), "edge_index": (2, 20)},
        "transformer": {"x": (1, 4, 32), "mask": (1, 4)},
    }
    rng = np.random.default_rng(0)
    arrays = {
        each: rng.standard_normal(shape, np.float32) if each == "x" else rng.integers(0, 2, shape)
        for each, shape in shapes[name].items()
    }
    np.savez(tmp_path / "inputs.npz", **arrays)
    argv = ["build", str(model_file(name, tmp_path)), "--compute-capability", ",".join(ALL)]
    argv += ["--precision", "int8", "--calibrate", str(tmp_path / "inputs.npz"), "--json"]
    assert main([*argv, "--tensorrt", "tensorrt_rtx"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["manifest"]["compute_capabilities"] == ALL
    assert report["precision"]["converted"] >= 3
    assert report["precision"]["losses"][0]["signal_to_noise_db"] > 20


def test_float16_builds_for_every_gpu_and_float32_not_for_turing(tmp_path: Path) -> None:
    path = model_file("gnn", tmp_path)
    every = ["7.5", "8.0", "8.6", "8.9", "12.0", "12.1"]
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=every)
    result = build_engine(path, options=replace(options, precision=Precision("float16")))
    assert list(result.manifest.compute_capabilities) == every
    with pytest.raises(
        BuildError, match="no float32 products for compute capability 7.5"
    ) as caught:
        build_engine(path, options=options)
    assert "add --precision float16" in str(caught.value.fix)
    with pytest.raises(BuildError, match="7.5 has neither bfloat16 nor"):
        build_engine(path, options=replace(options, precision=Precision("bfloat16")))
    later = replace(options, compute_capabilities=every[1:])
    assert len(build_engine(path, options=later).manifest.compute_capabilities) == 5


def test_int8_and_float16_build_in_one_model(tmp_path: Path) -> None:
    path = model_file("cnn", tmp_path)
    x = np.random.default_rng(0).standard_normal((2, 3, 16, 16), np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    quantized, mixed = tmp_path / "8.onnx", tmp_path / "16.onnx"
    argv = ["rewrite", str(path), "-o", str(quantized), "--precision", "int8"]
    assert main([*argv, "--calibrate", str(tmp_path / "x.npz")]) == 0
    assert main(["rewrite", str(quantized), "-o", str(mixed), "--precision", "float16"]) == 0
    graph = onnx.load(mixed).graph
    types = {each.name: each.data_type for each in graph.initializer}
    assert types["w2_quantized"] == TensorProto.INT8
    assert types["b2_float16"] == TensorProto.FLOAT16
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=ALL)
    assert build_engine(mixed, options=options).manifest.plan_bytes > 0
    tolerance = ["--rtol", "0.1", "--atol", "0.1", "--inputs", str(tmp_path / "x.npz")]
    assert main(["compare", str(path), str(mixed), *tolerance]) == 0


def loop_with_a_plugin() -> onnx.ModelProto:
    """y = SoftSign(y @ w) three times."""
    body = helper.make_graph(
        [
            node("Identity", ["go"], "go_on"),
            node("MatMul", ["state", "w"], "m"),
            plugin_node(SoftSign(), ["m"], ["next"], "soft"),
        ],
        "body",
        [value("at", [], INT64), value("go", [], BOOL), value("state", ["n", 4])],
        [value("go_on", [], BOOL), value("next", ["n", 4])],
    )
    stored = [
        numpy_helper.from_array(np.array(3), "trips"),
        numpy_helper.from_array(2 * np.eye(4, dtype=np.float32), "w"),
    ]
    loop = helper.make_node("Loop", ["trips", "", "x"], ["y"], name="loop", body=body)
    model = model_of([loop], [value("x", ["n", 4])], [value("y", ["n", 4])], stored)
    model.opset_import.add(domain="pluginkit", version=1)
    return model


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_a_body_with_a_plugin_builds_in_fewer_bits(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "loop.onnx"
    onnx.save(loop_with_a_plugin(), path)
    feeds = {"x": np.linspace(-2, 2, 8, dtype=np.float32).reshape(2, 4)}
    wanted = Quantization(inputs=[feeds]) if kind == "int8" else Precision("float16")
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=ALL, precision=wanted)
    result = build_engine(path, options=options, plugins={SoftSign.spec.key: SoftSign})
    assert result.precision is not None
    assert (result.precision.converted, result.precision.kept) == (2, [])
    assert all(loss.signal_to_noise_db > 30 for loss in result.precision.losses)
    ((soft,),) = [plugin.nodes for plugin in result.manifest.plugins]
    assert (soft.attributes["x_scale"] != 1) == (kind == "int8")
    assert result.plan_path.stat().st_size == result.manifest.plan_bytes


@pytest.mark.parametrize(
    ("kind", "first", "too_old"),
    [("INT4", "8.6", ""), ("FLOAT8E4M3FN", "8.9", "8.6"), ("FLOAT4E2M1", "12.0", "8.9")],
)
def test_weights_of_four_and_eight_bits_build_as_they_are(
    kind: str, first: str, too_old: str, tmp_path: Path
) -> None:
    numbers = np.arange(4096) % 7 - 3
    weight = helper.make_tensor("w", getattr(TensorProto, kind), [64, 64], numbers.astype(float))
    size = {"INT4": 32, "FLOAT4E2M1": 16}.get(kind)
    shape = () if size is None else (64 // size, 64)
    scale = numpy_helper.from_array(np.full(shape, 0.5, np.float32), "scale")
    block = {} if size is None else {"axis": 0, "block_size": size}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale"], ["d"], name="dequantize", **block),
        helper.make_node("MatMul", ["x", "d"], ["y"], name="product"),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 64]) for name in "xy")
    graph = helper.make_graph(nodes, "graph", [x], [y], [weight, scale])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)]), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[first])
    assert build_engine(path, options=options).manifest.plan_bytes > 0
    options = replace(options, precision=Precision("float16"))
    assert build_engine(path, options=options).manifest.plan_bytes > 0
    if too_old:
        with pytest.raises(BuildError, match="float8 begins with 8.9 and float4 with 12.0"):
            build_engine(path, options=replace(options, compute_capabilities=[too_old]))


def test_a_build_converts_inputs_and_outputs_on_request(tmp_path: Path) -> None:
    path = model_file("cnn", tmp_path)
    argv = ["build", str(path), "--precision", "float16", "--convert-io", "--keep-ops", "Gemm"]
    assert main([*argv, "--compute-capability", "8.9", "--tensorrt", "tensorrt_rtx"]) == 0
    manifest = json.loads((tmp_path / "cnn.plan.json").read_text())
    assert [each["dtype"] for each in manifest["inputs"] + manifest["outputs"]] == [
        "float16",
        "float16",
    ]


def test_the_types_are_either_in_the_model_or_for_tensorrt_to_choose(tmp_path: Path) -> None:
    options = BuildOptions(flavour="tensorrt_rtx", fp16=True, precision=Precision("float16"))
    with pytest.raises(UsageError) as caught:
        build_engine(model_file("cnn", tmp_path), options=options)
    assert caught.value.code == "PK513"
    assert caught.value.fix == "add --precision float16, which puts it into the model."
