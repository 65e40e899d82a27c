from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import pytest
from onnx import numpy_helper
from onnx.utils import Extractor

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.fuse_selective_scan import FuseSelectiveScan
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

NAME, PLUGIN = "FuseSelectiveScan", "SelectiveScan_PK"
FOLDER = Path(__file__).parent / "models"
EXPORTED = {
    path.stem.rpartition("_")[2]: partial(onnx.load, path)
    for path in sorted(FOLDER.glob("selective_scan_*.onnx"))
}


def feeds_for(items=2, length=5):
    rng = np.random.default_rng(0)
    along, matrix = (items, 6, length), (items, length, 4)
    shapes = {"u": along, "delta": along, "B": matrix, "C": matrix, "z": along}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def fused(model):
    return rewrite_model(model, [FuseSelectiveScan], choice=RewriteChoice(also=[NAME]))


def kinds_of(model):
    return [node.op_type for node in model.graph.node]


def assert_same(model, result, tmp_path, **sizes):
    names = {value.name for value in model.graph.input}
    feeds = {name: array for name, array in feeds_for(**sizes).items() if name in names}
    expected = run_onnxruntime(model, feeds)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, atol=1e-5, rtol=1e-5)


def test_both_exporters_are_there():
    assert set(EXPORTED) == {"ts", "dynamo"}


@pytest.mark.parametrize("name", EXPORTED)
def test_what_pytorch_unrolls_becomes_one_plugin_and_gives_the_same(name, tmp_path):
    model = EXPORTED[name]()
    result = fused(model)
    kinds = kinds_of(result.model)
    assert kinds.count(PLUGIN) == 1
    assert not {"MatMul", "Gather", "Concat", "Slice"} & set(kinds)
    assert_same(model, result, tmp_path)
    assert_same(model, result, tmp_path, items=1)


@pytest.mark.parametrize("name", EXPORTED)
def test_a_model_is_left_alone_unless_it_is_asked_for(name):
    model = EXPORTED[name]()
    result = rewrite_model(model, [FuseSelectiveScan])
    assert result.model == model
    assert result.opt_in == [NAME]


@pytest.mark.parametrize("name", EXPORTED)
def test_applied_twice_changes_nothing(name):
    once = fused(EXPORTED[name]()).model
    twice = fused(once)
    assert twice.applied == []
    assert twice.model == once


def nodes_of(model, op_type):
    return [node for node in model.graph.node if node.op_type == op_type]


def without_lengths(model):
    """Return the scan alone, with inputs of any number of steps, more than were unrolled."""
    (concat,) = (node for node in nodes_of(model, "Concat") if len(node.input) == 5)
    scan = Extractor(model).extract_model(["u", "delta", "B", "C"], [concat.output[0]])
    for value in scan.graph.input:
        axis = 2 if value.name in ("u", "delta") else 1
        value.type.tensor_type.shape.dim[axis].dim_param = "length"
    del scan.graph.value_info[:]
    return scan


def test_inputs_with_more_steps_than_were_unrolled_are_cut(tmp_path):
    model = without_lengths(EXPORTED["dynamo"]())
    result = fused(model)
    assert kinds_of(result.model).count("Slice") == 4
    assert_same(model, result, tmp_path, length=5)
    assert_same(model, result, tmp_path, length=9)


def take_another_step(model):
    """Let the third step read the fourth one's decay."""
    exp = nodes_of(model, "Exp")[0].output[0]
    decays = [node for node in nodes_of(model, "Gather") if node.input[0] == exp]
    assert len(decays) == 5
    decays[2].input[1] = decays[3].input[1]


def swap_states(model):
    """Let the fourth step start from the first one's state."""
    first, _, _, fourth = [node.input[0] for node in nodes_of(model, "MatMul")][:4]
    add = next(node for node in model.graph.node if fourth in node.output)
    scaled = next(node for node in model.graph.node if node.output[0] in add.input)
    scaled.input[1] = first


def begin_with_one(model):
    """Start from a state of 1 instead of 0."""
    expand = nodes_of(model, "Expand")[0]
    (stored,) = (t for t in model.graph.initializer if t.name == expand.input[0])
    one = np.ones_like(numpy_helper.to_array(stored))
    stored.CopyFrom(numpy_helper.from_array(one, stored.name))


def take_no_exponential(model):
    nodes_of(model, "Exp")[0].op_type = "Tanh"


def widen(model):
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float64), tensor.name))
    del model.graph.value_info[:]


@pytest.mark.parametrize(
    "change", [take_another_step, swap_states, begin_with_one, take_no_exponential, widen]
)
def test_what_computes_something_else_is_left(change):
    model = EXPORTED["dynamo"]()
    change(model)
    onnx.checker.check_model(model)
    assert fused(model).applied == []


@pytest.mark.trt
@pytest.mark.parametrize("name", EXPORTED)
def test_a_real_build_takes_it(name, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(EXPORTED[name](), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        choice=RewriteChoice(also=[NAME]),
    )
    assert [record.name for record in built.manifest.plugins] == [PLUGIN]
