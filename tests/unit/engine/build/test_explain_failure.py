import onnx
import pytest

from pluginkit.engine.build.explain_failure import explain_failure, explain_refusals
from pluginkit.errors import BuildError, ParseError
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.trt.flavour import Flavour

BLOCKED = """<ir_version: 9, opset_import: ["" : 17, "com.microsoft.nchwc" : 1]>
    t (float[1, 8, 4, 4] x) => (float[1, 8, 4, 4] y) {
    r = com.microsoft.nchwc.ReorderInput(x)
    y = com.microsoft.nchwc.ReorderOutput<channels = 8>(r) }"""
QUANTIZED = """<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1]>
    t (float[5, 2, 3] x, int8[1, 3, 16] w, int8[1, 4, 16] r, float[1] s, int8[1] z)
    => (float[5, 1, 2, 4] y)
    { y = com.microsoft.DynamicQuantizeLSTM<hidden_size = 4>(x, w, r, , , , , , s, z, s, z) }"""


@pytest.mark.parametrize(
    ("text", "way"),
    [
        (BLOCKED, "save it with ORT_ENABLE_EXTENDED instead of ORT_ENABLE_ALL."),
        (QUANTIZED, "Leave LSTMs out of the quantization"),
    ],
    ids=["weights in the layout of a CPU", "an LSTM that rounds its state"],
)
def test_what_only_onnxruntime_computes_is_named(text, way):
    result = rewrite_model(onnx.parser.parse_model(text), [])
    error = ParseError("PK520", "the parser refuses it.", cause="unknown")
    explain_refusals(error, result)
    assert way in str(error)


def test_a_convolution_of_a_signal_that_breaks_the_builder_has_a_way_on():
    text = '<ir_version: 9, opset_import: ["" : 17]> t (float[2] x) => (float[2] y) { y = Neg(x) }'
    result = rewrite_model(onnx.parser.parse_model(text), [])
    error = BuildError("PK521", "no engine.", cause="CHECK(nbdims_bias == 4) failed")
    explain_failure(error, result, Flavour("tensorrt_rtx", None, "1.7"))
    assert error.fix == "build with --with WidenConv."
    assert "a convolution of a signal" in error.cause
