import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.errors import ModelError, UsageError
from pluginkit.onnx.running.random_inputs import DEFAULT_SIZE, draw_inputs
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.unit.onnx.models import BOOL, INT64, model_of, value


def written(tmp_path, nodes, inputs, outputs, initializers=(), **options):
    path = tmp_path / "m.onnx"
    model = model_of(nodes, inputs, outputs, initializers, **options)
    path.write_bytes(model.SerializeToString())
    return path


def table(rows, columns=4, name="table"):
    return numpy_helper.from_array(np.zeros((rows, columns), np.float32), name)


def drawn_indices(tmp_path, nodes, initializers, shape=(200,), **options):
    """Draw the input ``i`` of a model, and check that the model runs with it."""
    path = written(
        tmp_path,
        nodes,
        [value("i", list(shape), INT64)],
        [value("y", None)],
        initializers,
        **options,
    )
    inputs = draw_inputs(path)
    run_onnxruntime(path, inputs)
    return inputs["i"]


@pytest.mark.parametrize("sizes", [None, (50, 200), (7, 31), (1, 1), (300, 2000), (3, 0)])
def test_edge_indices_of_the_real_models_are_valid(sage, sizes):
    shapes = {"x": (sizes[0], 16), "edge_index": (2, sizes[1])} if sizes else {}
    n, e = sizes or (DEFAULT_SIZE, DEFAULT_SIZE)
    inputs = draw_inputs(sage, shapes=shapes, seed=3)
    assert inputs["x"].shape == (n, 16)
    edges = inputs["edge_index"]
    assert (edges.shape, edges.dtype) == ((2, e), np.int64)
    assert edges.size == 0 or (edges.min() >= 0 and edges.max() < n)
    if e > 10 * n > 10:
        assert set(edges.flatten()) == set(range(n))  # and reach every node
    assert run_onnxruntime(sage, inputs)["y"].shape == (n, 8)


def test_the_same_seed_draws_the_same(sage):
    a, b, c = (draw_inputs(sage, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a["x"], c["x"])


@pytest.mark.parametrize(
    ("shapes", "sizes"),
    [
        ({}, (DEFAULT_SIZE, 2 * DEFAULT_SIZE, DEFAULT_SIZE + 1)),
        ({"x": (3,)}, (3, 6, 4)),
        ({"y": (10,)}, (5, 10, 6)),
        ({"y": (7,)}, (DEFAULT_SIZE, 7, DEFAULT_SIZE + 1)),
    ],
)
def test_dimensions_named_by_expressions_follow_their_names(tmp_path, shapes, sizes):
    inputs = [value(name, [dim]) for name, dim in (("x", "n"), ("y", "2*n"), ("z", "n + 1"))]
    nodes = [helper.make_node("Relu", [name], [f"{name}o"]) for name in "xyz"]
    path = written(tmp_path, nodes, inputs, [value(f"{name}o", None) for name in "xyz"])
    drawn = draw_inputs(path, shapes=shapes)
    assert tuple(drawn[name].size for name in "xyz") == sizes


def test_dimensions_of_one_name_have_one_size(tmp_path):
    path = written(
        tmp_path,
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [value("a", ["n", 3]), value("b", ["n", 3])],
        [value("y", ["n", 3])],
    )
    assert [array.shape for array in draw_inputs(path).values()] == [(8, 3)] * 2
    assert draw_inputs(path, shapes={"b": (5, 3)})["a"].shape == (5, 3)
    for shapes in ({"a": (5, 4)}, {"a": (5,)}, {"a": (5, 3), "b": (6, 3)}, {"c": (1,)}):
        with pytest.raises(UsageError) as caught:
            draw_inputs(path, shapes=shapes)
        assert caught.value.code == "PK444"


@pytest.mark.parametrize(
    ("node", "limit"),
    [
        (helper.make_node("Gather", ["table", "i"], ["y"]), 13),
        (helper.make_node("Gather", ["table", "i"], ["y"], axis=1), 4),
        (helper.make_node("Gather", ["table", "i"], ["y"], axis=-2), 13),
        (helper.make_node("OneHot", ["i", "depth", "values"], ["y"]), 6),
    ],
)
def test_indices_stay_below_what_they_count_along(tmp_path, node, limit):
    constants = [
        table(13),
        numpy_helper.from_array(np.array(6), "depth"),
        numpy_helper.from_array(np.array([0, 1], np.float32), "values"),
    ]
    drawn = drawn_indices(tmp_path, [node], constants)
    assert drawn.max() == limit - 1
    assert drawn.min() == 0


@pytest.mark.parametrize("op_type", ["GatherElements", "GatherND", "ScatterElements", "ScatterND"])
def test_every_operator_that_reads_indices_is_known(tmp_path, op_type):
    shape = {"GatherND": (50, 1), "ScatterND": (50, 1)}.get(op_type, (13, 4))
    updates = np.zeros((50, 4) if op_type == "ScatterND" else (13, 4), np.float32)
    inputs = ["table", "i"] + (["u"] if op_type.startswith("Scatter") else [])
    node = helper.make_node(op_type, inputs, ["y"])
    constants = [table(13), numpy_helper.from_array(updates, "u")]
    drawn = drawn_indices(tmp_path, [node], constants, shape)
    assert drawn.max() == 12


@pytest.mark.parametrize("order", [1, -1])
def test_the_smallest_of_several_limits_counts(tmp_path, order):
    nodes = [
        helper.make_node("Gather", ["table", "i"], ["a"]),
        helper.make_node("Gather", ["small", "i"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    nodes[:2] = nodes[:2][::order]
    drawn = drawn_indices(tmp_path, nodes, [table(13), table(5, name="small")])
    assert drawn.max() == 4


def identity_of(source, name):
    node = helper.make_node("Identity", [source], [name])
    return helper.make_graph([node], name, [], [value(name, [200], INT64)])


CARRIERS = {
    "Cast": ([helper.make_node("Cast", ["i"], ["j"], to=TensorProto.INT32)], {}),
    "Slice": ([helper.make_node("Slice", ["i", "s", "e"], ["j"])], {"s": [3], "e": [90]}),
    "Unsqueeze": ([helper.make_node("Unsqueeze", ["i", "a"], ["j"])], {"a": [0]}),
    "Reshape": ([helper.make_node("Reshape", ["i", "a"], ["j"])], {"a": [2, -1]}),
    "Concat": ([helper.make_node("Concat", ["c", "i"], ["j"], axis=0)], {"c": [1, 2]}),
    "Expand": ([helper.make_node("Expand", ["i", "a"], ["j"])], {"a": [2, 200]}),
    "Split": (
        [helper.make_node("Split", ["i"], ["k", "j"], num_outputs=2)],
        {},
    ),
    "Gather": ([helper.make_node("Gather", ["i", "a"], ["j"])], {"a": [0, 5, 7]}),
    "Where": (
        [
            helper.make_node("Less", ["i", "z"], ["n"]),
            helper.make_node("Where", ["n", "z", "i"], ["j"]),
        ],
        {"z": [0]},
    ),
    "If": (
        [
            helper.make_node(
                "If",
                ["c"],
                ["j"],
                then_branch=identity_of("i", "t"),
                else_branch=identity_of("i", "e"),
            )
        ],
        {"c": True},
    ),
    "Loop": (
        [
            helper.make_node(
                "Loop",
                ["n", "", "i"],
                ["j"],
                body=helper.make_graph(
                    [
                        helper.make_node("Identity", ["go"], ["go2"]),
                        helper.make_node("Identity", ["s"], ["s2"]),
                    ],
                    "b",
                    [value("k", [], INT64), value("go", [], BOOL), value("s", [200], INT64)],
                    [value("go2", [], BOOL), value("s2", [200], INT64)],
                ),
            )
        ],
        {"n": 2},
    ),
}


@pytest.mark.parametrize("name", CARRIERS)
def test_indices_are_followed_through_what_hands_them_on(tmp_path, name):
    nodes, constants = CARRIERS[name]
    gather = helper.make_node("Gather", ["table", "j"], ["y"])
    stored = [numpy_helper.from_array(np.array(data), key) for key, data in constants.items()]
    drawn = drawn_indices(tmp_path, [*nodes, gather], [table(13), *stored])
    assert drawn.max() == 12


def test_indices_are_followed_into_functions(tmp_path):
    function = helper.make_function(
        "local", "F", ["t", "k"], ["y"], [helper.make_node("Gather", ["t", "k"], ["y"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    call = helper.make_node("F", ["table", "i"], ["y"], domain="local")
    assert drawn_indices(tmp_path, [call], [table(13)], functions=[function]).max() == 12


def test_indices_inside_a_body_count_in_values_around_it(tmp_path):
    def branch(name):
        node = helper.make_node("Gather", ["table", "i"], [name])
        return helper.make_graph([node], name, [], [value(name, [200, 4])])

    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch("t"), else_branch=branch("e"))
    stored = [table(13), numpy_helper.from_array(np.array(True), "c")]
    assert drawn_indices(tmp_path, [choice], stored).max() == 12


def in_a_branch(tmp_path, first, inputs, stored):
    """Gather the rows ``i`` of what ``first`` makes in a branch of an If."""
    nodes = [first, helper.make_node("Gather", ["inner", "i"], ["b"])]
    body = helper.make_graph(nodes, "body", [], [value("b", [5, 4])])
    choice = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    inputs = [value("i", [5], INT64), value("c", [], BOOL), *inputs]
    return written(tmp_path, [choice], inputs, [value("y", [5, 4])], stored)


def test_a_limit_inside_a_body_is_the_size_that_the_model_tells(tmp_path):
    path = in_a_branch(tmp_path, helper.make_node("Relu", ["table"], ["inner"]), [], [table(3)])
    drawn = [draw_inputs(path, seed=seed)["i"] for seed in range(20)]
    assert set(np.concatenate(drawn)) == {0, 1, 2}
    run_onnxruntime(path, draw_inputs(path))


def test_a_limit_that_only_a_body_knows_asks_for_a_range(tmp_path):
    first = helper.make_node("Slice", ["table", "k", "end"], ["inner"])
    stored = [table(13), numpy_helper.from_array(np.array([13]), "end")]
    path = in_a_branch(tmp_path, first, [value("k", [1], INT64)], stored)
    with pytest.raises(ModelError) as caught:
        draw_inputs(path)
    assert caught.value.code == "PK445"
    assert "--range i:0,n" in caught.value.fix
    drawn = draw_inputs(path, ranges={"i": (0, 4), "k": (0, 9)})
    run_onnxruntime(path, drawn)


def test_other_integers_are_not_bounded_by_arithmetic_they_pass(tmp_path):
    nodes = [
        helper.make_node("Add", ["i", "i"], ["twice"]),
        helper.make_node("Cast", ["twice"], ["y"], to=TensorProto.FLOAT),
    ]
    drawn = drawn_indices(tmp_path, nodes, [])
    assert set(drawn) == set(range(10))


def test_ranges_are_kept(tmp_path):
    nodes = [
        helper.make_node("Cast", ["i"], ["f"], to=1),
        helper.make_node("Add", ["f", "x"], ["y"]),
    ]
    inputs = [value("i", [500], INT64), value("x", [500])]
    path = written(tmp_path, nodes, inputs, [value("y", [500])])
    drawn = draw_inputs(path, ranges={"i": (-3, 4), "x": (2.0, 2.5)})
    assert set(drawn["i"]) == set(range(-3, 4))
    assert 2 <= drawn["x"].min() < 2.05
    assert 2.45 < drawn["x"].max() <= 2.5
    for ranges in ({"q": (0, 1)}, {"i": (4, 4)}):
        with pytest.raises(UsageError) as caught:
            draw_inputs(path, ranges=ranges)
        assert caught.value.code == "PK444"


def test_every_dtype_is_drawn(tmp_path):
    kinds = ["FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT8", "INT32", "INT64", "BOOL"]
    inputs = [value(kind, [64], getattr(TensorProto, kind)) for kind in kinds]
    nodes = [helper.make_node("Identity", [kind], [f"out_{kind}"]) for kind in kinds]
    outputs = [value(f"out_{kind}", [64], getattr(TensorProto, kind)) for kind in kinds]
    drawn = draw_inputs(written(tmp_path, nodes, inputs, outputs))
    for kind in kinds:
        elem_type = getattr(TensorProto, kind)
        assert drawn[kind].dtype == helper.tensor_dtype_to_np_dtype(elem_type)
        assert len(np.unique(drawn[kind].astype(np.float64))) > 1


def test_strings_are_words_that_the_model_knows(tmp_path):
    node = helper.make_node(
        "LabelEncoder", ["s"], ["y"], domain="ai.onnx.ml", keys_strings=["a", "b"],
        values_int64s=[1, 2],
    )  # fmt: skip
    string, int64 = TensorProto.STRING, TensorProto.INT64
    path = written(tmp_path, [node], [value("s", [40], string)], [value("y", [40], int64)])
    assert {*draw_inputs(path)["s"]} == {"a", "b"}


def test_what_cannot_be_drawn_says_so(tmp_path):
    node = helper.make_node("Identity", ["s"], ["y"])
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, [1])
    result = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, [1])
    path = written(tmp_path, [node], [sequence], [result])
    with pytest.raises(ModelError) as caught:
        draw_inputs(path)
    assert caught.value.code == "PK445"
    path = written(tmp_path, [node], [value("s", None)], [value("y", None)])
    with pytest.raises(ModelError) as caught:
        draw_inputs(path)
    assert caught.value.code == "PK445"
    assert draw_inputs(path, shapes={"s": (2, 3)})["s"].shape == (2, 3)


def test_indices_into_nothing_are_refused(tmp_path):
    node = helper.make_node("Gather", ["x", "i"], ["y"])
    inputs = [value("x", ["n", 2]), value("i", ["e"], INT64)]
    path = written(tmp_path, [node], inputs, [value("y", ["e", 2])])
    with pytest.raises(ModelError) as caught:
        draw_inputs(path, shapes={"x": (0, 2), "i": (0,)} | {"i": (3,)})
    assert caught.value.code in ("PK441", "PK445")
    assert draw_inputs(path, shapes={"x": (0, 2), "i": (0,)})["i"].size == 0


def test_a_model_with_external_data_is_drawn_for(tmp_path):
    model = model_of(
        [helper.make_node("Gather", ["table", "i"], ["y"])],
        [value("i", [100], INT64)],
        [value("y", [100, 4])],
        [table(13)],
    )
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert draw_inputs(path)["i"].max() == 12


def test_a_negative_seed_is_refused(sage):
    with pytest.raises(UsageError, match="PK444.*seed is -1"):
        draw_inputs(sage, seed=-1)


def test_a_range_of_integers_begins_at_the_next_integer(tmp_path):
    path = written(tmp_path, [], [value("i", [50], INT64)], [value("i", [50], INT64)])
    assert set(draw_inputs(path, ranges={"i": (-0.5, 1.5)})["i"]) == {0, 1}
    with pytest.raises(UsageError, match="PK444.*expected an integer in it"):
        draw_inputs(path, ranges={"i": (0.2, 0.3)})


@pytest.mark.parametrize(
    ("options", "elem_type", "dims"),
    [
        ({"ranges": {"i": (-1e300, 1e300)}}, INT64, [2]),
        ({"ranges": {"i": (0, float("inf"))}}, TensorProto.FLOAT, [2]),
        ({"ranges": {"i": (0, float("inf"))}}, INT64, [2]),
        ({}, TensorProto.FLOAT, [2**40, 2**20]),
        ({}, TensorProto.FLOAT, [1] * 70),
    ],
)
def test_what_cannot_be_drawn_is_said(options, elem_type, dims, tmp_path):
    path = written(tmp_path, [], [value("i", dims, elem_type)], [value("i", dims, elem_type)])
    with pytest.raises(ModelError, match="PK445.*'i'"):
        draw_inputs(path, **options)


def test_a_negative_size_is_an_unknown_one(tmp_path):
    path = written(tmp_path, [], [value("i", [-1, 3])], [value("i", [-1, 3])])
    assert draw_inputs(path)["i"].shape == (DEFAULT_SIZE, 3)


def test_a_reader_of_indices_without_them_is_left_to_onnxruntime(tmp_path):
    gather = helper.make_node("Gather", ["i"], ["y"])
    path = written(tmp_path, [gather], [value("i", [2], INT64)], [value("y", None)])
    assert draw_inputs(path)["i"].shape == (2,)


def test_stored_indices_that_are_listed_as_inputs_are_not_drawn(tmp_path):
    """Before IR version 4 every initializer was an input too."""
    gather = helper.make_node("Gather", ["table", "i"], ["y"])
    stored = numpy_helper.from_array(np.array([1, 0]), "i")
    inputs = [value("table", [2, 4]), value("i", [2], INT64)]
    path = written(tmp_path, [gather], inputs, [value("y", [2, 4])], [stored])
    assert draw_inputs(path).keys() == {"table"}


@pytest.mark.parametrize("axis", [5, -7])
def test_an_axis_out_of_range_is_left_to_onnxruntime(axis, tmp_path):
    nodes = [helper.make_node("Gather", ["table", "i"], ["y"], axis=axis)]
    path = written(tmp_path, nodes, [value("i", [3], INT64)], [value("y", None)], [table(4)])
    with pytest.raises(ModelError, match="PK441.*\n.*\n.*(axis must be|is not) in"):
        draw_inputs(path)
