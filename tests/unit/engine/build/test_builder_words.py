"""What TensorRT's builder complains of, in ONNX's terms."""

import onnx
import pytest

from pluginkit.discovery import find_plugins
from pluginkit.engine.build.builder_words import complaint_in

MODEL = onnx.parser.parse_model(
    """
    <ir_version: 10, opset_import: ["": 18, "pluginkit": 1]>
    g (float[n] x, bool c, int64 k, float[1, 2, 5] v, float[2, 3, 3] w)
    => (float[n] y, int64[1, m] i) {
        ["/p/If"] y = If (c) <
            then_branch = t () => (float[n] t) { [inner] t = Relu (x) },
            else_branch = e () => (float[n] e) { e = Identity (x) }
        >
        [found] i, count = pluginkit.NonZero_PK
            <plugin_version = "1", plugin_namespace = "pluginkit"> (x)
        [up] u = ConvTranspose <strides = [2], dilations = [2]> (v, w)
        [loop] r = Loop (k, c, x) <
            body = b (int64 at, bool go, float[n] s) => (bool on, float[n] z) {
                on = Identity (go)
                z = Relu (s)
            }
        >
    }
    """
)


@pytest.mark.parametrize(
    ("words", "where", "cause"),
    [
        (
            "[graphScope.cpp::makeScopeNodesContiguous::812] Error Code 2: Internal Error",
            "main graph, node If '/p/If', main graph, node Loop 'loop'",
            "in an order",
        ),
        (
            "[graphScope.cpp::analyze::463] Error Code 2: Internal Error (Assertion "
            "mScopedOp2Scopes.contains(childScopedOp) failed.",
            "main graph, node If '/p/If'",
            "a Loop inside an If",
        ),
        (
            "(Assertion nodePos.at(tail) < nodePos.at(head) failed. Backedge detected from "
            "/p/If_OutputLayer[size] to (Unnamed Layer* 22) [Recurrence].",
            "main graph, node If '/p/If'",
            "an If in a loop",
        ),
        (
            "(Assertion x failed. In convertExplicitDDSPluginToImplicit)",
            "NonZero_PK 'found'",
            "size",
        ),
        (
            "IConditionalOutputLayer /p/If_OutputLayer: Must have inputs with equal ranks when "
            "condition is not a build-time constant.",
            "main graph, node If '/p/If'",
            "different ranks",
        ),
        (
            "Shape Error (broadcast dimensions must be conformable In op at shapeContext.cpp:2699)",
            "",
            "the export stored how many elements its example had",
        ),
        (
            "Could not find any implementation for node {ForeignNode[inner]}.",
            "main graph / If '/p/If'.then_branch, node Relu 'inner'",
            "no kernel",
        ),
        (
            "MyelinCheckException: cudnn_impl.cpp:294: CHECK(false) failed. Strided & Dilated "
            "Deconv are currently not supported",
            "node ConvTranspose 'up'",
            "strides and dilations",
        ),
        (
            "MyelinCheckException: myl_fusion_heuristics.cpp:1174: CHECK(ssa_validation()) failed.",
            "",
            "combination of nodes",
        ),
        (
            "Myelin ([tensor_allocator.cpp:526: do_allocation] __mye2294-(f32[9223372036854775807,"
            "1][1,1]so[1,0], mem_prop=0, align=128) dimensions have overflown;",
            "",
            "a size follows from data",
        ),
        ("Error Code 4 (inner: at least 2 dimensions are required)", "node Relu 'inner'", ""),
    ],
)
def test_words_are_mapped_to_nodes_a_cause_and_a_way_on(words, where, cause):
    found = complaint_in(words, MODEL, find_plugins())
    assert found is not None
    assert where in found.where
    assert cause in found.cause
    assert bool(found.fix) == bool(cause)


def test_the_if_that_holds_another_is_named():
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["": 18]>
        g (float[n] x, bool c, bool d) => (float[n] y) {
            [plain] z = If (c) <
                then_branch = p () => (float[n] p) { p = Relu (x) },
                else_branch = q () => (float[n] q) { q = Identity (x) }
            >
            [outer] y = If (c) <
                then_branch = t () => (float[n] t) { [inner] t = If (d) <
                    then_branch = u () => (float[n] u) { u = Relu (z) },
                    else_branch = v () => (float[n] v) { v = Identity (z) }
                > },
                else_branch = e () => (float[n] e) { e = Identity (z) }
            >
        }
        """)
    words = "utils.cpp:3613: CHECK(static_cast<size_t>(i) < op->input_size()) failed."
    found = complaint_in(words, model, {})
    assert found is not None
    assert found.where == "main graph, node If 'outer'"
    assert "in a branch of another" in found.cause


def test_words_that_say_nothing_are_left_alone():
    assert complaint_in("Error Code 9: Skipping tactic x at y.cpp:12", MODEL, {}) is None
