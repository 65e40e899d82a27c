import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import helper, numpy_helper

from pluginkit import Input, Output, Plugin, RewriteChoice, float32
from pluginkit.errors import DeclarationError, ModelError, RewriteError, UsageError
from pluginkit.onnx.model.model_file import load_model
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite import Constant, Op, Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.rewriting.rewrite_outcomes import AppliedRewrite, RefusedRewrite
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
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


def simple():
    return model_of(silu_nodes("x", "y"), [value("x", ["n", 4])], [value("y", ["n", 4])])


def assert_same(model, result, inputs, tmp_path):
    expected = run_onnxruntime(model, inputs)
    got = run_model(result.model, inputs, result.plugins, base_dir=tmp_path)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-6)


def names(model):
    return [node.op_type for node in model.graph.node]


def info(model, name):
    (found,) = [each for each in model.graph.value_info if each.name == name]
    tensor = found.type.tensor_type
    return tensor.elem_type, [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]


def test_a_match_becomes_the_plugin_node(tmp_path):
    model = simple()
    before = model.SerializeToString()
    result = rewrite_model(model, [FuseSilu])
    assert names(result.model) == ["Silu_PK"]
    (node,) = result.model.graph.node
    assert (node.name, list(node.input), list(node.output)) == ("mul", ["x"], ["y"])
    (applied,) = result.applied
    assert applied == AppliedRewrite("FuseSilu", "main graph", "mul", "y", ("Silu_PK",))
    assert [(each.domain, each.version) for each in result.model.opset_import] == [
        ("", 18),
        ("pluginkit", 1),
    ]
    assert model.SerializeToString() == before
    assert_same(model, result, {"x": np.linspace(-3, 3, 12, dtype="f").reshape(3, 4)}, tmp_path)


def test_applied_twice_changes_nothing():
    once = rewrite_model(simple(), [FuseSilu])
    twice = rewrite_model(once.model, [FuseSilu])
    assert twice.model == once.model
    assert twice.applied == twice.refused == []


def test_in_place_the_model_itself_is_changed():
    model = simple()
    expected = rewrite_model(model, [FuseSilu])
    result = rewrite_model(model, [FuseSilu], in_place=True)
    assert result.model is model
    assert model == expected.model
    assert result.applied == expected.applied


def test_in_place_a_result_that_the_checker_refuses_is_known_from_a_bad_original():
    nonsense = broken(lambda self, m: gs.Node("Gemm", inputs=m.inputs, outputs=m.outputs))
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
    assert_same(model, result, feeds, tmp_path)


def test_names_are_the_same_each_time():
    nodes = [helper.make_node("Elu", [f"v{i}"], [f"v{i + 1}"]) for i in range(3)]
    model = model_of(nodes, [value("v0", ["n"])], [value("v3", ["n"])])
    once, again = (rewrite_model(model, [Widen]).model for _ in range(2))
    assert once.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)


def test_a_refusal_comes_with_its_reason_and_leaves_the_model():
    model = simple()
    model.graph.node[1].name = "stay"
    result = rewrite_model(model, [FuseSilu])
    assert result.refused == [
        RefusedRewrite("FuseSilu", "main graph", "stay", "y", "asked to stay")
    ]
    assert result.model == model


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


def test_a_value_that_is_read_elsewhere_stays():
    nodes = [*silu_nodes("x", "y"), helper.make_node("Relu", ["gate"], ["z"])]
    model = model_of(nodes, [value("x", [4])], [value("y", [4]), value("z", [4])])
    (refused,) = rewrite_model(model, [FuseSilu]).refused
    assert "'gate', between the matched nodes, is read by other nodes" in refused.reason


class Gated(Plugin):
    """y = x * sigmoid(x), gate = sigmoid(x)."""

    x = Input(float32)
    y = Output(float32)
    gate = Output(float32)

    def output_shapes(self, x):
        return x.shape, x.shape

    def launches(self, x, y, gate):
        return ()

    def reference(self, x):
        gate = (1 / (1 + np.exp(-x))).astype(np.float32)
        return x * gate, gate


class FuseGated(Rewrite):
    """x * sigmoid(x) -> Gated_PK(x) with both values."""

    plugin = Gated
    pattern = Op("Mul", "x", Op("Sigmoid", "x", name="gate", kept=True), commutative=True)

    def rewrite(self, match):
        outputs = [match.outputs[0], match["gate"].outputs[0]]
        return match.plugin_node(Gated(), [match["x"]], outputs)


@pytest.mark.parametrize("is_before", [True, False])
def test_a_kept_value_may_be_read_elsewhere(is_before, tmp_path):
    sigmoid, mul = silu_nodes("x", "y")
    relu = helper.make_node("Relu", ["gate"], ["z"])
    nodes = [sigmoid, relu, mul] if is_before else [sigmoid, mul, relu]
    model = model_of(nodes, [value("x", [4])], [value("y", [4]), value("z", [4])])
    result = rewrite_model(model, [FuseGated])
    assert names(result.model) == ["Gated_PK", "Relu"]
    assert list(result.model.graph.node[0].output) == ["y", "gate"]
    assert info(result.model, "gate") == (onnx.TensorProto.FLOAT, [4])
    assert_same(model, result, {"x": np.linspace(-3, 3, 4, dtype="f")}, tmp_path)


def test_a_kept_value_may_be_a_graph_output(tmp_path):
    outputs = [value("y", [4]), value("gate", [4])]
    model = model_of(silu_nodes("x", "y"), [value("x", [4])], outputs)
    result = rewrite_model(model, [FuseGated])
    assert names(result.model) == ["Gated_PK"]
    assert_same(model, result, {"x": np.linspace(-3, 3, 4, dtype="f")}, tmp_path)


def test_kept_values_lead_from_one_match_to_the_next(tmp_path):
    first, second = silu_nodes("x", "y", "a"), silu_nodes("gate", "z", "b", prefix="b")
    nodes = [first[0], *second, first[1]]  # the second match ends before the first
    model = model_of(nodes, [value("x", [4])], [value("y", [4]), value("z", [4])])
    result = rewrite_model(model, [FuseGated])
    assert [list(node.output) for node in result.model.graph.node] == [
        ["y", "gate"],
        ["z", "bgate"],
    ]
    assert_same(model, result, {"x": np.linspace(-3, 3, 4, dtype="f")}, tmp_path)


class FuseScaled(Rewrite):
    """w * sigmoid(x) -> Gated_PK(x) * w."""

    plugin = Gated
    pattern = Op("Mul", "w", Op("Sigmoid", "x", name="gate", kept=True))

    def rewrite(self, match):
        gate = match["gate"].outputs[0]
        node = match.plugin_node(Gated(), [match["x"]], [gs.Variable("other"), gate])
        return [
            node,
            helper.make_node("Mul", [match["w"].name, gate.name], [match.outputs[0].name]),
        ]


def test_what_reads_a_kept_value_too_early_keeps_the_nodes():
    """w comes from the gate: one node could not give the one before it has read the other."""
    sigmoid, relu = silu_nodes("x", "y")[0], helper.make_node("Relu", ["gate"], ["w"])
    nodes = [sigmoid, relu, helper.make_node("Mul", ["w", "gate"], ["y"])]
    model = model_of(nodes, [value("x", [4])], [value("y", [4])])
    result = rewrite_model(model, [FuseScaled])
    assert result.model == model
    (refused,) = result.refused
    assert (
        refused.reason == "an output of the new nodes is read before all their inputs are computed"
    )


def test_nodes_that_leave_out_a_kept_value_are_an_error():
    class Forget(Rewrite):
        """x * sigmoid(x) -> Silu_PK(x) without the gate."""

        plugin = Silu
        pattern = FuseGated.pattern

        def rewrite(self, match):
            return match.plugin_node(Silu(), [match["x"]])

    with pytest.raises(RewriteError, match="PK421 Forget made nodes that do not produce 'gate'"):
        rewrite_model(simple(), [Forget])


def test_a_value_that_a_body_reads_stays():
    inner = helper.make_node("Identity", ["gate"], ["b"])
    body = helper.make_graph([inner], "body", [], [value("b", [4])])
    choice = helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body)
    inputs = [value("x", [4]), value("c", [], BOOL)]
    outputs = [value("y", [4]), value("z", [4])]
    model = model_of([*silu_nodes("x", "y"), choice], inputs, outputs)
    (refused,) = rewrite_model(model, [FuseSilu]).refused
    assert "is read by other nodes" in refused.reason


def test_a_value_that_a_body_only_returns_stays():
    body = helper.make_graph([], "body", [], [value("gate", [4])])
    choice = helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body)
    inputs = [value("x", [4]), value("c", [], BOOL)]
    outputs = [value("y", [4]), value("z", [4])]
    model = model_of([*silu_nodes("x", "y"), choice], inputs, outputs)
    (refused,) = rewrite_model(model, [FuseSilu]).refused
    assert "is read by other nodes" in refused.reason


def test_a_value_that_is_a_graph_output_stays():
    model = model_of(silu_nodes("x", "y"), [value("x", [4])], [value("y", [4]), value("gate", [4])])
    (refused,) = rewrite_model(model, [FuseSilu]).refused
    assert "'gate', between the matched nodes, is a graph output" in refused.reason


def test_commutative_patterns_match_either_way(tmp_path):
    model = simple()
    model.graph.node[1].input[:] = ["gate", "x"]
    result = rewrite_model(model, [FuseSilu])
    assert names(result.model) == ["Silu_PK"]


def test_one_name_in_a_pattern_is_one_value():
    model = model_of(
        silu_nodes("x", "y"), [value("x", [4]), value("other", [4])], [value("y", [4])]
    )
    model.graph.node[1].input[0] = "other"
    result = rewrite_model(model, [FuseSilu])
    assert result.applied == result.refused == []


def test_overlapping_matches_take_turns(tmp_path):
    class FusePair(Rewrite):
        """relu(relu(x)) -> Silu_PK(x)."""

        plugin = Silu
        pattern = Op("Relu", Op("Relu", "x"))

        def rewrite(self, match):
            return match.plugin_node(Silu(), [match["x"]])

    chain = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"], name=f"r{i}") for i in range(5)]
    model = model_of(chain, [value("v0", [4])], [value("v5", [4])])
    result = rewrite_model(model, [FusePair])
    assert names(result.model) == ["Silu_PK", "Silu_PK", "Relu"]
    assert [each.node for each in result.applied] == ["r1", "r3"]


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
    assert names(rewrite_model(model, [Unwrap, FuseSilu]).model) == ["Silu_PK"]


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


def with_bodies():
    """Silu in the main graph, in an If, in a Loop in that, in a Scan and in a function."""
    loop_body = helper.make_graph(
        [*silu_nodes("s", "s2", "in_loop", "l"), helper.make_node("Identity", ["go"], ["go2"])],
        "loop",
        [value("i", [], INT64), value("go", [], BOOL), value("s", [4])],
        [value("go2", [], BOOL), value("s2", [4])],
    )
    loop = helper.make_node("Loop", ["trips", "", "x"], ["t"], "loop", body=loop_body)
    then = helper.make_graph([loop], "then", [], [value("t", [4])])
    other = helper.make_graph(silu_nodes("x", "e", "in_else", "e"), "else", [], [value("e", [4])])
    choice = helper.make_node("If", ["c"], ["a"], "if", then_branch=then, else_branch=other)
    scan_body = helper.make_graph(
        silu_nodes("row", "out", "in_scan", "s"), "scan", [value("row", [])], [value("out", [])]
    )
    scan = helper.make_node("Scan", ["a"], ["b"], "scan", body=scan_body, num_scan_inputs=1)
    function = helper.make_function(
        "local",
        "F",
        ["p"],
        ["q"],
        silu_nodes("p", "q", "in_function"),
        [helper.make_opsetid("", 18)],
    )
    call = helper.make_node("F", ["b"], ["d"], "call", domain="local")
    return model_of(
        [choice, scan, call, *silu_nodes("d", "y", "in_main", "m")],
        [value("x", [4]), value("c", [], BOOL)],
        [value("y", [4])],
        [numpy_helper.from_array(np.array(3, np.int64), "trips")],
        functions=[function],
    )


@pytest.mark.parametrize("condition", [True, False])
def test_bodies_and_functions_are_rewritten_and_run(condition, tmp_path):
    model = with_bodies()
    result = rewrite_model(model, [FuseSilu])
    assert {each.node: each.where for each in result.applied} == {
        "in_main": "main graph",
        "in_else": "main graph / If 'if'.else_branch",
        "in_loop": "main graph / If 'if'.then_branch / Loop 'loop'.body",
        "in_scan": "main graph / Scan 'scan'.body",
        "in_function": "function local::F",
    }
    domains = {each.domain for each in result.model.functions[0].opset_import}
    assert domains == {"", "pluginkit"}
    inputs = {"x": np.array([-1, 0, 2, 5], np.float32), "c": np.array(condition)}
    assert_same(model, result, inputs, tmp_path)
    assert rewrite_model(result.model, [FuseSilu]).model == result.model


def test_an_attribute_of_a_function_is_a_reason_to_refuse():
    class FuseElu(Rewrite):
        """elu(x) -> Silu_PK(x)."""

        plugin = Silu
        pattern = "Elu"

        def rewrite(self, match):
            return match.plugin_node(Silu(), match.inputs)

    elu = helper.make_node("Elu", ["p"], ["q"])
    elu.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    function = helper.make_function(
        "local", "F", ["p"], ["q"], [elu], [helper.make_opsetid("", 18)], attributes=["slope"]
    )
    call = helper.make_node("F", ["x"], ["y"], domain="local", slope=2.0)
    model = model_of([call], [value("x", [4])], [value("y", [4])], functions=[function])
    (refused,) = rewrite_model(model, [FuseElu]).refused
    assert "attribute 'alpha' is a parameter of the function" in refused.reason


def test_nothing_that_the_model_carries_is_lost():
    model = model_of(
        [*silu_nodes("x", "a"), helper.make_node("Add", ["a", "w"], ["y"])],
        [value("x", ["n", 4]), value("w", [4])],
        [value("y", ["n", 4])],
        [numpy_helper.from_array(np.ones(4, np.float32), name) for name in ("w", "unused")],
        value_info=[value("a", ["n", 4]), value("gate", ["n", 4])],
        doc_string="the graph",
    )
    sparse = onnx.SparseTensorProto(dims=[4])
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "sparse"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([2]), "at"))
    model.graph.sparse_initializer.append(sparse)
    model.graph.metadata_props.add(key="k", value="graph")
    model.graph.node[1].metadata_props.add(key="trace", value="line 7")
    model.graph.node[1].doc_string = "the product"
    model.graph.node[2].metadata_props.add(key="trace", value="line 8")
    model.metadata_props.add(key="author", value="somebody")
    model.producer_name, model.model_version, model.domain = "maker", 7, "org"
    model.doc_string = "the model"
    expected = onnx.ModelProto()
    expected.CopyFrom(model)
    got = rewrite_model(model, [FuseSilu]).model
    plugin = got.graph.node[0]
    assert plugin.op_type == "Silu_PK"
    assert plugin.doc_string == "the product"
    assert plugin.metadata_props[0].value == "line 7"
    del expected.graph.node[:2]
    del expected.graph.value_info[1]  # that of 'gate', which is gone
    expected.graph.node.insert(0, plugin)
    expected.opset_import.add(domain="pluginkit", version=1)
    assert got == expected


def test_a_nodes_description_that_is_no_text_is_left_out():
    model = model_of(silu_nodes("x", "y"), [value("x", [4])], [value("y", [4])])
    model.graph.node[1].doc_string = "QZ"
    model.ParseFromString(model.SerializeToString().replace(b"QZ", b"\xff\xfe"))
    assert not rewrite_model(model, [FuseSilu]).model.graph.node[0].doc_string


def test_nodes_out_of_order_are_sorted():
    model = simple()
    nodes = list(model.graph.node)[::-1]
    swapped = model_of(nodes, list(model.graph.input), list(model.graph.output))
    result = rewrite_model(swapped, [FuseSilu])
    assert names(result.model) == ["Silu_PK"]


def test_a_cycle_is_an_error():
    nodes = [helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    with pytest.raises(ModelError) as caught:
        rewrite_model(model_of(nodes, [value("x", [1])], [value("b", [1])]), [FuseSilu])
    assert caught.value.code == "PK403"


def test_types_reuse_the_names_of_dimensions():
    nodes = [*silu_nodes("x", "a"), helper.make_node("Relu", ["a"], ["y"])]
    model = model_of(nodes, [value("x", ["batch", None, 4])], [value("y", [None, None, None])])
    result = rewrite_model(model, [FuseSilu])
    assert info(result.model, "a") == (1, ["batch", 0, 4])


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
    assert info(rewrite_model(model, [Double]).model, "a") == (1, ["m"])  # which is 2 * n


def test_several_outputs_optional_inputs_and_unused_outputs(tmp_path):
    class FuseAffine(Rewrite):
        """x * 2 + bias -> Affine_PK(x, -, bias)."""

        plugin = Affine
        pattern = Op("Add", Op("Mul", "x", "two"), "bias")

        def check(self, match):
            return None if match.constant(match["two"]) == 2 else "not twice"

        def rewrite(self, match):
            return match.plugin_node(Affine(a=2.0), [match["x"], None, match["bias"]])

    two = numpy_helper.from_array(np.array(2, np.float32), "two")
    three = numpy_helper.from_array(np.array(3, np.float32), "three")
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["m"]),
        helper.make_node("Add", ["m", "bias"], ["a"], name="twice"),
        helper.make_node("Mul", ["a", "three"], ["k"]),
        helper.make_node("Add", ["k", "bias"], ["y"], name="thrice"),
    ]
    inputs = [value("x", ["n", 4]), value("bias", [4])]
    model = model_of(nodes, inputs, [value("y", ["n", 4])], [two, three])
    result = rewrite_model(model, [FuseAffine])
    ((_, node, plugin),) = plugin_nodes(result.model, result.plugins)
    assert list(node.input) == ["x", "bias"]
    assert list(node.output) == ["a", "twice/z"]
    assert plugin.present == (True, False, True)
    assert info(result.model, "twice/z") == (1, [0])
    assert [each.reason for each in result.refused] == ["not twice"]
    feeds = {"x": np.ones((2, 4), np.float32), "bias": np.arange(4, dtype=np.float32)}
    assert_same(model, result, feeds, tmp_path)


class Widen(Rewrite):
    """relu(x) -> Silu_PK(relu(x) * k)."""

    plugin = Silu
    pattern = "Elu"

    def rewrite(self, match):
        k, tmp, out = gs.Constant("k", np.float32([3])), gs.Variable("tmp"), gs.Variable("y")
        scale = gs.Node("Mul", inputs=[match.inputs[0], k], outputs=[tmp])
        silu = match.plugin_node(Silu(), [tmp], [out], name="silu")
        return [scale, silu, gs.Node("Relu", inputs=[out], outputs=match.outputs)]


def test_new_nodes_constants_and_names_are_unique_and_typed(tmp_path):
    nodes = [helper.make_node("Elu", [f"v{i}"], [f"v{i + 1}"]) for i in range(2)]
    model = model_of(nodes, [value("v0", ["n"])], [value("v2", ["n"])])
    result = rewrite_model(model, [Widen])
    assert names(result.model) == ["Mul", "Silu_PK", "Relu"] * 2
    made = [name for node in result.model.graph.node for name in node.output]
    assert len(set(made)) == 6
    assert len({node.name for node in result.model.graph.node}) == 6
    assert [each.name for each in result.model.graph.initializer] == ["v1/k", "v2/k"]
    assert info(result.model, "v1/y") == (1, ["n"])
    got = run_model(result.model, {"v0": np.float32([1])}, result.plugins, base_dir=tmp_path)
    once = 3 / (1 + np.exp(-3.0))
    assert got["v2"][0] == pytest.approx(3 * once / (1 + np.exp(-3 * once)), rel=1e-5)


def test_constants_of_a_function_become_nodes(tmp_path):
    function = helper.make_function(
        "local", "F", ["p"], ["q"], [helper.make_node("Elu", ["p"], ["q"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    call = helper.make_node("F", ["x"], ["y"], domain="local")
    model = model_of([call], [value("x", [1])], [value("y", [1])], functions=[function])
    result = rewrite_model(model, [Widen])
    assert [node.op_type for node in result.model.functions[0].node] == [
        "Constant", "Mul", "Silu_PK", "Relu",
    ]  # fmt: skip
    got = run_model(result.model, {"x": np.float32([1])}, result.plugins, base_dir=tmp_path)
    assert got["y"][0] == pytest.approx(3 / (1 + np.exp(-3.0)), rel=1e-5)


def broken(rewrite_method, check_method=lambda self, match: None):
    members = {"plugin": Silu, "pattern": "Relu", "__doc__": "relu(x) -> Silu_PK(x)."}
    return type("Broken", (Rewrite,), members | {"rewrite": rewrite_method, "check": check_method})


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        (lambda self, match: None, "returned None"),
        (lambda self, match: [], "returned []"),
        (lambda self, match: 1 / 0, "ZeroDivisionError"),
        (
            lambda self, match: gs.Node(
                "Relu", inputs=[gs.Variable("ghost")], outputs=match.outputs
            ),
            "reads 'ghost'",
        ),
        (
            lambda self, match: gs.Node("Relu", inputs=match.inputs, outputs=[gs.Variable("b")]),
            "do not produce 'y'",
        ),
        (
            lambda self, match: gs.Node("Relu", inputs=match.outputs, outputs=match.outputs),
            "reads 'y'",
        ),
    ],
)
def test_what_a_rewrite_must_not_return(rewrite, message):
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="guilty")]
    model = model_of(nodes, [value("x", [4])], [value("y", [4])])
    with pytest.raises(RewriteError) as caught:
        rewrite_model(model, [broken(rewrite)])
    assert caught.value.code == "PK421"
    assert message in caught.value.message
    assert "Relu 'guilty'" in caught.value.where


def test_a_check_must_return_a_reason():
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [4])], [value("y", [4])])
    with pytest.raises(RewriteError) as caught:
        rewrite_model(model, [broken(lambda self, match: None, lambda self, match: True)])
    assert caught.value.code == "PK421"
    assert "check returned True" in caught.value.message


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
    assert "float[8]; the model had float[4, 4]" in caught.value.message


def test_an_invalid_result_is_an_error_and_an_invalid_model_is_another():
    nonsense = broken(lambda self, m: gs.Node("Gemm", inputs=m.inputs, outputs=m.outputs))
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [4])], [value("y", [4])])
    with pytest.raises(RewriteError) as caught:
        rewrite_model(model, [nonsense])
    assert caught.value.code == "PK423"
    assert "Gemm" in caught.value.cause
    model = simple()
    model.graph.node.add(op_type="NoSuchOp", input=["x"], output=["z"])
    with pytest.raises(ModelError) as caught:
        rewrite_model(model, [FuseSilu])
    assert caught.value.code == "PK408"
    assert "NoSuchOp" in caught.value.cause


def test_only_and_skip_choose_by_name():
    assert rewrite_model(simple(), [FuseSilu], RewriteChoice(skip=["FuseSilu"])).applied == []
    chosen = rewrite_model(simple(), [FuseSilu, Widen], RewriteChoice(only=["FuseSilu"]))
    assert len(chosen.applied) == 1
    with pytest.raises(UsageError) as caught:
        rewrite_model(simple(), [FuseSilu], RewriteChoice(only=["FuseSulu"]))
    assert caught.value.code == "PK425"
    assert "FuseSilu" in caught.value.message


class FuseSiluOnRequest(FuseSilu):
    """x * sigmoid(x) -> Silu_PK(x), where it is named."""

    opt_in = True


def test_an_opt_in_rewrite_is_applied_where_it_is_named():
    rewrites = [FuseSiluOnRequest, Widen]
    left = rewrite_model(simple(), rewrites)
    assert left.applied == []
    assert left.model == simple()
    assert left.opt_in == ["FuseSiluOnRequest"]
    name = "FuseSiluOnRequest"
    for named in (RewriteChoice(also=[name]), RewriteChoice(only=[name])):
        result = rewrite_model(simple(), rewrites, choice=named)
        assert [one.rewrite for one in result.applied] == ["FuseSiluOnRequest"]
        assert result.opt_in == []
        again = rewrite_model(result.model, rewrites, choice=named)
        assert again.applied == []
        assert again.model == rewrite_model(result.model, rewrites).model == result.model


def test_also_adds_to_only_and_skip_has_the_last_word():
    name = "FuseSiluOnRequest"
    rewrites = [FuseSiluOnRequest, Widen]
    chosen = rewrite_model(simple(), rewrites, RewriteChoice(only=["Widen"], also=[name]))
    assert len(chosen.applied) == 1
    left = rewrite_model(simple(), rewrites, RewriteChoice(also=[name], skip=[name]))
    assert left.applied == left.opt_in == []
    with pytest.raises(UsageError, match="PK425 there is no rewrite 'FuseSulu'"):
        rewrite_model(simple(), rewrites, RewriteChoice(also=["FuseSulu"]))


def test_the_plugin_of_an_opt_in_rewrite_is_known_where_the_rewrite_is_left_out():
    fused = rewrite_model(
        simple(), [FuseSiluOnRequest], RewriteChoice(also=["FuseSiluOnRequest"])
    ).model
    del fused.graph.value_info[:]
    again = rewrite_model(fused, [FuseSiluOnRequest])
    assert [type(plugin) for _, _, plugin in plugin_nodes(again.model, again.plugins)] == [Silu]


def test_external_data_is_not_read(tmp_path, monkeypatch):
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[2**31], data_location=1)
    tensor.external_data.add(key="location", value="nowhere.bin")
    nodes = [*silu_nodes("x", "a"), helper.make_node("Add", ["a", "w"], ["y"])]
    model = model_of(nodes, [value("x", [1])], [value("y", [2**31])], [tensor])
    result = rewrite_model(model, [FuseSilu])
    assert len(result.applied) == 1
    assert result.model.graph.initializer[0] == tensor


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"plugin": Silu}, "pattern is None"),
        ({"plugin": Silu, "pattern": 3}, "pattern is 3"),
        ({"pattern": "Relu", "native_since": {"trt": "10"}}, "native_since is {'trt'"),
        ({"pattern": "Relu", "native_since": {"tensorrt": "new"}}, "native_since is {'tensorrt'"),
        ({"pattern": "Relu", "order": "last"}, "order is 'last'"),
        ({"pattern": "Relu", "opt_in": 1}, "opt_in is 1"),
        ({"pattern": "Relu", "plugin": int}, "plugin is <class 'int'>"),
        ({"pattern": "Relu", "plugin": Silu}, "has no rewrite()"),
        ({"pattern": "Relu", "plugin": Silu, "rewrite": lambda self: None}, "takes no match"),
        (
            {
                "pattern": "Relu",
                "plugin": Silu,
                "rewrite": lambda self, m: None,
                "__doc__": "Nice.",
            },
            "formula",
        ),
    ],
)
def test_a_wrong_declaration_is_an_error_at_once(members, message):
    with pytest.raises(DeclarationError) as caught:
        type("Wrong", (Rewrite,), {"__doc__": "a -> b."} | members)
    assert caught.value.code == "PK420"
    assert message in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize(
    "make", [lambda: Op(3), lambda: Op("Add", [3]), lambda: Op("Add", "x", commutative=True)]
)
def test_a_wrong_pattern_is_an_error(make):
    with pytest.raises(DeclarationError) as caught:
        make()
    assert caught.value.code == "PK420"


def test_the_real_models_get_full_types():
    from pluginkit.graph_rewrites.scatter_elements import ReplaceScatterElements

    for name in ("sage_dyn", "sage_ts"):
        result = rewrite_model(load_model(MODELS / f"{name}.onnx"), [ReplaceScatterElements])
        shapes = [
            info(result.model, node.output[0])
            for _, node, _ in plugin_nodes(result.model, result.plugins)
        ]
        assert [dtype for dtype, _ in shapes] == [1] * 5
        assert [len(dims) for _, dims in shapes] == [2, 2, 1, 2, 2]
        assert [dims[1:] for _, dims in shapes] == [[16], [16], [], [32], [32]]


def recursive():
    model = simple()
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
    model = simple()
    model.graph.node[-1].attribute.add(name="a", type=onnx.AttributeProto.STRING, s=b"\xff\xfe")
    result = rewrite_model(model, [FuseSilu])
    (refused,) = result.refused
    assert "is damaged" in refused.reason
    assert names(result.model) == names(model)
