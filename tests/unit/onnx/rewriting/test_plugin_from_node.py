"""match.plugin and match.plugin_node take a node's attributes over, all or none."""

import numpy as np
import onnx
import pytest
from onnx import helper

from pluginkit import Input, Output, Plugin, attribute, float32
from pluginkit.onnx import Rewrite
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.unit.onnx.models import model_of, value


class Normalize(Plugin):
    """y = x over the norm along an axis."""

    axis: int = attribute(default=0)
    epsilon: float = attribute(default=1e-5)
    flags: tuple[bool, ...] = attribute(default=())
    is_signed: bool = attribute(default=False)
    x = Input(float32)
    y = Output(float32)

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        return ()

    def reference(self, x):
        return x


class ReplaceNormalize(Rewrite):
    """Normalize(x) -> Normalize_PK(x)."""

    plugin = Normalize
    pattern = "LpNormalization"
    given: dict = {}

    def rewrite(self, match):
        return match.plugin_node(match.plugin(Normalize, **self.given))


def of_domain(op_type, **members):
    from pluginkit.onnx import Op

    names = {"pattern": Op(op_type, domain="com.example"), "__doc__": "a -> b."}
    return type("Replace", (ReplaceNormalize,), names | members)


def model(op_type="Normalize", domain="com.example", **attributes):
    node = helper.make_node(op_type, ["x"], ["y"], "node", domain=domain, **attributes)
    made = model_of([node], [value("x", [4])], [value("y", [4])])
    made.opset_import.add(domain="com.example", version=1)
    return made


def plugin_of(rewrite, given):
    result = rewrite_model(given, [rewrite])
    assert result.refused == []
    ((_, _, plugin),) = plugin_nodes(result.model, result.plugins)
    return plugin


def test_every_declared_attribute_is_taken_over():
    got = plugin_of(of_domain("Normalize"), model(axis=2, flags=[1, 0], is_signed=1))
    assert got == Normalize(axis=2, flags=(True, False), is_signed=True)


def test_an_attribute_that_nobody_takes_refuses_the_match():
    given = model(axis=2, beta=1.0, gamma=[1])
    result = rewrite_model(given, [of_domain("Normalize")])
    assert result.model == given
    (refused,) = result.refused
    assert refused.reason == "Normalize has no attribute beta, gamma"


def test_an_attribute_may_be_ignored_or_given():
    wanted = of_domain("Normalize", given={"ignoring": ["beta"], "axis": 7})
    assert plugin_of(wanted, model(axis=2, beta=1.0)) == Normalize(axis=7)


def test_a_value_that_the_plugin_does_not_take_refuses_the_match():
    (refused,) = rewrite_model(model(axis=[1, 2]), [of_domain("Normalize")]).refused
    assert "attribute 'axis' is [1, 2]; expected int" in refused.reason


def test_an_attribute_that_is_left_out_has_the_operators_default_of_the_opset():
    """LpNormalization's axis is -1 by default, the plugin's 0; p is 2 by default, and not lost."""
    got = plugin_of(ReplaceNormalize, model("LpNormalization", "", p=2))
    assert got == Normalize(axis=-1)
    (refused,) = rewrite_model(model("LpNormalization", "", p=1), [ReplaceNormalize]).refused
    assert refused.reason == "Normalize has no attribute p"


def test_a_default_that_onnx_stores_rounded_is_the_classs_own():
    class ReplaceBatch(ReplaceNormalize):
        """InstanceNormalization(x, scale, b) -> Normalize_PK(x)."""

        pattern = "InstanceNormalization"

        def rewrite(self, match):
            return match.plugin_node(Normalize, match.inputs[:1])

    inputs = [value("x", [2, 3, 4]), value("s", [3]), value("b", [3])]
    node = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"])
    given = model_of([node], inputs, [value("y", [2, 3, 4])])
    assert plugin_of(ReplaceBatch, given).epsilon == 1e-5
    node.attribute.append(helper.make_attribute("epsilon", 0.5))
    given = model_of([node], inputs, [value("y", [2, 3, 4])])
    assert plugin_of(ReplaceBatch, given).epsilon == 0.5


def test_a_damaged_attribute_is_a_reason():
    given = model(axis=2)
    given.graph.node[0].attribute.add(name="flags", type=onnx.AttributeProto.TENSOR)
    given.graph.node[0].attribute[-1].t.CopyFrom(
        onnx.TensorProto(data_type=1, dims=[3], raw_data=b"1")
    )
    (refused,) = rewrite_model(given, [of_domain("Normalize")]).refused
    assert "damaged" in refused.reason


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_dtype_problems_name_the_tensor(dtype):
    seen = []

    class Look(Rewrite):
        """Relu(x) -> Relu(x)."""

        pattern = "Relu"

        def check(self, match):
            x = match.inputs[0]
            seen.append((match.dtype(x), match.dtype_problem(["float32"], x), match.rank(x)))
            return "only looking"

        def rewrite(self, match):
            raise AssertionError

    elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    node = helper.make_node("Relu", ["x"], ["y"])
    rewrite_model(
        model_of([node], [value("x", [2, 3], elem_type)], [value("y", [2, 3], elem_type)]), [Look]
    )
    problem = None if dtype is np.float32 else "'x' is int64; expected float32"
    assert seen == [(np.dtype(dtype).name, problem, 2)]
