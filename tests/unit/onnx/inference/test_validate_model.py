from onnx import helper

from pluginkit.onnx.inference.validate_model import problem_of_node
from pluginkit.onnx.model.graphs import scopes
from tests.unit.onnx.models import model_of, value


def problem(version, **attributes):
    node = helper.make_node("Cast", ["x"], ["y"], **attributes)
    model = model_of([node], [value("x", [2])], [value("y", [2])])
    model.opset_import[0].version = version
    return problem_of_node(model.graph.node[0], next(scopes(model)))


def test_a_node_without_a_required_attribute_has_a_problem():
    assert "to" in problem(18)
    assert problem(18, to=1) is None


def test_an_opset_of_64_bits_is_a_problem_and_no_bug():
    assert problem(2**62, to=1)
