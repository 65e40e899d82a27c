"""Random nested graphs of integers that TensorRT lacks: a slice of the campaign's target."""

import random

import onnx
import pytest
from onnx import TensorProto

from pluginkit.discovery import find_plugins
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.fuzz import integer_models
from tests.fuzz.targets_integers import build, check_rewritten


def _case(seed: int, depth: int) -> integer_models.Case:
    return integer_models.make(random.Random(f"slice {seed}"), depth)  # noqa: S311


@pytest.mark.parametrize("seed", range(4))
def test_a_rewritten_graph_is_valid_final_and_right(seed):
    case = _case(seed, 1)
    result = rewrite_model(case.model, find_rewrites(), plugins=find_plugins())
    assert check_rewritten(case, result)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(100, 130))
def test_a_nested_graph_is_valid_final_and_right(seed):
    case = _case(seed, 3)
    result = rewrite_model(case.model, find_rewrites(), plugins=find_plugins())
    assert check_rewritten(case, result)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.trt
@pytest.mark.parametrize("seed", range(200, 220))
def test_tensorrt_builds_what_it_builds_in_int32(seed, tmp_path):
    case = _case(seed, 1)
    path = tmp_path / "model.onnx"
    onnx.save(case.model, path)
    assert build(case, path) in ("built", "also in int32")


def test_the_generator_makes_all_types_and_nested_bodies():
    """Models are valid, and have every type and nested branches and bodies."""
    dtypes, nested, op_types = set(), set(), set()
    for seed in range(25):
        case = _case(seed, 3)
        onnx.checker.check_model(case.model, full_check=True)
        graphs = [(case.model.graph, "")]
        for graph, path in graphs:
            dtypes |= {tensor.data_type for tensor in graph.initializer}
            op_types |= {node.op_type for node in graph.node}
            for node in graph.node:
                bodies = [one.g for one in node.attribute if one.HasField("g")]
                graphs += [(body, f"{path}/{node.op_type}") for body in bodies]
                nested |= {f"{path}/{node.op_type}"} if bodies else set()
    assert {TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.UINT32} <= dtypes
    assert {"/If/Loop", "/Loop/If", "/Loop/Loop/If", "/If/If/If", "/Loop/Scan"} <= nested
    assert {"BitShift", "Where", "TopK", "MatMulInteger", "QuantizeLinear", "Pad"} <= op_types
