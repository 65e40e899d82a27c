"""Rewriting a whole model: what is applied, refused, kept and checked."""

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import helper, numpy_helper

from pluginkit.errors import ModelError, RewriteError
from pluginkit.onnx.model.model_file import load_model
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.replacement import Replacement
from pluginkit.onnx.rewriting.rewrite import Constant, Op, Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.rewriting.rewrite_outcomes import AppliedRewrite, RefusedRewrite
from tests.unit.onnx.models import (
    BOOL,
    INT64,
    MODELS,
    Affine,
    FuseSilu,
    Silu,
    model_of,
    silu_nodes,
    value,
)
from tests.unit.onnx.rewriting.rewritten_models import (
    assert_same_outputs,
    broken_rewrite,
    declared_type,
    op_types,
    silu_model,
)


def test_a_match_becomes_the_plugin_node(tmp_path):
    model = silu_model()
    before = model.SerializeToString()
    result = rewrite_model(model, [FuseSilu])
    assert op_types(result.model) == ["Silu_PK"]
    (node,) = result.model.graph.node
    assert (node.name, list(node.input), list(node.output)) == ("mul", ["x"], ["y"])
    (applied,) = result.applied
    assert applied == AppliedRewrite("FuseSilu", "main graph", "mul", "y", ("Silu_PK",))
    assert [(each.domain, each.version) for each in result.model.opset_import] == [
        ("", 18),
        ("pluginkit", 1),
    ]
    assert model.SerializeToString() == before
    assert_same_outputs(
        model, result, {"x": np.linspace(-3, 3, 12, dtype="f").reshape(3, 4)}, tmp_path
    )


def test_applied_twice_changes_nothing():
    once = rewrite_model(silu_model(), [FuseSilu])
    twice = rewrite_model(once.model, [FuseSilu])
    assert twice.model == once.model
    assert twice.applied == twice.refused == []


def test_in_place_the_model_itself_is_changed():
    model = silu_model()
    expected = rewrite_model(model, [FuseSilu])
    result = rewrite_model(model, [FuseSilu], in_place=True)
    assert result.model is model
    assert model == expected.model
    assert result.applied == expected.applied


def test_in_place_a_result_that_the_checker_refuses_is_known_from_a_bad_original():
    nonsense = broken_rewrite(lambda self, m: gs.Node("Gemm", inputs=m.inputs, outputs=m.outputs))
    for extra, error in ((None, RewriteError), ("NoSuchOp", ModelError)):
        relu = [helper.make_node("Relu", ["x"], ["y"])]
        model = model_of(relu, [value("x", [4])], [value("y", [4])])
        if extra:
            model.graph.node.add(op_type=extra, input=["x"], output=["z"])
        with pytest.raises(error):
            rewrite_model(model, [nonsense], in_place=True)


def test_inputs_and_outputs_keep_names_types_and_order():
    inputs = [value("unused", ["k"], INT64), value("x", ["n", 4]), value("z", [1])]
    outputs = [value("late", ["n", 4]), value("y", ["n", 4]), value("x", ["n", 4])]
    nodes = [*silu_nodes("x", "y"), helper.make_node("Add", ["y", "z"], ["late"])]
    model = model_of(nodes, inputs, outputs)
    result = rewrite_model(model, [FuseSilu])
    assert len(result.applied) == 1
    assert list(result.model.graph.input) == inputs
    assert list(result.model.graph.output) == outputs


def test_initializers_that_several_nodes_and_bodies_read_stay_as_they_are(tmp_path):
    class ScaleByTwo(Rewrite):
        """x * 2 -> Affine_PK(x, a=2)."""

        plugin = Affine
        pattern = Op("Mul", "x", Constant("two", value=2), commutative=True)

        def rewrite(self, match):
            return match.plugin_node(Affine(a=2.0), [match["x"], None, None])

    double = helper.make_node("Mul", ["x", "two"], ["b"], name="inside")
    body = helper.make_graph([double], "body", [], [value("b", [4])])
    nodes = [
        helper.make_node("Mul", ["two", "x"], ["first"], name="first"),
        helper.make_node("Mul", ["first", "two"], ["second"], name="second"),
        helper.make_node("Add", ["second", "two"], ["sum"], name="sum"),
        helper.make_node("If", ["c"], ["z"], "choice", then_branch=body, else_branch=body),
        helper.make_node("Add", ["sum", "z"], ["y"]),
    ]
    two = numpy_helper.from_array(np.full(1, 2, np.float32), "two")
    model = model_of(nodes, [value("x", [4]), value("c", [], BOOL)], [value("y", [4])], [two])
    result = rewrite_model(model, [ScaleByTwo])
    assert sorted(each.node for each in result.applied) == ["first", "inside", "inside", "second"]
    assert list(result.model.graph.initializer) == [two]
    feeds = {"x": np.arange(4, dtype=np.float32), "c": np.array(True)}
    assert_same_outputs(model, result, feeds, tmp_path)


def test_a_refusal_comes_with_its_reason_and_leaves_the_model():
    model = silu_model()
    model.graph.node[1].name = "stay"
    result = rewrite_model(model, [FuseSilu])
    left = RefusedRewrite("FuseSilu", "main graph", "stay", "y", "asked to stay", gives_plugin=True)
    assert result.refused == [left]
    assert result.model == model


@pytest.mark.parametrize(
    ("inputs", "lacking"),
    [
        (("Range", np.float32(0), np.float32(1), np.float32(1)), "Range"),
        (
            ("Gemm", np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)),
            "Gemm with 2 inputs",
        ),
        (("Equal", np.float32(0), np.float32(1)), "Equal of float"),
    ],
)
def test_an_operator_that_the_models_opset_lacks_is_a_reason(inputs, lacking):
    class MakeNewer(Rewrite):
        """Sigmoid(x) -> what opset 11 has"""

        pattern = Op("Sigmoid", "x")

        def rewrite(self, match, x):
            return Replacement(match).end(*inputs)

    model = silu_model()
    model.opset_import[0].version = 10
    result = rewrite_model(model, [MakeNewer])
    assert result.model == model
    assert [each.reason for each in result.refused] == [
        f"opset 10 has no {lacking}; export with a later opset"
    ]


def test_what_the_plugin_cannot_take_is_refused_with_its_own_words():
    double = onnx.TensorProto.DOUBLE
    model = model_of(silu_nodes("x", "y"), [value("x", [4], double)], [value("y", [4], double)])
    result = rewrite_model(model, [FuseSilu])
    assert result.applied == []
    assert "elem_type 11 is not a type that plugins take" in result.refused[0].reason
    ints = onnx.TensorProto.BFLOAT16
    model = model_of(silu_nodes("x", "y"), [value("x", [4], ints)], [value("y", [4], ints)])
    (refused,) = rewrite_model(model, [FuseSilu]).refused
    assert "is bfloat16; expected float32, float16" in refused.reason


def test_commutative_patterns_match_either_way(tmp_path):
    model = silu_model()
    model.graph.node[1].input[:] = ["gate", "x"]
    result = rewrite_model(model, [FuseSilu])
    assert op_types(result.model) == ["Silu_PK"]


def test_one_name_in_a_pattern_is_one_value():
    model = model_of(
        silu_nodes("x", "y"), [value("x", [4]), value("other", [4])], [value("y", [4])]
    )
    model.graph.node[1].input[0] = "other"
    result = rewrite_model(model, [FuseSilu])
    assert result.applied == result.refused == []


def test_rewrites_go_on_until_nothing_changes():
    class Unwrap(Rewrite):
        """Identity(Silu_PK(x)) -> Silu_PK(x)."""

        plugin = Silu
        pattern = Op("Identity", Op("Silu_PK", "x", domain="pluginkit"))

        def rewrite(self, match):
            return match.plugin_node(Silu(), [match["x"]])

    nodes = [
        *silu_nodes("x", "a"),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Identity", ["b"], ["y"]),
    ]
    model = model_of(nodes, [value("x", [4])], [value("y", [4])])
    assert op_types(rewrite_model(model, [Unwrap, FuseSilu]).model) == ["Silu_PK"]


def test_a_rewrite_that_never_ends_is_an_error():
    class Again(Rewrite):
        """relu(x) -> relu(x)."""

        plugin = Silu
        pattern = "Relu"

        def rewrite(self, match):
            return gs.Node("Relu", inputs=match.inputs, outputs=match.outputs)

    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [4])], [value("y", [4])])
    with pytest.raises(RewriteError) as caught:
        rewrite_model(model, [Again])
    assert caught.value.code == "PK422"
    assert "Again" in caught.value.message


def test_nodes_out_of_order_are_sorted():
    model = silu_model()
    nodes = list(model.graph.node)[::-1]
    swapped = model_of(nodes, list(model.graph.input), list(model.graph.output))
    result = rewrite_model(swapped, [FuseSilu])
    assert op_types(result.model) == ["Silu_PK"]


def test_a_cycle_is_an_error():
    nodes = [helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    with pytest.raises(ModelError) as caught:
        rewrite_model(model_of(nodes, [value("x", [1])], [value("b", [1])]), [FuseSilu])
    assert caught.value.code == "PK403"


def test_types_reuse_the_names_of_dimensions():
    nodes = [*silu_nodes("x", "a"), helper.make_node("Relu", ["a"], ["y"])]
    model = model_of(nodes, [value("x", ["batch", None, 4])], [value("y", [None, None, None])])
    result = rewrite_model(model, [FuseSilu])
    assert declared_type(result.model, "a") == (1, ["batch", 0, 4])


def test_what_the_plugin_cannot_name_keeps_the_models_own_name():
    class Double(Rewrite):
        """elu(x) -> Affine_PK(x)."""

        plugin = Affine
        pattern = "Elu"

        def rewrite(self, match):
            return match.plugin_node(Affine(), match.inputs, [gs.Variable("first"), *match.outputs])

    nodes = [helper.make_node("Elu", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    model = model_of(nodes, [value("x", ["n"])], [value("y", ["n"])])
    model.graph.value_info.append(value("a", ["m"]))
    assert declared_type(rewrite_model(model, [Double]).model, "a") == (1, ["m"])  # which is 2 * n


def test_a_plugin_that_contradicts_the_model_is_an_error():
    class Shrink(Rewrite):
        """relu(x) -> Affine_PK(x)."""

        plugin = Affine
        pattern = "Relu"

        def rewrite(self, match):
            return match.plugin_node(Affine(), match.inputs, [gs.Variable("a"), *match.outputs])

    nodes = [helper.make_node("Relu", ["x"], ["y"], name="guilty")]
    model = model_of(nodes, [value("x", [4, 4])], [value("y", [4, 4])])
    with pytest.raises(RewriteError) as caught:
        rewrite_model(model, [Shrink])
    assert caught.value.code == "PK424"
    assert "Affine_PK" in caught.value.message
    assert "float32[8]; the model had float32[4, 4]" in caught.value.message


def test_an_invalid_result_is_an_error_and_an_invalid_model_is_another():
    nonsense = broken_rewrite(lambda self, m: gs.Node("Gemm", inputs=m.inputs, outputs=m.outputs))
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [4])], [value("y", [4])])
    with pytest.raises(RewriteError) as caught:
        rewrite_model(model, [nonsense])
    assert caught.value.code == "PK423"
    assert "Gemm" in caught.value.cause
    model = silu_model()
    model.graph.node.add(op_type="NoSuchOp", input=["x"], output=["z"])
    with pytest.raises(ModelError) as caught:
        rewrite_model(model, [FuseSilu])
    assert caught.value.code == "PK408"
    assert "NoSuchOp" in caught.value.cause


def test_external_data_is_not_read(tmp_path, monkeypatch):
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[2**31], data_location=1)
    tensor.external_data.add(key="location", value="nowhere.bin")
    nodes = [*silu_nodes("x", "a"), helper.make_node("Add", ["a", "w"], ["y"])]
    model = model_of(nodes, [value("x", [1])], [value("y", [2**31])], [tensor])
    result = rewrite_model(model, [FuseSilu])
    assert len(result.applied) == 1
    assert result.model.graph.initializer[0] == tensor


def test_the_real_models_get_full_types():
    from pluginkit.graph_rewrites.replace_scatter_elements import ReplaceScatterElements

    for name in ("sage_dyn", "sage_ts"):
        result = rewrite_model(load_model(MODELS / f"{name}.onnx"), [ReplaceScatterElements])
        shapes = [
            declared_type(result.model, node.output[0])
            for _, node, _ in plugin_nodes(result.model, result.plugins)
        ]
        assert [dtype for dtype, _ in shapes] == [1] * 5
        assert [len(dims) for _, dims in shapes] == [2, 2, 1, 2, 2]
        assert [dims[1:] for _, dims in shapes] == [[16], [16], [], [32], [32]]


def recursive():
    model = silu_model()
    opsets = [helper.make_opsetid("f", 1), helper.make_opsetid("", 18)]
    call = helper.make_node("F", ["x"], ["y"], domain="f")
    model.functions.append(helper.make_function("f", "F", ["x"], ["y"], [call], opsets))
    model.graph.node.append(helper.make_node("F", ["x"], ["z"], domain="f"))
    model.opset_import.append(opsets[0])
    return model


def test_functions_that_call_themselves_are_refused():
    with pytest.raises(ModelError, match="PK408"):
        rewrite_model(recursive(), [FuseSilu])


def test_a_node_that_cannot_be_read_is_a_reason_not_to_match():
    model = silu_model()
    model.graph.node[-1].attribute.add(name="a", type=onnx.AttributeProto.STRING, s=b"\xff\xfe")
    result = rewrite_model(model, [FuseSilu])
    (refused,) = result.refused
    assert "is damaged" in refused.reason
    assert op_types(result.model) == op_types(model)
