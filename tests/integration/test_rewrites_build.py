"""What the rewrites that need no plugin make, in TensorRT's own parser and builder."""

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest

from pluginkit import BuildOptions
from pluginkit.engine import build_engine
from pluginkit.errors import BuildError, ModelError, ParseError
from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.expand_quantization import ExpandQuantizeLinear
from pluginkit.graph_rewrites.widen_recurrent import IsolateRecurrent
from pluginkit.trt.flavour import Flavour
from tests.graph_rewrites.all_samples import ALL_SAMPLES
from tests.graph_rewrites.samples import node_model
from tests.integration.plans import size_of_plan

pytestmark = pytest.mark.trt


@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("name", ALL_SAMPLES)
def test_tensorrt_refuses_a_sample_and_builds_what_the_rewrite_makes_of_it(
    name: str, tmp_path: Path
) -> None:
    sample = ALL_SAMPLES[name]
    if sample.is_refused:
        with pytest.raises((ParseError, BuildError, ModelError), match="PK52[01]|PK44[67]"):
            size_of_plan(sample.model, [], tmp_path)
    assert size_of_plan(sample.model, sample.rewrites, tmp_path) > 0


def test_tensorrt_would_make_int8_of_uint8(rtx: Flavour, tmp_path: Path) -> None:
    """Why QuantizeLinear to uint8 is rewritten although the parser takes it around zero."""
    x = np.zeros(4, np.float32)
    model = node_model("QuantizeLinear", {"x": x, "s": np.float32(1)}, stored=["s"], opset=13)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    given = BuildOptions(flavour=rtx.name, compute_capabilities=[(8, 9)])
    options = {"options": given, "plugins": {}}
    (plain,) = build_engine(path, rewrites=[], **options).manifest.outputs
    (mended,) = build_engine(path, rewrites=[ExpandQuantizeLinear], **options).manifest.outputs
    assert (plain.dtype, mended.dtype) == ("int8", "uint8")


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("op_type", ["GRU", "LSTM"])
def test_a_recurrent_layer_behind_a_cast_of_halves_builds(op_type: str, tmp_path: Path) -> None:
    rows = 15 if op_type == "GRU" else 20
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float16[4, 2, 3] x)
        => (float[4, 1, 2, 5] y) {{ c = Cast<to = 1>(x)
        y = {op_type}<hidden_size = 5>(c, w, r) }}"""
    )
    for name, columns in (("w", 3), ("r", 5)):
        weights = np.full((1, rows, columns), 0.1, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    with pytest.raises(BuildError, match="PK521"):
        size_of_plan(model, [], tmp_path)
    assert size_of_plan(model, [IsolateRecurrent], tmp_path) > 0


@pytest.mark.usefixtures("rtx")
def test_a_recurrent_layer_of_any_length_behind_quantized_rows_builds(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (int64[b, n] at) => (float[n, 1, b, 5] y)
        { rows = Gather(table, at) t = Transpose<perm = [1, 0, 2]>(rows)
        c = DequantizeLinear(t, scale, zero) y = GRU<hidden_size = 5>(c, w, r) }"""
    )
    stored = {
        "table": np.ones((7, 3), np.int8),
        "scale": np.float32(0.1),
        "zero": np.int8(0),
        "w": np.full((1, 15, 3), 0.1, np.float32),
        "r": np.full((1, 15, 5), 0.1, np.float32),
    }
    for name, array in stored.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    shapes = {"at": "1x5,2x6,3x9"}
    with pytest.raises(BuildError, match="PK521"):
        size_of_plan(model, [CarryIntegers], tmp_path, shapes)
    assert size_of_plan(model, [CarryIntegers, IsolateRecurrent], tmp_path, shapes) > 0
