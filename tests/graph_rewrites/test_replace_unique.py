import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_unique import ReplaceUnique
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
NAMES = ("Y", "indices", "inverse", "counts")


def model_of(names=NAMES, shape=("n", 3), elem_type=FLOAT, **attributes):
    """A Unique with these outputs, each of them a graph's output unless its name is private."""
    rank = len(shape) if "axis" in attributes else 1
    outputs = [
        helper.make_tensor_value_info(
            name, INT64 if at else elem_type, [None] * (1 if at else rank)
        )
        for at, name in enumerate(names)
        if name and not name.startswith("_")
    ]
    graph = helper.make_graph(
        [helper.make_node("Unique", ["x"], names, name="unique", **attributes)],
        "g",
        [helper.make_tensor_value_info("x", elem_type, shape)],
        outputs,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def rewrite(model):
    return rewrite_model(model, [ReplaceUnique])


@pytest.mark.parametrize("attributes", [{}, {"sorted": 0}, {"axis": 0}, {"axis": -1, "sorted": 0}])
@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        ("Y",),
        ("Y", "", "inverse"),
        ("Y", "", "", "counts"),
        ("_unused", "indices"),
        ("Y", "_unused", "inverse", "_unused too"),
    ],
    ids=str,
)
def test_the_outputs_that_are_used_agree_with_onnxruntime(names, attributes, tmp_path):
    model = model_of(names, **attributes)
    result = rewrite(model)
    (applied,) = result.applied
    assert applied.made == ("Unique_PK",)
    (node,) = result.model.graph.node
    assert len(node.output) == len(set(node.output)) == 5
    assert [name for name in node.output if name in names] == [name for name in names if name]
    onnx.checker.check_model(result.model, full_check=True)
    x = np.random.default_rng(0).integers(-2, 2, (20, 3)).astype(np.float32)
    expected = run_onnxruntime(model, {"x": x})
    assert expected
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)
    for name, wanted in expected.items():
        np.testing.assert_array_equal(got[name], wanted)


@pytest.mark.parametrize(("attributes", "rank"), [({}, 1), ({"axis": 1}, 2)])
def test_types_and_shapes_of_all_outputs_are_known(attributes, rank):
    graph = rewrite(model_of(("_y", "indices"), **attributes)).model.graph
    infos = {info.name: info.type.tensor_type for info in graph.value_info}
    y, _, inverse, counts, found = graph.node[0].output
    assert infos[y].elem_type == FLOAT
    assert [len(infos[name].shape.dim) for name in (y, inverse, counts, found)] == [rank, 1, 1, 0]
    assert [infos[name].elem_type for name in (inverse, counts)] == [INT64, INT64]
    assert infos[found].elem_type == TensorProto.INT32


def test_an_absent_axis_is_no_attribute_of_the_node():
    (node,) = rewrite(model_of(sorted=0)).model.graph.node
    assert {a.name: a.i for a in node.attribute if a.name in ("axis", "sorted")} == {"sorted": 0}


@pytest.mark.parametrize(
    ("elem_type", "reason"),
    [
        (TensorProto.DOUBLE, "is not a type that plugins take"),
        (TensorProto.STRING, "is not a type that plugins take"),
        (TensorProto.UINT8, "input 'x' is uint8; expected float32"),
    ],
)
def test_a_type_that_plugins_do_not_give_is_left_with_the_reason(elem_type, reason):
    model = model_of(elem_type=elem_type)
    result = rewrite(model)
    assert result.applied == []
    (refused,) = result.refused
    assert reason in refused.reason
    assert result.model == model


def test_an_axis_that_is_not_there_is_left_with_the_reason():
    model = model_of(("_y", "indices"), axis=0)
    model.graph.node[0].attribute[0].i = 2
    (refused,) = rewrite(model).refused
    assert "axis 2 of 'x' is out of range" in refused.reason


def test_applied_twice_changes_nothing():
    once = rewrite(model_of()).model
    again = rewrite(once)
    assert again.model == once
    assert again.applied == []


@pytest.mark.trt
@pytest.mark.parametrize("attributes", [{}, {"axis": 0, "sorted": 0}])
@pytest.mark.parametrize("names", [NAMES, ("Y", "", "inverse")], ids=str)
def test_a_real_build_takes_it(names, attributes, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(names, **attributes), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"x": "1x3,100x3,1000x3"},
        rewrites=[ReplaceUnique],
    )
    assert [record.name for record in built.manifest.plugins] == ["Unique_PK"]
    assert {output.name for output in built.manifest.outputs} == {name for name in names if name}
