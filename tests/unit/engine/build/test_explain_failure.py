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


SEARCH = """<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1]>
    t (int32[1, 4] x, int32[1] n) => (int32[1, 2, 8] y)
    { y = com.microsoft.BeamSearch(x, n, , n, n) }"""
IMAGE = """<ir_version: 9, opset_import: ["" : 20]>
    t (uint8[n] x) => (uint8[h, w, 3] y) { y = ImageDecoder(x) }"""
COLLECTING = """<ir_version: 9, opset_import: ["" : 17]>
    t (float[2] x) => (float[2] last, float[n, 2] all)
    <int64 most = {9223372036854775807}, bool go = {1}, float[1] limit = {9}> {
    last, all = Loop (most, go, x) <body = b (int64 i, bool c, float[2] s)
      => (bool d, float[2] t, float[2] u)
      { t = Add(s, s) u = Identity(t) m = ReduceMax<keepdims = 0>(t)
        few = Squeeze(limit) d = Less(m, few) }> }"""
COUNTLESS = COLLECTING.replace("int64 most = {9223372036854775807}, ", "").replace(
    "last, all =", "most = Constant<value_int = 9223372036854775807>() last, all ="
)
INNER = """<ir_version: 9, opset_import: ["" : 17]>
    t (float[2] x, bool flag) => (float[n, 2] all)
    <int64 most = {9223372036854775807}, bool go = {1}> {
    all = If (flag) <then_branch = o () => (float[k, 2] some) {
        last, some = Loop (most, go, x) <body = b (int64 i, bool c, float[2] s)
          => (bool d, float[2] t, float[2] u)
          { t = Add(s, s) u = Identity(t) d = Cast<to = 9>(t) }> },
      else_branch = e () => (float[1, 2] one)
      { at = Constant<value_ints = [0]>() one = Unsqueeze(x, at) }> }"""
WORD = """<ir_version: 9, opset_import: ["" : 17]>
    t (string[2] x, bool flag) => (int64[2] y) {
    y = If (flag) <then_branch = b () => (int64[2] z) { s = Shape(x) z = Add(s, s) },
      else_branch = e () => (int64[2] o) { o = Constant<value_ints = [0, 0]>() }> }"""
SPLIT = """<ir_version: 9, opset_import: ["" : 17]>
    t (float[n, 3] x, int64[n] sizes) => (float[n, 3] y) <int64 zero = {0}>
    { s = SplitToSequence<axis = 0>(x, sizes) y = SequenceAt(s, zero) }"""


@pytest.mark.parametrize(
    ("text", "way"),
    [
        (COLLECTING, "Let the loop run a known number of times"),
        (COUNTLESS, "Let the loop run a known number of times"),
        (INNER, "Let the loop run a known number of times"),
        (WORD, "Encode words as integers before the engine."),
        (SPLIT, "pad them to one size"),
        (BLOCKED, "save it with ORT_ENABLE_EXTENDED instead of ORT_ENABLE_ALL."),
        (QUANTIZED, "Leave LSTMs out of the quantization"),
        (SEARCH, "let the application search."),
        (IMAGE, "Decode images before the engine."),
    ],
    ids=[
        "a loop that only a condition ends",
        "a loop whose limit is a Constant",
        "a loop whose limit the graph around it stores",
        "a word of the graph around",
        "parts of any size",
        "weights in the layout of a CPU",
        "an LSTM that rounds its state",
        "a search that runs a decoder",
        "a compressed image",
    ],
)
def test_what_no_plugin_could_take_has_a_way_on(text, way):
    result = rewrite_model(onnx.parser.parse_model(text), [])
    error = ParseError("PK520", "the parser refuses it.", cause="unknown")
    explain_refusals(error, result, "tensorrt_rtx")
    assert way in error.cause
    assert error.fix == "change the model as the cause says."


def test_a_node_that_a_shipped_plugin_refuses_needs_no_other_plugin():
    text = """<ir_version: 9, opset_import: ["" : 18]> g (float[3] x, int64[3] i) => (float[3] y)
        { y = ScatterElements <reduction = "ADD"> (x, i, x) }"""
    result = rewrite_model(onnx.parser.parse_model(text))
    error = ParseError("PK520", "it is refused.", cause="ScatterElements 'y': no", fix="a plugin")
    explain_refusals(error, result, "tensorrt_rtx")
    assert "'reduction' is 'ADD'; expected 'none' | 'add'" in error.cause
    assert error.fix == "change the model as the cause says."


def test_a_loop_of_a_known_length_has_none():
    text = COLLECTING.replace("9223372036854775807", "8")
    result = rewrite_model(onnx.parser.parse_model(text), [])
    error = ParseError("PK520", "the parser refuses it.", cause="unknown", fix="a plugin")
    explain_refusals(error, result, "tensorrt_rtx")
    assert (error.cause, error.fix) == ("unknown", "a plugin")


SIGNAL = """<ir_version: 9, opset_import: ["" : 20]>
    t (float[1, 2, 5] x, float[3, 2, 3] w) => (float[1, 3, 3] y) { y = Conv(x, w) }"""
SAMPLED = """<ir_version: 9, opset_import: ["" : 20]>
    t (float[1, 2, 5, 5] x, float[1, 3, 3, 2] g) => (float[1, 2, 3, 3] y)
    { y = GridSample(x, g) }"""
ROUNDED = """<ir_version: 9, opset_import: ["" : 20]>
    t (float x) => (float y) { y = Ceil(x) }"""
SCATTERED = """<ir_version: 9, opset_import: ["" : 20]>
    t (float[n] x, int64[m] at, float[m] u) => (float[n] y) { y = ScatterElements(x, at, u) }"""


@pytest.mark.parametrize(
    ("text", "words", "rewrite", "cause"),
    [
        (
            *(ROUNDED, "MyelinCheckException: value.h:245: value 2 was not a shape value"),
            *("RoundUpInIntegers", "divided and rounded up"),
        ),
        (SIGNAL, "CHECK(nbdims_bias == 4) failed", "WidenConv", "a convolution of a signal"),
        (
            *(SAMPLED, "CHECK(bb->owner()->ssa_validation()) failed", "ReplaceEveryGridSample"),
            "sampled and concatenated",
        ),
        (
            SCATTERED,
            "f32[14, 16] = scatter_elements(/x, /at, /u), axis=0\nError is:\nThe extent of "
            "dimension i (0) of indices (28) must be less than or equal to the extent of data (14)",
            "ReplaceEveryScatterElements",
            "more indices than elements",
        ),
        (
            SCATTERED,
            "f32[1] = scatter_elements(/x, /at, /u), axis=0\nError is:\nThe extent of dimension i "
            "(0) of indices (__mye3129_proxy={min=4, max=36}) must be less than or equal to)",
            "ReplaceEveryScatterElements",
            "more indices than elements",
        ),
    ],
)
def test_nodes_that_break_the_builder_have_a_way_on(text, words, rewrite, cause):
    result = rewrite_model(onnx.parser.parse_model(text), [])
    error = BuildError("PK521", "no engine.", cause=words)
    explain_failure(error, result, Flavour("tensorrt_rtx", None, "1.7"))
    assert (error.fix, error.rewrite) == (f"build with --with {rewrite}.", rewrite)
    assert cause in error.cause


def test_a_rewrite_that_has_nothing_to_change_is_not_named():
    result = rewrite_model(onnx.parser.parse_model(SIGNAL), [])
    error = BuildError("PK521", "no engine.", cause="MyelinCheckException: ssa_validation() failed")
    explain_failure(error, result, Flavour("tensorrt_rtx", None, "1.7"))
    assert error.rewrite is None
    assert "fused nodes" in error.cause


def test_an_if_that_breaks_the_builder_is_named_with_what_decides_it():
    text = """<ir_version: 9, opset_import: ["" : 17]>
        t (float[2] x, bool c) => (float[2] y)
        { y = If (c) <then_branch = a () => (u) { u = Neg(x) },
                      else_branch = b () => (v) { v = Exp(x) }> }"""
    result = rewrite_model(onnx.parser.parse_model(text), [])
    words = "Assertion tScope.getType() != ScopeType::kUNDEFINED failed. In analyze"
    error = BuildError("PK521", "no engine.", cause=words)
    explain_failure(error, result, Flavour("tensorrt_rtx", None, "1.7"))
    assert error.where.startswith("main graph, node If")
    assert "make the input an initializer with that value" in error.fix


def test_an_activation_that_breaks_the_builder_is_named():
    text = """<ir_version: 9, opset_import: ["" : 17]>
        t (float[5, 2, 3] x, float[1, 4, 3] w, float[1, 4, 4] r) => (float[5, 1, 2, 4] y)
        { y = RNN<hidden_size = 4, activations = ["Elu"]>(x, w, r) }"""
    result = rewrite_model(onnx.parser.parse_model(text), [])
    error = BuildError("PK521", "no engine.", cause="node_of_y : f32[1, 2, 4] = elu(x, a)")
    explain_failure(error, result, Flavour("tensorrt_rtx", None, "1.7"))
    assert "the activation Elu" in error.cause
    assert "RNN" in error.where
