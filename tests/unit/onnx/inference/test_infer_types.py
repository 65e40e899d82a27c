import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.errors import TensorError
from pluginkit.onnx.inference.element_types import dtype_of_elem_type, elem_type
from pluginkit.onnx.inference.infer_types import infer_types, plugin_output_types
from pluginkit.onnx.inference.static_values import StaticValues
from pluginkit.onnx.inference.value_types import Types, dims_of
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.model.weightless_model import skeleton_for_checker, skeleton_for_inference
from tests.unit.onnx.models import BOOL, INT64, Affine, Silu, model_of, value


def tensor_type(dims, elem_type=1):
    return helper.make_tensor_type_proto(elem_type, dims)


def shape_of(value_type):
    if not value_type.tensor_type.HasField("shape"):
        return None
    return [dim.dim_param or dim.dim_value or None for dim in value_type.tensor_type.shape.dim]


def test_output_dimensions_keep_their_names_and_values():
    y, z = plugin_output_types(Affine().with_inputs("x"), [tensor_type(["n", 3])])
    assert shape_of(y) == ["n", 3]
    assert shape_of(z) == [None]  # 2 * n has no name
    assert shape_of(plugin_output_types(Affine().with_inputs("x"), [tensor_type([4, 3])])[1]) == [8]


def test_names_that_onnx_invented_are_not_written():
    (y,) = plugin_output_types(Silu(), [tensor_type(["unk__3", 3])])
    assert shape_of(y) == [None, 3]


def test_an_unknown_rank_leaves_the_dtype():
    (y,) = plugin_output_types(Silu(), [tensor_type(None)])
    assert y.tensor_type.elem_type == 1
    assert shape_of(y) is None
    assert plugin_output_types(Silu(), [None]) == [None]


def test_known_inputs_are_checked_beside_unknown_ones():
    assert plugin_output_types(Affine(), [None, tensor_type([4]), None]) == [None, None]
    with pytest.raises(TensorError) as caught:
        plugin_output_types(Affine(), [None, tensor_type([4], TensorProto.INT32), None])
    assert caught.value.code == "PK112"
    with pytest.raises(TensorError) as caught:
        plugin_output_types(Affine().with_inputs("x"), [tensor_type([])])
    assert caught.value.code == "PK112"


def test_a_sequence_is_no_tensor():
    sequence = helper.make_sequence_type_proto(tensor_type([4]))
    with pytest.raises(TensorError) as caught:
        plugin_output_types(Silu(), [sequence])
    assert caught.value.code == "PK112"


def if_model(rank_of_x):
    """An If on whether x is a vector, as TorchScript writes it: branches of ranks 1 and 2."""
    constants = {
        "one": np.array(1), "flat": np.array([-1]), "matrix": np.array([-1, 4]),
    }  # fmt: skip
    then = helper.make_graph(
        [helper.make_node("Reshape", ["x", "flat"], ["t"])], "then", [], [value("t", [None])]
    )
    other = helper.make_graph(
        [helper.make_node("Reshape", ["x", "matrix"], ["e"])], "else", [], [value("e", [None])]
    )
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Size", ["shape"], ["rank"]),
        helper.make_node("Equal", ["rank", "one"], ["is_vector"]),
        helper.make_node("If", ["is_vector"], ["y"], "if", then_branch=then, else_branch=other),
        helper.make_node("Relu", ["y"], ["z"]),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return model_of(nodes, [value("x", ["n"] * rank_of_x)], [value("z", [None])], initializers)


@pytest.mark.parametrize(("rank", "expected"), [(1, 1), (2, 2)])
def test_an_if_that_ranks_decide_has_the_shape_of_the_branch_taken(rank, expected):
    model = if_model(rank)
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    before = model.SerializeToString(deterministic=True)
    types = infer_types(model)
    main = next(scopes(model))
    assert len(shape_of(types.find(main, "y"))) == expected
    assert model.SerializeToString(deterministic=True) == before


def test_an_if_that_nothing_decides_says_only_what_both_branches_share():
    then = helper.make_graph([], "then", [], [value("known", [4])])
    other = helper.make_graph(
        [helper.make_node("Reshape", ["known", "to"], ["e"])], "else", [], [value("e", None)]
    )
    node = helper.make_node("If", ["c"], ["y"], "if", then_branch=then, else_branch=other)
    inputs = [value("c", [], BOOL), value("known", [4]), value("to", [None], INT64)]
    model = model_of([node], inputs, [value("y", None)])
    types = infer_types(model)
    y = types.find(next(scopes(model)), "y")
    assert y.tensor_type.elem_type == 1
    assert shape_of(y) is None


def test_bodies_of_nodes_of_one_name_have_types_of_their_own():
    def choice(gives, to):
        cast = helper.make_node("Cast", ["x"], ["t"], to=to)
        same = helper.make_node("Identity", ["t"], ["u"])
        body = helper.make_graph([cast, same], "body", [], [value("u", ["n"], to)])
        branches = {"then_branch": body, "else_branch": body}
        return helper.make_node("If", ["c"], [gives], name="same", **branches)

    model = model_of(
        [choice("y", INT64), choice("z", BOOL)],
        [value("c", [], BOOL), value("x", ["n"])],
        [value("y", ["n"], INT64), value("z", ["n"], BOOL)],
    )
    types = infer_types(model)
    found = [types.find(scope, "t").tensor_type.elem_type for scope in [*scopes(model)][1:]]
    assert found == [INT64, INT64, BOOL, BOOL]


def test_a_body_sees_the_types_around_it():
    inner = helper.make_node("Relu", ["x"], ["b"])
    body = helper.make_graph([inner], "body", [], [value("b", [None])])
    node = helper.make_node("If", ["c"], ["y"], "if", then_branch=body, else_branch=body)
    model = model_of([node], [value("x", ["n"]), value("c", [], BOOL)], [value("y", ["n"])])
    types = infer_types(model)
    inside = [scope for scope in scopes(model) if scope.outer is not None]
    assert len(inside) == 2
    assert [shape_of(types.find(scope, "x")) for scope in inside] == [["n"], ["n"]]
    assert types.find(inside[0], "nothing") is None


def test_skeletons_carry_no_weights_but_keep_shapes_and_values():
    big = numpy_helper.from_array(np.zeros((1000, 1000), np.float32), "big")
    small = numpy_helper.from_array(np.array([2, 3]), "small")
    node = helper.make_node("Reshape", ["big", "small"], ["y"])
    model = model_of([node], [value("x", [1])], [value("y", [2, 3])], [big, small])
    for skeleton in (skeleton_for_checker(model), skeleton_for_inference(model)):
        assert skeleton.ByteSize() < 500
        assert skeleton.graph.initializer[-1] == small
    assert [each.name for each in skeleton_for_checker(model).graph.input] == ["x", "big"]
    stub = skeleton_for_inference(model).graph.initializer[0]
    assert (stub.name, list(stub.dims), stub.raw_data) == ("big", [1000, 1000], b"")


def test_a_condition_that_cannot_be_computed_is_not_known():
    """An operator that lacks an input, and attributes of a wrong kind: onnx's evaluator raises."""
    node = helper.make_node("Add", ["x"], ["c"])
    shape = helper.make_node("Shape", ["x"], ["s"], nonsense="json:{")
    model = model_of([node, shape], [value("x", [2])], [value("c", None)])
    scope = next(scopes(model))
    types = Types()
    types.learn(scope)
    static = StaticValues(scope, types)
    assert static.find("c") is None
    assert static.find("s") is None


def test_a_constant_in_a_file_is_not_read(tmp_path, monkeypatch):
    """Not even where the current directory has a file of that name."""
    (tmp_path / "w.bin").write_bytes(bytes(8))
    monkeypatch.chdir(tmp_path)
    stored = helper.make_tensor("c", TensorProto.INT64, [1], [1])
    stored.ClearField("int64_data")
    stored.data_location = TensorProto.EXTERNAL
    stored.external_data.add(key="location", value="w.bin")
    scope_model = model_of(
        [helper.make_node("Constant", [], ["c"], value=stored)], [], [value("c", [1], INT64)]
    )
    read: list[str] = []
    original = open

    def watched(file, *args, **named):
        read.append(str(file))
        return original(file, *args, **named)

    monkeypatch.setattr("builtins.open", watched)
    static = StaticValues(next(scopes(scope_model)), Types())
    assert static.find("c") is None
    assert read == []


def test_element_types_have_numpys_names_both_ways():
    numbers = [number for number in TensorProto.DataType.values() if number]
    assert len(numbers) > 20
    assert [elem_type(dtype_of_elem_type(number)) for number in numbers] == numbers
    assert dtype_of_elem_type(TensorProto.FLOAT) == "float32"
    assert dtype_of_elem_type(TensorProto.DOUBLE) == "float64"
    assert dtype_of_elem_type(TensorProto.BFLOAT16) == "bfloat16"
    assert dtype_of_elem_type(99) == "type 99"
    with pytest.raises(ValueError, match="'flot32' is no element type"):
        elem_type("flot32")


@pytest.mark.parametrize("value", ["value = int64[1] {0}", "value_ints = [0]"])
def test_a_body_knows_the_axes_that_are_stored_outside(value):
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[5,6] x) => (float[n,m] y)
        <int64 steps = {{5}}, bool true = {{1}}, int64[1] stored = {{1}}>
        {{ axes = Constant<{value}>()
          y = Loop(steps, true) <body = b (int64 k, bool go) => (bool on, float row) {{
            first = ReduceSum<keepdims = 0>(x, axes) second = ReduceSum<keepdims = 0>(x, stored)
            row = Identity(second)
            on = Identity(true) }}> }}"""
    )
    types = infer_types(model)
    (body,) = [scope for scope in scopes(model) if scope.outer is not None]
    sizes = {
        name: [each.dim_value for each in dims_of(types.find(body, name)) or ()]
        for name in ("first", "second")
    }
    assert sizes == {"first": [6], "second": [5]}
    assert not model.graph.node[1].attribute[0].g.initializer


@pytest.mark.parametrize(("carried", "shape"), [("other", (3, 2)), ("k", None)])
def test_branches_in_bodies_know_stored_shapes_that_no_body_hides(carried, shape):
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (int64 n, bool c, float[2, 3] x, int64[2] s) => (float[a, b] y) {{
            k = Constant<value = int64[2] {{3, 2}}>() q, y = Loop(n, c, s, x) <
                body = b (int64 i, bool d, int64[2] {carried}, float[e, f] w)
                    => (bool o, int64[2] t, float[g, h] z) {{
                    o = Identity(d) t = Identity({carried}) z = If(d) <
                        then_branch = u () => (float[l, m] p) {{ p = Reshape(w, k) }},
                        else_branch = v () => (float[l, m] r) {{ r = Identity(w) }}> }}> }}"""
    )
    branch = list(scopes(skeleton_for_inference(model)))[2].graph
    stored = [tuple(numpy_helper.to_array(each)) for each in branch.initializer]
    assert stored == ([] if shape is None else [shape])


def test_a_reshape_whose_sizes_onnx_cannot_follow_has_its_rank():
    model = onnx.parser.parse_model("""<ir_version: 7, opset_import: ["" : 13]>
        g (float[N, 4, T] x) => (float[A, B, C] y) <int64 first = {0}, int64 last = {2},
        int64[1] rest = {-1}, int64[1] axis = {0}> {
        s = Shape(x) n = Gather(s, first) t = Gather(s, last)
        ns = Unsqueeze(n, axis) ts = Unsqueeze(t, axis) sizes = Concat<axis = 0>(ns, ts, rest)
        parts = Reshape(x, sizes) y = Softmax(parts) }""")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    types = infer_types(model)
    for name in ("parts", "y"):
        assert len(dims_of(types.find(next(scopes(model)), name))) == 3
