import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from pluginkit.errors import ModelError, UsageError
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.compare_models import compare_arrays, compare_models
from tests.unit.onnx.models import BOOL, INT64, FuseSilu, Silu, model_of, silu_nodes, value

PLUGINS = {Silu.spec.key: Silu}
X = np.zeros(1, np.float32)


def saved(path, model):
    path.write_bytes(model.SerializeToString())
    return path


def pair(tmp_path):
    model = model_of(silu_nodes("x", "y"), [value("x", ["n", 4])], [value("y", ["n", 4])])
    result = rewrite_model(model, [FuseSilu])
    return saved(tmp_path / "a.onnx", model), saved(tmp_path / "b.onnx", result.model)


def test_a_right_rewrite_agrees(tmp_path):
    comparison = compare_models(*pair(tmp_path), plugins=PLUGINS, runs=3, shapes={"x": (5, 4)})
    assert comparison.ok
    (output,) = comparison.outputs
    assert (output.name, output.dtype, output.shape) == ("y", "float32", (5, 4))
    assert 0 <= output.max_abs_error < 1e-6
    assert comparison.inputs == {"x": (5, 4)}
    assert comparison.runs == 3


def test_a_model_that_was_rewritten_for_one_size_runs_with_it(tmp_path):
    model = model_of(silu_nodes("x", "y"), [value("x", ["n", 4])], [value("y", ["n", 4])])
    rewritten = rewrite_model(model, [FuseSilu], shapes={"x": "3x4"}).model
    paths = saved(tmp_path / "a.onnx", model), saved(tmp_path / "b.onnx", rewritten)
    assert compare_models(*paths, plugins=PLUGINS).inputs == {"x": (3, 4)}
    with pytest.raises(
        UsageError, match=r"PK444.*\(5, 4\) does not fit input 'x'; expected \(3, 4\)"
    ):
        compare_models(*paths, plugins=PLUGINS, shapes={"x": (5, 4)})


def test_a_wrong_plugin_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(Silu, "reference", lambda self, x: (x + 1).astype(x.dtype))
    x = np.array([[0, 0, 0, 2]], np.float32)
    comparison = compare_models(*pair(tmp_path), plugins=PLUGINS, inputs={"x": x})
    assert not comparison.ok
    (output,) = comparison.outputs
    assert output.mismatches == 4
    silu = 2 / (1 + np.exp(-2))
    assert output.max_abs_error == pytest.approx(3 - silu, rel=1e-5)
    assert output.max_rel_error == float("inf")  # where silu(0) is 0


def test_the_worst_of_all_runs_counts(tmp_path, monkeypatch):
    errors = iter([0, 5, 1])
    monkeypatch.setattr(
        Silu, "reference", lambda self, x: (x / (1 + np.exp(-x)) + next(errors)).astype(x.dtype)
    )
    comparison = compare_models(*pair(tmp_path), plugins=PLUGINS, runs=3)
    (output,) = comparison.outputs
    assert output.max_abs_error == pytest.approx(5, rel=1e-5)
    assert output.mismatches == 64


def test_an_output_that_declares_a_wrong_rank_is_compared(tmp_path):
    model = model_of(silu_nodes("x", "y"), [value("x", ["n", 4])], [value("y", ["n"])])
    rewritten = rewrite_model(model, [FuseSilu]).model
    paths = saved(tmp_path / "a.onnx", model), saved(tmp_path / "b.onnx", rewritten)
    assert len(rewritten.graph.output[0].type.tensor_type.shape.dim) == 2
    assert compare_models(*paths, plugins=PLUGINS, shapes={"x": (5, 4)}).ok


@pytest.mark.parametrize(("op_type", "is_right"), [("Squeeze", True), ("Identity", False)])
def test_outputs_whose_rank_a_branch_decides_are_compared(tmp_path, op_type, is_right):
    """The model declares the rank of the branch that is not taken for one row."""
    inputs, rows = [value("x", ["n", 4])], helper.make_node("Shape", ["x"], ["s"], end=1)
    bodies = [
        helper.make_graph([helper.make_node(each, ["x"], [each])], each, [], [value(each, None)])
        for each in ("Squeeze", "Identity")
    ]
    nodes = [
        rows,
        helper.make_node("Equal", ["s", "one"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=bodies[0], else_branch=bodies[1]),
    ]
    one = [helper.make_tensor("one", INT64, [1], [1])]
    model = model_of(nodes, inputs, [value("y", ["n", 4])], one)
    taken = model_of([helper.make_node(op_type, ["x"], ["y"])], inputs, [value("y", [4])])
    paths = saved(tmp_path / "a.onnx", model), saved(tmp_path / "b.onnx", taken)
    assert compare_models(*paths, shapes={"x": (1, 4)}).ok == is_right


def test_models_of_other_signatures_are_refused(tmp_path):
    path, _ = pair(tmp_path)
    for inputs, outputs in (
        ([value("z", ["n", 4])], [value("y", ["n", 4])]),
        ([value("x", ["n", 4])], [value("q", ["n", 4])]),
        ([value("x", ["n", 4], TensorProto.FLOAT16)], [value("y", ["n", 4], TensorProto.FLOAT16)]),
        ([value("x", ["n"])], [value("y", ["n"])]),
        ([value("x", ["n", 5])], [value("y", ["n", 5])]),
    ):
        node = helper.make_node("Relu", [inputs[0].name], [outputs[0].name])
        other = saved(tmp_path / "c.onnx", model_of([node], inputs, outputs))
        with pytest.raises(ModelError) as caught:
            compare_models(path, other, plugins=PLUGINS)
        assert caught.value.code == "PK443"
    assert "differ: x float32 (n, 5); expected x float32 (n, 4)." in str(caught.value)


def test_no_inputs_are_drawn_where_a_file_gives_none(tmp_path):
    path, other = pair(tmp_path)
    for given in ({}, {"y": np.zeros((1, 4), np.float32)}):  # an output, no input
        with pytest.raises(ModelError, match="PK440 input 'x' is missing"):
            compare_models(path, other, inputs=given, expected=given or None, plugins=PLUGINS)


def test_no_run_proves_nothing(tmp_path):
    with pytest.raises(UsageError) as caught:
        compare_models(*pair(tmp_path), plugins=PLUGINS, runs=0)
    assert caught.value.code == "PK444"


def custom_pair(tmp_path, place="main"):
    """Return a model with my::Swish, an operator of nobody's, and the model with Silu_PK."""

    def model(swish):
        middle = [swish]
        if place == "body":
            graphs = [helper.make_graph([swish], name, [], [value("b", ["n", 4])]) for name in "te"]
            middle = [
                helper.make_node("If", ["c"], ["o"], then_branch=graphs[0], else_branch=graphs[1])
            ]
        out = "o" if place == "body" else "b"
        nodes = [
            helper.make_node("Gather", ["table", "i"], ["x"]),
            helper.make_node("Neg", ["x"], ["a"]),
            *middle,
            helper.make_node("Add", [out, "x"], ["y"]),
        ]
        inputs = [value("table", [5, 4]), value("i", ["n"], INT64), value("c", [], BOOL)]
        made = model_of(nodes, inputs, [value("y", ["n", 4])])
        made.opset_import.add(domain="my", version=1)
        return made

    custom = helper.make_node("Swish", ["a"], ["b"], "swish", domain="my")
    return (
        saved(tmp_path / "a.onnx", model(custom)),
        saved(tmp_path / "b.onnx", model(plugin_node(Silu(), ["a"], ["b"], "swish"))),
    )


@pytest.mark.parametrize("place", ["main", "body"])
def test_a_custom_node_is_computed_by_the_plugin_that_replaced_it(place, tmp_path):
    comparison = compare_models(*custom_pair(tmp_path, place), plugins=PLUGINS)
    assert comparison.ok
    assert comparison.inputs == {"table": (5, 4), "i": (8,), "c": ()}
    assert set(comparison.substituted) == {"Swish 'swish' is computed by Silu_PK"}


def test_an_error_beside_a_custom_node_is_found(tmp_path):
    original, rewritten = custom_pair(tmp_path)
    model = onnx.load(rewritten)
    model.graph.node[-1].op_type = "Sub"
    comparison = compare_models(original, saved(rewritten, model), plugins=PLUGINS)
    assert not comparison.ok


def test_a_custom_node_without_a_plugin_is_refused_with_a_way_on(tmp_path):
    original, _ = custom_pair(tmp_path)
    with pytest.raises(ModelError, match="PK441 ONNX Runtime does not know an operator") as caught:
        compare_models(original, original, plugins=PLUGINS)
    assert "--expected golden.npz" in caught.value.fix


def golden():
    table = np.arange(20, dtype=np.float32).reshape(5, 4) / 10
    x = table[[3, 0]]
    return (
        {"table": table, "i": np.array([3, 0]), "c": np.array(True)},
        {"y": (-x / (1 + np.exp(x)) + x).astype(np.float32)},
    )


def test_outputs_from_elsewhere_take_the_place_of_the_original(tmp_path):
    inputs, expected = golden()
    pair = custom_pair(tmp_path)
    comparison = compare_models(*pair, plugins=PLUGINS, inputs=inputs, expected=expected)
    assert comparison.ok
    assert comparison.substituted == []
    assert comparison.computed_by[0] == "given outputs"
    expected["y"][1, 2] += 0.5
    comparison = compare_models(*pair, plugins=PLUGINS, inputs=inputs, expected=expected)
    (output,) = comparison.outputs
    assert output.mismatches == 1
    assert output.max_abs_error == pytest.approx(0.5, rel=1e-5)


def test_one_file_may_hold_inputs_and_outputs(tmp_path):
    inputs, expected = golden()
    both = {**inputs, **expected}
    pair = custom_pair(tmp_path)
    assert compare_models(*pair, plugins=PLUGINS, inputs=both, expected=both).ok
    both["y"][1, 2] += 0.5
    assert not compare_models(*pair, plugins=PLUGINS, inputs=both, expected=both).ok


def test_outputs_from_elsewhere_must_be_those_of_the_model(tmp_path):
    inputs, expected = golden()
    pair = custom_pair(tmp_path)
    for wrong, words in (({}, "'y' is missing"), ({**expected, "z": X}, "'z' is unknown")):
        with pytest.raises(UsageError, match=f"PK448 expected output {words}"):
            compare_models(*pair, plugins=PLUGINS, inputs=inputs, expected=wrong)
    with pytest.raises(UsageError, match="PK444 expected needs the inputs"):
        compare_models(*pair, plugins=PLUGINS, expected=expected)


def test_both_sides_are_named(tmp_path):
    original, rewritten = compare_models(*pair(tmp_path), plugins=PLUGINS).computed_by
    assert original == f"ONNX Runtime {onnxruntime.__version__} on the CPU, without optimizations"
    assert rewritten == f"plugins by their numpy references, else {original}"


def result(expected, got, dtype=np.float32, **options):
    return compare_arrays("y", np.array(expected, dtype), np.array(got, dtype), **options)


def test_errors_are_measured():
    outcome = result([1.0, 2.0, -4.0], [1.0, 2.5, -4.0])
    assert (outcome.max_abs_error, outcome.max_rel_error, outcome.mismatches) == (0.5, 0.25, 1)
    assert result([100.0], [100.0009]).ok
    assert not result([100.0], [100.002]).ok
    assert result([100.0], [100.002], rtol=1e-4).ok
    assert result([0.0], [9e-6]).ok
    assert not result([0.0], [9e-6], atol=1e-6).ok


@pytest.mark.parametrize(
    ("expected", "got", "mismatches"),
    [
        ([np.nan, 1], [np.nan, 1], 0),
        ([np.nan, 1], [1, np.nan], 2),
        ([np.inf, -np.inf], [np.inf, -np.inf], 0),
        ([np.inf, 1], [-np.inf, 1], 1),
        ([np.inf, 1], [3e38, 1], 1),
        ([1, 1], [np.inf, 1], 1),
    ],
)
def test_nan_and_infinity_must_be_at_the_same_places(expected, got, mismatches):
    outcome = result(expected, got)
    assert outcome.mismatches == mismatches
    assert outcome.max_abs_error == (float("inf") if mismatches else 0)


def test_integers_and_bools_are_exact():
    assert result([2**62, 1], [2**62, 1], np.int64).ok
    assert result([2**62, 1], [2**62 + 1, 1], np.int64).mismatches == 1
    assert result([2**62, 1], [2**62 + 1, 1], np.int64).max_abs_error == 1
    assert result([True, False], [True, True], np.bool_).mismatches == 1


def test_16_bit_floats_have_their_own_tolerance():
    import ml_dtypes

    assert result([1.0], [1.005], np.float16).ok
    assert not result([1.0], [1.05], np.float16).ok
    assert result([1.0], [1.05], ml_dtypes.bfloat16).ok
    assert not result([1.0], [1.3], ml_dtypes.bfloat16).ok


def test_a_float32_output_that_is_made_of_float16_has_its_tolerance(tmp_path):
    """The second output is made of float32 alone, and the third one of a shape."""
    text = """<ir_version: 10, opset_import: ["" : 18]>
        g (float[2, 3] x) => (float[2, 3] half, float[2, 3] whole, float[2] sizes) {{
        h = Cast<to = 10>(x) half = Cast<to = 1>(h) a = Constant<value = float {{{0}}}>()
        whole = Mul(x, a) s = Shape(h) f = Cast<to = 1>(s) sizes = Mul(f, a) }}"""
    models = (onnx.parser.parse_model(text.format(each)) for each in (1.0, 1.001))
    paths = [saved(tmp_path / f"{at}.onnx", each) for at, each in enumerate(models)]
    x = np.full((2, 3), 0.5, np.float32)
    changed = onnx.load(paths[1])
    changed.graph.node[0].input[0] = "whole"
    saved(paths[1], changed)
    compared = compare_models(*paths, inputs={"x": x})
    assert {each.name: each.ok for each in compared.outputs} == {
        "half": True,
        "whole": False,
        "sizes": False,
    }
    assert compared.outputs[0].max_abs_error > 1e-5


def test_another_shape_or_dtype_is_all_wrong():
    assert result([1.0, 2.0], [1.0]).mismatches == 2
    outcome = compare_arrays("y", np.ones(3, np.float32), np.ones(3, np.float16))
    assert (outcome.mismatches, outcome.max_abs_error) == (3, float("inf"))


def test_a_model_that_already_holds_plugins_can_be_the_rewritten_one(tmp_path):
    node = plugin_node(Silu(), ["x"], ["y"], "n")
    got = saved(
        tmp_path / "b.onnx", model_of([node], [value("x", ["n", 4])], [value("y", ["n", 4])])
    )
    assert compare_models(pair(tmp_path)[0], got, plugins=PLUGINS).ok


@pytest.mark.parametrize("body", ["s2 = Neg(s)", "s2 = pluginkit.Silu_PK(s)"])
def test_a_loop_that_never_ends_is_ended(tmp_path, body):
    """By ONNX Runtime, and in Python where the body holds a plugin."""
    text = """<ir_version: 10, opset_import: ["" : 18, "pluginkit" : 1]>
        g (float[1, 4] x) => (float[1, 4] y) <bool go = {1}> {
        y = Loop(, go, x) <body = b (int64 i, bool c, float[1, 4] s)
            => (bool c2, float[1, 4] s2) { c2 = Identity(c) BODY }> }"""
    model = onnx.parser.parse_model(text.replace("BODY", body))
    ending = onnx.parser.parse_model(text.replace("BODY", "s2 = Neg(s)"))
    paths = saved(tmp_path / "a.onnx", ending), saved(tmp_path / "b.onnx", model)
    x = np.zeros((1, 4), np.float32)
    with pytest.raises(ModelError, match=r"PK467 the model had not ended after 0\.05 s"):
        compare_models(*paths, inputs={"x": x}, expected={"y": x}, plugins=PLUGINS, limit_s=0.05)
    with pytest.raises(UsageError, match="PK444 limit_s is 0; expected more than 0 seconds"):
        compare_models(*paths, inputs={"x": x}, plugins=PLUGINS, limit_s=0)


def test_a_limit_may_be_any_number_of_seconds(tmp_path):
    paths = pair(tmp_path)
    assert compare_models(*paths, plugins=PLUGINS, limit_s=float("inf")).ok
