from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit import Input, Output, Plugin, float16, float32
from pluginkit.errors import UsageError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.model.graphs import main_and_bodies
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.precision.convert_precision import convert_precision
from pluginkit.onnx.precision.precision_options import Precision, precision_of
from pluginkit.onnx.running.compare_models import compare_models
from tests.unit.onnx.models import BOOL, FLOAT, INT64, Silu, model_of, silu_nodes, value
from tests.unit.onnx.precision.float_models import Weights, cnn, node, transformer

FLOAT16 = TensorProto.FLOAT16
F16 = Precision("float16")


class Wide(Plugin):
    """y = x + 1, in float32 alone."""

    types = {"T": (float32,)}
    x = Input("T")
    y = Output("T", like="x")

    def launches(self, x, y):
        return ()

    def reference(self, x):
        return x + np.float32(1)


class Weighted(Plugin):
    """y = x * w, with weights in float32 alone."""

    types = {"T": (float32, float16), "W": (float32,)}
    x, w = Input("T"), Input("W")
    y = Output("T", like="x")

    def launches(self, x, w, y):
        return ()

    def reference(self, x, w):
        return (x * w).astype(x.dtype)


PLUGINS = {each.spec.key: each for each in (Silu, Wide, Weighted)}
X, Y = value("x", ["n", 4]), value("y", ["n", 4])


def converted(model, precision=F16, folder=Path()):
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made, convert_precision(made, precision, PLUGINS, folder)


def types_of(model):
    """The element type of every value, of bodies too."""
    types = infer_types(model)
    return {
        name: types.find(scope, name).tensor_type.elem_type
        for scope in main_and_bodies(model)
        for node in scope.graph.node
        for name in [*node.input, *node.output]
        if name and types.find(scope, name) is not None
    }


def read_types(model, name):
    """The element types that a node reads."""
    types = types_of(model)
    (found,) = [node for node in model.graph.node if node.name == name]
    return [types[name] for name in found.input if name]


def compared(tmp_path, model, made, **options):
    for name, each in (("a.onnx", model), ("b.onnx", made)):
        (tmp_path / name).write_bytes(each.SerializeToString())
    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    return compare_models(*paths, plugins=PLUGINS, **options)


def test_a_cnn_computes_in_float16(tmp_path):
    made, report = converted(cnn())
    assert (report.converted, report.casts, report.kept) == (8, 2, [])
    assert read_types(made, "node_c2") == [FLOAT16] * 3
    assert [v.type.tensor_type.elem_type for v in (*made.graph.input, *made.graph.output)] == [
        FLOAT,
        FLOAT,
    ]
    assert all(tensor.data_type == FLOAT16 for tensor in made.graph.initializer)
    assert precision_of(made) == "float16"
    comparison = compared(tmp_path, cnn(), made, taps=True, shapes={"x": (2, 3, 16, 16)})
    assert comparison.ok
    assert comparison.outputs[0].max_abs_error > 1e-6  # it is not the same model
    assert {each.name for each in comparison.taps.values} >= {"c1", "r2", "y"}
    assert comparison.taps.first is None


def test_a_transformer_normalises_in_float32_and_its_mask_stays_finite(tmp_path):
    model = transformer()
    made, report = converted(model)
    assert dict(report.reasons) == {
        "a normalisation": 2,
        "an exponential, a power or a root": 1,
        "computed from integers": 1,
    }
    assert set(read_types(made, "node_n2")) == set(read_types(made, "node_weights")) == {FLOAT}
    assert set(read_types(made, "node_mixed")) == {FLOAT16}
    x = np.random.default_rng(1).standard_normal((2, 4, 32), np.float32)
    feeds = {"x": x, "mask": np.array([[1, 1, 0, 0], [1, 0, 0, 0]])}
    assert compared(tmp_path, model, made, inputs=feeds).ok
    feeds["mask"][1] = 0  # nothing to look at: the weights are any, and numbers
    assert np.isfinite(compared(tmp_path, model, made, inputs=feeds).outputs[0].max_abs_error)


def test_a_plugin_runs_in_float16_if_it_declares_it():
    nodes = [
        plugin_node(Silu(), ["x"], ["s"], "silu"),
        plugin_node(Wide(), ["s"], ["w"], "wide"),
        plugin_node(Silu(), ["w"], ["y"], "last"),
    ]
    model = model_of(nodes, [X], [Y])
    model.opset_import.add(domain="pluginkit", version=1)
    made, report = converted(model)
    types = types_of(made)
    assert read_types(made, "silu") == read_types(made, "last") == [FLOAT16]
    assert read_types(made, "wide") == [FLOAT]
    assert (types["s"], types["w"], types["y"]) == (FLOAT16, FLOAT, FLOAT)
    assert [(k.node, k.reason) for k in report.kept] == [
        ("Wide_PK 'wide'", "its plugin does not take the type")
    ]


def test_each_type_variable_of_a_plugin_decides_by_itself(tmp_path):
    model = model_of(
        [plugin_node(Weighted(), ["x", "w"], ["y"], "weighted")], [X, value("w", ["n", 4])], [Y]
    )
    model.opset_import.add(domain="pluginkit", version=1)
    made, report = converted(model)
    assert read_types(made, "weighted") == [FLOAT16, FLOAT]
    assert (report.converted, report.kept) == (1, [])
    assert types_of(made)["y"] == FLOAT


def test_nodes_of_unknown_operators_keep_their_types():
    nodes = [
        node("MatMul", ["x", "w"], "m"),
        helper.make_node("Mystery", ["m"], ["z"], name="mystery", domain="acme"),
        node("MatMul", ["z", "w"], "y"),
    ]
    weights = Weights()
    weights("w", 4, 4)
    model = model_of(nodes, [X], [Y], weights.tensors, value_info=[value("z", ["n", 4])])
    model.opset_import.add(domain="acme", version=1)
    made, report = converted(model)
    types = types_of(made)
    assert read_types(made, "mystery") == [FLOAT]
    assert types["m"] == FLOAT16
    assert read_types(made, "node_y") == [FLOAT16, FLOAT16]
    assert [kept.reason for kept in report.kept] == ["nothing is known of its operator"]


def test_bodies_read_outer_values_in_the_type_that_they_need(tmp_path):
    branches = {
        f"{name}_branch": helper.make_graph(
            [node(op, ["m", "w"], name)], name, [], [value(name, ["n", 4])]
        )
        for name, op in (("then", "MatMul"), ("else", "Pow"))
    }
    weights = Weights()
    weights("w", 4, 4)
    weights.tensors.append(numpy_helper.from_array(np.ones((4,), np.float32), "one"))
    nodes = [
        node("MatMul", ["x", "w"], "m"),
        helper.make_node("If", ["c"], ["i"], name="choose", **branches),
        node("MatMul", ["i", "w"], "y"),
    ]
    branches["else_branch"].node[0].input[1] = "one"
    nodes[1] = helper.make_node("If", ["c"], ["i"], name="choose", **branches)
    model = model_of(nodes, [X, value("c", [], BOOL)], [Y], weights.tensors)
    made, _ = converted(model)
    types = types_of(made)
    assert (types["m"], types["i"], types["then"], types["else"]) == (FLOAT16, FLOAT, FLOAT, FLOAT)
    (choose,) = [each for each in made.graph.node if each.op_type == "If"]
    found = {each.name: each.g for each in choose.attribute}
    read = {n.op_type: n.input[0] for body in found.values() for n in body.node}
    assert (types[read["MatMul"]], types[read["Pow"]]) == (FLOAT16, FLOAT)
    for chosen in (True, False):
        feeds = {"x": np.full((2, 4), 0.3, np.float32), "c": np.array(chosen)}
        assert compared(tmp_path, model, made, inputs=feeds).ok


def test_a_loop_keeps_float32_at_its_borders(tmp_path):
    body = helper.make_graph(
        [node("Identity", ["go"], "go_on"), node("MatMul", ["state", "w"], "next")],
        "body",
        [value("at", [], INT64), value("go", [], BOOL), value("state", ["n", 4])],
        [value("go_on", [], BOOL), value("next", ["n", 4])],
    )
    weights = Weights()
    weights("w", 4, 4)
    weights.keep("trips", np.array(3))
    loop = helper.make_node("Loop", ["trips", "", "x"], ["y"], name="loop", body=body)
    model = model_of([loop], [X], [Y], weights.tensors)
    made, report = converted(model)
    types = types_of(made)
    assert report.converted == 1
    assert types["state"] == types["next"] == FLOAT
    assert types["next_float16"] == FLOAT16
    assert compared(tmp_path, model, made, shapes={"x": (2, 4)}).ok


def test_a_loop_reads_a_computed_value_of_the_outer_graph(tmp_path):
    body = helper.make_graph(
        [node("Identity", ["go"], "go_on"), node("Add", ["state", "e"], "next")],
        "body",
        [value("at", [], INT64), value("go", [], BOOL), value("state", ["n", 4])],
        [value("go_on", [], BOOL), value("next", ["n", 4])],
    )
    trips = numpy_helper.from_array(np.array(3), "trips")
    nodes = [
        node("Exp", ["x"], "e"),
        helper.make_node("Loop", ["trips", "", "x"], ["y"], name="loop", body=body),
    ]
    model = model_of(nodes, [X], [Y], [trips])
    made, report = converted(model)
    assert report.converted == 1
    assert compared(tmp_path, model, made, shapes={"x": (2, 4)}).ok


def test_what_onnx_infers_decides_about_outputs():
    scale = numpy_helper.from_array(np.full(4, 0.5, np.float32), "scale")
    nodes = [
        node("QuantizeLinear", ["x", "scale"], "q", axis=1, output_dtype=TensorProto.INT8),
        node("DequantizeLinear", ["q", "scale"], "d", axis=1),
        node("BitCast", ["d"], "bits", to=TensorProto.INT32),
        node("SequenceConstruct", ["d", "d"], "s"),
        node("SequenceAt", ["s", "zero"], "y"),
    ]
    zero = numpy_helper.from_array(np.array(0), "zero")
    bits = value("bits", ["n", 4], TensorProto.INT32)
    model = model_of(
        nodes, [X], [Y, bits], [scale, zero], opset=26, value_info=[value("d", ["n", 4])]
    )
    made, report = converted(model)
    assert {kept.node.split("'")[0].strip(): kept.reason for kept in report.kept} == {
        "BitCast": "its operator does not take the type with these inputs",
        "SequenceConstruct": "its values are no tensors",
    }
    assert read_types(made, "node_bits") == [FLOAT]


@pytest.mark.parametrize(
    ("constant", "reason"),
    [
        (1e-12, "reads a constant too small for float16"),
        (70000.0, "reads a constant too large for float16"),
        (-1e9, ""),  # stands for infinity
        (np.inf, ""),
        (0.0, ""),
        (3.0, ""),
    ],
)
def test_constants_that_float16_lacks(constant, reason):
    nodes = [node("Sigmoid", ["x"], "s"), node("Add", ["s", "c"], "y")]
    tensor = numpy_helper.from_array(np.array(constant, np.float32), "c")
    made, report = converted(model_of(nodes, [X], [Y], [tensor]))
    assert [kept.reason for kept in report.kept] == [reason] * bool(reason)
    (stored,) = made.graph.initializer
    assert np.isinf(numpy_helper.to_array(stored)).all() == (constant == np.inf)


def test_positions_stay_exact():
    nodes = [
        node("Cast", ["p"], "f", to=FLOAT),
        node("Mul", ["f", "frequency"], "angle"),
        node("Sin", ["angle"], "s"),
        node("Mul", ["x", "s"], "y"),
    ]
    frequency = numpy_helper.from_array(np.array([0.5], np.float32), "frequency")
    model = model_of(nodes, [X, value("p", ["n", 4], INT64)], [Y], [frequency])
    made, report = converted(model)
    assert [kept.reason for kept in report.kept] == ["computed from integers"] * 2
    assert read_types(made, "node_s") == [FLOAT]
    assert read_types(made, "node_y") == [FLOAT16, FLOAT16]


def test_values_beyond_the_range_on_given_inputs_stay(tmp_path):
    nodes = [
        node("Mul", ["x", "h"], "big"),
        node("Mul", ["big", "h"], "bigger"),
        node("Div", ["bigger", "h"], "back"),
        node("Tanh", ["back"], "t"),
        node("Add", ["t", "back"], "y"),
    ]
    tensor = numpy_helper.from_array(np.array(300.0, np.float32), "h")
    model = model_of(nodes, [X], [Y], [tensor])
    feeds = {"x": np.full((1, 4), 1.5, np.float32)}
    blind, _ = converted(model)
    assert compared(tmp_path, model, blind, inputs=feeds, taps=True).taps.first is not None
    comparison = compared(tmp_path, model, blind, inputs=feeds, taps=True)
    assert not comparison.ok  # ONNX Runtime by itself would keep float32 between the nodes
    first = comparison.taps.first
    assert (first.value.name, first.rewritten_by) == ("bigger", "Mul 'node_bigger'")
    made, report = converted(model, Precision("float16", inputs=[feeds]))
    assert [kept.node for kept in report.kept] == ["Mul 'node_bigger'", "Div 'node_back'"]
    assert {kept.reason for kept in report.kept} == {"beyond float16 on the given inputs"}
    assert compared(tmp_path, model, made, inputs=feeds, taps=True).taps.first is None


def test_external_weights_are_not_read(tmp_path):
    model = cnn()
    path = tmp_path / "cnn.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=200)
    made = onnx.load(path, load_external_data=False)
    (tmp_path / "w.bin").write_bytes(b"\xff" * (tmp_path / "w.bin").stat().st_size)
    convert_precision(made, F16, {}, tmp_path)
    outside = [each for each in made.graph.initializer if each.external_data]
    assert {each.name for each in outside} == {"w1", "w2", "w3"}
    casts = {n.input[0] for n in made.graph.node if n.op_type == "Cast"}
    assert casts >= {"w1", "w2", "w3"}
    assert read_types(made, "node_c1") == [FLOAT16] * 3


def test_inputs_and_outputs_are_converted_on_request(tmp_path):
    model = transformer()
    made, _ = converted(model, Precision("float16", convert_io=True, keep=["y"]))
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*made.graph.input, *made.graph.output)}
    assert kinds == {"x": FLOAT16, "mask": INT64, "y": FLOAT16}
    feeds = {
        "x": np.random.default_rng(1).standard_normal((1, 3, 32), np.float32),
        "mask": np.ones((1, 3), np.int64),
    }
    comparison = compared(tmp_path, model, made, inputs=feeds)
    assert comparison.ok
    assert comparison.outputs[0].max_abs_error > 0


def test_nodes_are_kept_by_name_and_by_operator():
    made, report = converted(cnn(), Precision("float16", keep=["*_c1"], keep_ops=["Gemm"]))
    assert [(kept.node, kept.reason) for kept in report.kept] == [
        ("Conv 'node_c1'", "kept by '*_c1'"),
        ("Gemm 'node_y'", "kept by 'Gemm'"),
    ]
    assert read_types(made, "node_y") == [FLOAT] * 3


@pytest.mark.parametrize("wrong", [{"keep": ["*head*"]}, {"keep_ops": ["Gem"]}])
def test_a_name_that_keeps_nothing_is_refused(wrong):
    with pytest.raises(UsageError) as caught:
        converted(cnn(), Precision("float16", **wrong))
    assert caught.value.code == "PK460"


def test_a_model_is_converted_once():
    made, _ = converted(cnn())
    with pytest.raises(UsageError) as caught:
        converted(made)
    assert caught.value.code == "PK461"


def test_bfloat16_needs_the_opset_that_has_it(tmp_path):
    with pytest.raises(UsageError, match="the model has opset 11; bfloat16 needs 13 or later"):
        converted(cnn(11), Precision("bfloat16"))
    _, report = converted(cnn(18), Precision("bfloat16"))
    assert "its operator takes the type from opset 22 on" in report.reasons
    made, report = converted(cnn(), Precision("bfloat16"))
    assert report.kept == []
    assert read_types(made, "node_c2") == [TensorProto.BFLOAT16] * 3
    assert compared(tmp_path, cnn(), made, shapes={"x": (1, 3, 16, 16)}).ok


def test_local_functions_are_inlined(tmp_path):
    function = helper.make_function(
        "acme", "Gate", ["x"], ["y"], silu_nodes("x", "y"), [helper.make_opsetid("", 18)]
    )
    call = helper.make_node("Gate", ["x"], ["y"], name="gate", domain="acme")
    model = model_of([call], [X], [Y], functions=[function])
    made, report = converted(model)
    assert (report.converted, len(made.functions)) == (2, 0)
    assert compared(tmp_path, model, made, shapes={"x": (2, 4)}).ok


def test_the_tolerance_of_the_type_holds_unless_another_is_given(tmp_path):
    model = cnn()
    made, _ = converted(model)
    shapes = {"x": (1, 3, 16, 16)}
    assert not compared(tmp_path, model, made, shapes=shapes, rtol=1e-6, atol=1e-6).ok
    del made.metadata_props[:]
    assert not compared(tmp_path, model, made, shapes=shapes).ok


def test_values_that_were_float16_before_are_compared_as_such(tmp_path):
    nodes = [node("MatMul", ["x", "w"], "m"), node("Cast", ["m"], "y", to=FLOAT16)]
    weights = Weights()
    weights("w", 4, 4)
    model = model_of(nodes, [X], [value("y", ["n", 4], FLOAT16)], weights.tensors)
    made, _ = converted(model)
    comparison = compared(tmp_path, model, made, taps=True, shapes={"x": (2, 4)})
    assert comparison.ok
    assert [each.dtype for each in comparison.taps.values] == ["float32", "float16"]
