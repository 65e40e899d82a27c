"""Where two models begin to differ."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.errors import UsageError
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.compare_models import compare_models
from pluginkit.onnx.running.output_error import compare_arrays, tolerance_of
from tests.unit.onnx.models import BOOL, FuseSilu, Silu, model_of, silu_nodes, value

PLUGINS = {Silu.spec.key: Silu}
HALF = TensorProto.FLOAT16


def saved(path, model):
    path.write_bytes(model.SerializeToString())
    return path


def chain(elem_type=TensorProto.FLOAT):
    """before = relu(x); middle = silu(before); after = 2 middle; y = sum over rows."""
    two = numpy_helper.from_array(np.array(2, helper.tensor_dtype_to_np_dtype(elem_type)), "two")
    return model_of(
        [
            helper.make_node("Relu", ["x"], ["before"], name="relu"),
            *silu_nodes("before", "middle", name="silu"),
            helper.make_node("Mul", ["middle", "two"], ["after"], name="double"),
            helper.make_node("ReduceSum", ["after"], ["y"], name="sum", keepdims=0),
        ],
        [value("x", ["n", 4], elem_type)],
        [value("y", [], elem_type)],
        [two],
    )


def pair(tmp_path, model):
    result = rewrite_model(model, [FuseSilu])
    return saved(tmp_path / "a.onnx", model), saved(tmp_path / "b.onnx", result.model)


def compare(paths, **options):
    return compare_models(*paths, plugins=PLUGINS, taps=True, **options)


def test_values_inside_are_compared_in_topological_order(tmp_path):
    taps = compare(pair(tmp_path, chain())).taps
    assert [each.name for each in taps.values] == ["before", "middle", "after", "y"]
    assert taps.first is None
    assert all(each.max_abs_error < 1e-5 for each in taps.values)
    assert taps.skipped == {"gate": "the rewritten model has no such value"}


def test_nothing_is_tapped_unless_asked(tmp_path):
    assert compare_models(*pair(tmp_path, chain()), plugins=PLUGINS).taps is None


def test_the_first_that_differs_is_named_with_its_nodes_and_what_they_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Silu, "reference", lambda self, x: (x + 5).astype(x.dtype))
    comparison = compare(pair(tmp_path, chain()), runs=2)
    assert not comparison.ok
    first = comparison.taps.first
    assert first.value.name == "middle"
    assert first.value.max_abs_error > 5
    assert first.produced_by == "Mul 'silu'"
    assert first.rewritten_by == "Silu_PK 'silu'"
    assert list(first.inputs) == ["before"]
    assert first.inputs["before"].ok
    assert [each.ok for each in comparison.taps.values] == [True, False, False, False]


def test_errors_that_the_outputs_hide_are_found(tmp_path, monkeypatch):
    # The rows' sum is the same when the plugin turns them round.
    monkeypatch.setattr(Silu, "reference", lambda self, x: (x / (1 + np.exp(-x)))[::-1].copy())
    comparison = compare(pair(tmp_path, chain()), atol={"float32": 1e-4})
    assert comparison.ok
    assert comparison.taps.first.value.name == "middle"


def test_a_new_value_is_said_to_be_new(tmp_path):
    model = chain()
    other = chain()
    other.graph.node.insert(1, helper.make_node("Neg", ["before"], ["new"], name="neg"))
    other.graph.node[2].input[0] = other.graph.node[3].input[0] = "new"
    taps = compare((saved(tmp_path / "a.onnx", model), saved(tmp_path / "b.onnx", other))).taps
    assert taps.first.value.name == "gate"
    assert taps.first.inputs == {"new": None}


def test_float16_agrees_inside_and_taps_tell_what_they_moved(tmp_path):
    comparison = compare(pair(tmp_path, chain(HALF)), shapes={"x": (64, 4)}, rtol={"float16": 2e-2})
    assert comparison.ok
    assert comparison.taps.first is None
    assert [each.dtype for each in comparison.taps.values] == ["float16"] * 4
    assert 0 <= comparison.taps.shift < 1


def test_shapes_that_depend_on_data(tmp_path):
    model = model_of(
        [
            helper.make_node("NonZero", ["x"], ["where"], name="where"),
            *silu_nodes("x", "s"),
            helper.make_node("GatherND", ["s", "turned"], ["y"], name="pick"),
        ],
        [value("x", ["n", 4])],
        [value("y", ["k"])],
    )
    model.graph.node.insert(1, helper.make_node("Transpose", ["where"], ["turned"], perm=[1, 0]))
    taps = compare(pair(tmp_path, model), runs=2, shapes={"x": (3, 4)}).taps
    shapes = {each.name: each.shape for each in taps.values}
    assert shapes["where"] == (2, 12)
    assert shapes["y"] == (12,)
    assert taps.first is None


def test_bodies_sequences_and_what_is_gone_are_left_out_with_a_word(tmp_path):
    body = helper.make_graph(silu_nodes("x", "b", prefix="in_"), "body", [], [value("b", ["n", 4])])
    nodes = [
        helper.make_node("If", ["c"], ["z"], "choice", then_branch=body, else_branch=body),
        helper.make_node("SplitToSequence", ["z"], ["parts"]),
        helper.make_node("ConcatFromSequence", ["parts"], ["y"], axis=0),
    ]
    model = model_of(nodes, [value("x", ["n", 4]), value("c", [], BOOL)], [value("y", ["n", 4])])
    taps = compare(pair(tmp_path, model)).taps
    assert [each.name for each in taps.values] == ["z", "y"]
    assert taps.skipped == {
        "If 'choice'": "values inside its bodies are not compared",
        "parts": "it is not known to be a tensor",
    }


def test_many_values_take_several_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("pluginkit.onnx.running.first_divergence._AT_ONCE", 2)
    taps = compare(pair(tmp_path, chain())).taps
    assert [each.name for each in taps.values] == ["before", "middle", "after", "y"]


def test_several_sets_of_shapes_are_several_cases(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        Silu,
        "reference",
        lambda self, x: sizes.append(len(x)) or (x / (1 + np.exp(-x)) + (len(x) == 3)).astype("f"),
    )
    sets = [{"x": (1, 4)}, {"x": (3, None)}, {}]
    comparison = compare_models(*pair(tmp_path, chain()), plugins=PLUGINS, shapes=sets, runs=2)
    assert sizes == [1, 1, 3, 3, 8, 8]
    assert [case.inputs for case in comparison.cases] == [{"x": (n, 4)} for n in (1, 3, 8)]
    assert [case.ok for case in comparison.cases] == [True, False, True]
    assert comparison.runs == 6
    assert not comparison.ok
    with pytest.raises(UsageError, match="PK444"):
        compare_models(*pair(tmp_path, chain()), plugins=PLUGINS, shapes=[])


def test_tolerances_by_dtype():
    assert tolerance_of("float16", None) == 1e-2
    assert tolerance_of("float16", {"float32": 1}) == 1e-2
    assert tolerance_of("int32", {"int32": 1}) == 1
    assert tolerance_of("int32", 0.5) == 0.5
    off = np.array([3], np.int32), np.array([4], np.int32)
    assert not compare_arrays("y", *off).ok
    assert compare_arrays("y", *off, atol={"int32": 1}).ok


@pytest.mark.parametrize(
    "options",
    [{"rtol": -1.0}, {"atol": float("nan")}, {"rtol": {"half": 1.0}}, {"atol": {"float32": -1}}],
)
def test_what_is_no_tolerance(options, tmp_path):
    with pytest.raises(UsageError, match="PK456"):
        compare_models(*pair(tmp_path, chain()), plugins=PLUGINS, **options)


def test_another_shape_is_told():
    found = compare_arrays("y", np.ones((2, 3), np.float32), np.ones((3,), np.float16))
    assert found.got == "float16 3"
    assert compare_arrays("y", np.ones(1), np.array(1.0)).got == "float64 scalar"
