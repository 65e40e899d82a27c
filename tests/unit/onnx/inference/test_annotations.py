"""What a model declares of its values is corrected where its nodes say otherwise."""

import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit.errors import ModelError
from pluginkit.onnx.inference.annotations import correct_annotations
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model

FLOAT, HALF, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64


def value(name, shape, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def untyped(name, dtype=0):
    info = onnx.ValueInfoProto(name=name)
    if dtype:
        info.type.tensor_type.elem_type = dtype
    return info


def model_of(batch=8, *, declared=(), output=None, between="ScatterElements"):
    """x -> s -> y, where ``s`` needs a plugin, and ``y`` is half as wide."""
    if between == "ScatterElements":
        first = helper.make_node(between, ["x", "i", "x"], ["s"], axis=1, reduction="add")
    else:
        first = helper.make_node(between, ["x"], ["s"])
    nodes = [
        first,
        helper.make_node("Relu", ["s"], ["r"]),
        helper.make_node("Split", ["r"], ["y", "rest"], axis=1, num_outputs=2),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", [batch, 4]), value("i", [batch, 4], INT64)],
        [output or value("y", [batch, 2])],
        value_info=list(declared),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def shape_of(info):
    return [
        dim.dim_param or (dim.dim_value if dim.HasField("dim_value") else None)
        for dim in info.type.tensor_type.shape.dim
    ]


STALE = {
    "another size": value("r", [1, 4]),
    "another size of what becomes a plugin": value("s", [1, 4]),
    "another rank": value("r", [8]),
    "another type": value("r", [8, 4], HALF),
    "another type of what becomes a plugin": value("s", [8, 4], HALF),
    "another type without a shape": untyped("s", HALF),
}


@pytest.mark.parametrize("batch", [8, "n"])
@pytest.mark.parametrize("name", STALE)
def test_stale_declarations_are_removed_with_all_that_came_with_them(name, batch):
    model = model_of(batch, declared=[STALE[name], value("rest", [batch, 2])])
    result = rewrite_model(model, find_rewrites())
    assert [each.rewrite for each in result.applied] == ["ReplaceScatterElements"]
    assert {info.name: shape_of(info) for info in result.model.graph.value_info} == {
        "s": [batch, 4]
    }
    assert result.model.graph.value_info[0].type.tensor_type.elem_type == FLOAT


@pytest.mark.parametrize(
    "declared",
    [value("r", [8, 4]), value("r", ["a", 4]), value("r", [None, None]), untyped("r", FLOAT)],
)
def test_declarations_that_may_be_right_stay(declared):
    model = model_of(declared=[declared])
    before = model.SerializeToString(deterministic=True)
    correct_annotations(model)
    assert model.SerializeToString(deterministic=True) == before


def test_a_type_that_onnx_infers_wrongly_stays():
    """RMSNormalization gives the type of its scale; onnx infers that of its first input."""
    nodes = [
        helper.make_node("RMSNormalization", ["x", "scale"], ["n"]),
        helper.make_node("Cast", ["n"], ["y"], to=HALF),
    ]
    graph = helper.make_graph(
        nodes, "g", [value("x", [2, 4], HALF), value("scale", [4])], [value("y", [2, 4], HALF)],
        value_info=[value("n", [2, 4])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    before = model.SerializeToString(deterministic=True)
    correct_annotations(model)
    assert model.SerializeToString(deterministic=True) == before


def test_a_size_that_only_the_declaration_knows_stays():
    """Of the outputs of NonZero onnx knows the rank only."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["s"]),
        helper.make_node("Identity", ["s"], ["y"]),
    ]
    model = model_of(declared=[value("s", [2, 6], INT64)], output=value("y", [2, 6], INT64))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    before = model.SerializeToString(deterministic=True)
    correct_annotations(model)
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    "output",
    [untyped("y"), untyped("y", FLOAT), value("y", [1, 2]), value("y", [8]), value("y", [8, 4])],
)
def test_an_output_gets_the_type_that_follows_from_the_nodes(output):
    result = rewrite_model(model_of(output=output), find_rewrites())
    (after,) = result.model.graph.output
    assert (after.name, after.type.tensor_type.elem_type, shape_of(after)) == ("y", FLOAT, [8, 2])


@pytest.mark.parametrize("output", [untyped("y"), untyped("y", FLOAT)])
def test_an_output_is_completed_even_if_nothing_is_rewritten(output):
    result = rewrite_model(model_of(output=output, between="Neg"), find_rewrites())
    assert result.applied == []
    assert shape_of(result.model.graph.output[0]) == [8, 2]


def test_a_negative_size_is_an_unknown_one():
    result = rewrite_model(model_of(-1), find_rewrites())
    assert [each.rewrite for each in result.applied] == ["ReplaceScatterElements"]
    assert [shape_of(each) for each in result.model.graph.input] == [[None, 4]] * 2
    assert [shape_of(each) for each in result.model.graph.output] == [[None, 2]]


def test_stale_sizes_in_a_branch_are_removed():
    scatter = helper.make_node("ScatterElements", ["x", "i", "x"], ["a"], axis=1, reduction="add")
    then = helper.make_graph(
        [scatter, helper.make_node("Relu", ["a"], ["t"])],
        "t", [], [value("t", [1, 4])], value_info=[value("a", [1, 4])],
    )  # fmt: skip
    other = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["e"])], "e", [], [value("e", [1, 4])]
    )
    model = model_of("n", output=value("y", ["n", 4]))
    model.graph.input.append(value("c", [], TensorProto.BOOL))
    del model.graph.node[:]
    model.graph.node.append(
        helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    )
    result = rewrite_model(model, find_rewrites())
    assert [each.rewrite for each in result.applied] == ["ReplaceScatterElements", "GiveScratch"]
    (branch,) = [a.g for a in result.model.graph.node[0].attribute if a.name == "then_branch"]
    reduced, _scratch = branch.value_info
    assert shape_of(reduced) == ["n", 4]


def test_declarations_of_custom_operators_stay_though_others_are_stale():
    model = model_of(declared=[value("r", [1, 4]), value("c", [8, 4])])
    model.graph.node.insert(0, helper.make_node("Custom", ["x"], ["c"], domain="elsewhere"))
    model.opset_import.add(domain="elsewhere", version=1)
    correct_annotations(model)
    assert [info.name for info in model.graph.value_info] == ["c"]


def test_an_input_without_a_shape_is_named():
    model = model_of()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError) as caught:
        rewrite_model(model, find_rewrites())
    assert caught.value.code == "PK408"
    assert "input 'x' has no shape" in caught.value.message


@pytest.mark.parametrize("in_place", [True, False])
def test_a_branch_may_give_a_value_of_an_outer_graph(in_place):
    """TensorRT takes it; the result is valid ONNX."""
    scatter = helper.make_node("ScatterElements", ["x", "i", "x"], ["a"], axis=1, reduction="add")
    then = helper.make_graph([scatter], "t", [], [value("a", [8, 4])])
    other = helper.make_graph([], "e", [], [value("x", [8, 4])])
    model = model_of(output=value("y", [8, 4]))
    del model.graph.node[:]
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    model.graph.node.append(
        helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    )
    result = rewrite_model(model, find_rewrites(), in_place=in_place).model
    onnx.checker.check_model(result, full_check=True)
    (branch,) = [a.g for a in result.graph.node[0].attribute if a.name == "else_branch"]
    assert [(node.op_type, list(node.input)) for node in branch.node] == [("Identity", ["x"])]
    assert branch.output[0].name == branch.node[0].output[0] != "x"


def test_an_output_of_unknown_shape_needs_none():
    """The checker asks for a shape that nothing knows: that of an operator it does not know."""
    node = helper.make_node("Mystery", ["x"], ["y"], domain="elsewhere")
    graph = helper.make_graph([node], "g", [value("x", [2])], [value("y", None)])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("elsewhere", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    assert rewrite_model(model).model.graph.output == model.graph.output


@pytest.mark.parametrize("declared", [[1, 1, 17], [2, 5], None])
def test_what_is_declared_of_an_unknown_operator_is_corrected_once_it_is_replaced(declared):
    nodes = [
        helper.make_node("Gelu", ["x"], ["g"], "gelu", domain="com.microsoft"),
        helper.make_node("Identity", ["g"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", [2, 5, 16])],
        [value("y", declared)],
        value_info=[value("g", declared)],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    result = rewrite_model(model)
    assert [one.rewrite for one in result.applied] == ["ExpandGelu"]
    (output,) = result.model.graph.output
    assert [dim.dim_value for dim in output.type.tensor_type.shape.dim] == [2, 5, 16]


@pytest.mark.parametrize("is_call", [True, False])
def test_an_output_whose_declared_rank_is_wrong_gets_the_right_one(is_call):
    """No size of it is a number. ONNX Runtime warns of it, TensorRT does not look."""
    nodes = 'y = ScatterElements <axis = 0, reduction = "add"> (x, i, u)'
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18, "local" : 1]>
        g (float[n, 4] x, int64[m, 4] i, float[m, 4] u) => (float[n] y)
        {{ {"y = local.F (x, i, u)" if is_call else nodes} }}
        <domain: "local", opset_import: ["" : 18]> F (x, i, u) => (y) {{ {nodes} }}
    """)
    result = rewrite_model(model, find_rewrites())
    assert [one.made for one in result.applied] == [("ScatterElements_PK",)]
    assert shape_of(result.model.graph.output[0]) == ["n", 4]


def test_an_output_of_a_body_whose_declared_rank_is_wrong_gets_the_right_one():
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 18]>
        g (float[n, 4] x, int64[m, 4] i, int64 k) => (float[n, 4] y) {
            y = Loop (k, "", x) <body = b (int64 at, bool go, float[n, 4] s) =>
                (bool on, float[4] t) {
                    on = Identity (go)
                    t = ScatterElements <reduction = "add"> (s, i, x)
                }>
        }
    """)
    result = rewrite_model(model, find_rewrites()).model
    body = next(each for each in result.graph.node if each.op_type == "Loop").attribute[0].g
    assert shape_of(body.output[1]) == ["n", 4]


def test_a_rewrite_that_fails_on_a_model_that_contradicts_itself_is_not_to_blame():
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[2, 2] a) => (float[N, M] z)'
        " { b, s, o = DynamicQuantizeLinear (a) z = Relu (b) }"
    )
    with pytest.raises(ModelError, match=r"PK408 (.|\n)*unsupported type: tensor\(uint8\)"):
        rewrite_model(model, find_rewrites())


def test_a_name_of_a_dimension_that_is_no_text_means_an_unknown_size():
    model = model_of("nameless")
    damaged = onnx.ModelProto.FromString(
        model.SerializeToString().replace(b"nameless", b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe")
    )
    (made,) = rewrite_model(damaged, find_rewrites()).applied
    assert made.made == ("ScatterElements_PK",)
    assert shape_of(rewrite_model(damaged, find_rewrites()).model.graph.input[0]) == [None, 4]


#: The If reads s in a branch, and stands before the node that makes s; ONNX Runtime's quantizer
#: orders nodes so, and declares the rank of the branch that is not taken.
UNORDERED = """<ir_version: 10, opset_import: ["" : 18]> g (float[2, 3] x) => (float[M, N] y)
    <bool no = {0}> {
    s1 = If(no) <then_branch = t () => (float[K] a) { one = Constant<value = int64[1] {-1}>()
        a = Reshape(s, one) }, else_branch = e () => (float[K] b) { b = Identity(s) }>
    s = Sigmoid(x) y = Neg(s1) }"""


def test_nodes_that_stand_in_no_order_do_not_hide_a_stale_rank():
    model = onnx.parser.parse_model(UNORDERED)
    model.graph.value_info.append(helper.make_tensor_value_info("s1", TensorProto.FLOAT, ["K"]))
    made = rewrite_model(model, []).model
    assert "s1" not in {value.name for value in made.graph.value_info}
