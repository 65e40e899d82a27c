import numpy as np
import onnx
import pytest
from onnx import helper

from pluginkit import Input, Output, Plugin, attribute, float32
from pluginkit.engine import build_engine
from pluginkit.engine.scan.scan_model import scan
from pluginkit.errors import AttributeValueError, ModelError, PluginkitError, UsageError
from pluginkit.onnx.model.model_file import load_model
from pluginkit.onnx.model.plugin_nodes import plugin_node, plugin_nodes, plugin_of_node
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.unit.onnx.models import BOOL, Affine, Silu, model_of, value

PLUGINS = {cls.spec.key: cls for cls in (Affine, Silu)}


class Everything(Plugin):
    """One attribute of each kind."""

    count: int = attribute(default=0)
    ratio: float = attribute(default=0.0)
    flag: bool = attribute(default=False)
    text: str = attribute(default="")
    pads: tuple[int, ...] = attribute(default=())
    table: np.ndarray = attribute(default=np.zeros(0))
    x = Input(float32)
    y = Output(float32)

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        return ()

    def reference(self, x):
        return x


def attributes_of(node):
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def test_a_plugin_node_is_what_the_parser_looks_up():
    node = plugin_node(Silu(), ["a"], ["b"], "n")
    assert (node.op_type, node.domain, node.name) == ("Silu_PK", "pluginkit", "n")
    assert attributes_of(node) == {"plugin_version": b"1", "plugin_namespace": b"pluginkit"}
    assert {each.type for each in node.attribute} == {onnx.AttributeProto.STRING}


@pytest.mark.parametrize(
    ("inputs", "there", "names"),
    [
        (["x", "s", "b"], (True, True, True), ["x", "s", "b"]),
        (["x", "", "b"], (True, False, True), ["x", "b"]),
        (["x"], (True, False, False), ["x"]),
        (["x", "s", ""], (True, True, False), ["x", "s"]),
    ],
)
def test_absent_inputs_are_left_out_and_remembered(inputs, there, names):
    node = plugin_node(Affine(), inputs, ["y", "z"], "n")
    assert list(node.input) == names
    assert plugin_of_node(node, PLUGINS).present == there


def test_a_bound_plugin_takes_just_the_inputs_that_it_has():
    node = plugin_node(Affine().with_inputs("x", "bias"), ["x", "b"], ["y", "z"], "n")
    assert list(node.input) == ["x", "b"]
    assert plugin_of_node(node, PLUGINS).present == (True, False, True)


def test_wrong_numbers_of_names_are_refused():
    with pytest.raises(ModelError) as caught:
        plugin_node(Affine(), ["x"], ["y"], "n")
    assert caught.value.code == "PK411"
    assert "expected 2: y, z" in caught.value.message
    with pytest.raises(ModelError) as caught:
        plugin_node(Affine(), ["x", "s", "b", "more"], ["y", "z"], "n")
    assert caught.value.code == "PK411"
    with pytest.raises(UsageError) as caught:
        plugin_node(Affine(), ["", "s"], ["y", "z"], "n")
    assert caught.value.code == "PK110"


@pytest.mark.parametrize(
    "plugin",
    [
        Everything(),
        Everything(count=2**40, ratio=0.1, flag=True, text="a\0b", pads=(1, 2**35)),
        Everything(ratio=float("inf"), text="json:[1]", pads=(3, -4)),
        Everything(table=np.arange(6, dtype=np.int64).reshape(2, 3)),
    ],
)
def test_every_attribute_survives_the_trip(plugin):
    node = plugin_node(plugin, ["x"], ["y"], "n")
    read = onnx.NodeProto.FromString(node.SerializeToString())
    assert plugin_of_node(read, {Everything.spec.key: Everything}) == plugin


def test_nodes_written_by_hand_take_defaults():
    node = helper.make_node("Affine_PK", ["x", "", "b"], ["y", "z"], domain="pluginkit", a=2.5)
    plugin = plugin_of_node(node, PLUGINS)
    assert plugin.a == 2.5
    assert plugin.labels == ()
    assert plugin.present == (True, False, True)


def test_a_tensor_and_strings_written_by_hand_are_read():
    table = onnx.numpy_helper.from_array(np.array([1, 2], np.int64))
    node = helper.make_node("Everything_PK", ["x"], ["y"], domain="pluginkit", table=table)
    got = plugin_of_node(node, {Everything.spec.key: Everything})
    assert got.table.tolist() == [1, 2]
    node = helper.make_node("Affine_PK", ["x"], ["y", "z"], domain="pluginkit", labels=["a", "b"])
    assert plugin_of_node(node, PLUGINS).labels == ("a", "b")


def test_other_nodes_are_no_plugins():
    assert plugin_of_node(helper.make_node("Relu", ["x"], ["y"]), PLUGINS) is None
    other = helper.make_node("Silu_PK", ["x"], ["y"], domain="pluginkit", plugin_version="2")
    assert plugin_of_node(other, PLUGINS) is None
    foreign = helper.make_node("Silu_PK", ["x"], ["y"], domain="elsewhere")
    assert plugin_of_node(foreign, PLUGINS) is None
    named = helper.make_node("Silu_PK", ["x"], ["y"], plugin_namespace="pluginkit")
    assert plugin_of_node(named, PLUGINS) == Silu()


def test_a_wrong_attribute_names_the_node():
    node = helper.make_node("Affine_PK", ["x"], ["y", "z"], "bad", domain="pluginkit", a="text")
    with pytest.raises(AttributeValueError) as caught:
        plugin_of_node(node, PLUGINS)
    assert caught.value.code == "PK104"
    assert "Affine_PK 'bad'" in caught.value.where


def test_a_reference_to_a_functions_attribute_is_refused():
    node = helper.make_node("Affine_PK", ["x"], ["y", "z"], domain="pluginkit")
    node.attribute.add(name="a", ref_attr_name="outer", type=onnx.AttributeProto.FLOAT)
    with pytest.raises(ModelError) as caught:
        plugin_of_node(node, PLUGINS)
    assert caught.value.code == "PK410"


def test_plugin_nodes_are_found_in_bodies_and_functions():
    def silu(name):
        return plugin_node(Silu(), ["x"], ["y"], name)

    def branch(name):
        return helper.make_graph([silu(name)], name, [], [value("y", [2])])

    choice = helper.make_node(
        "If", ["c"], ["out"], "choice", then_branch=branch("then"), else_branch=branch("else")
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    function = helper.make_function("local", "F", ["x"], ["y"], [silu("inside")], opsets)
    main = plugin_node(Silu(), ["x"], ["m"], "main")
    inputs = [value("x", [2]), value("c", [], BOOL)]
    model = model_of([main, choice], inputs, [value("out", [2])], functions=[function])
    found = {node.name: (path, plugin) for path, node, plugin in plugin_nodes(model, PLUGINS)}
    assert found == {
        "main": ("main graph", Silu()),
        "then": ("main graph / If 'choice'.then_branch", Silu()),
        "else": ("main graph / If 'choice'.else_branch", Silu()),
        "inside": ("function local::F", Silu()),
    }


def external_table():
    table = onnx.TensorProto(name="t", data_type=1, dims=[1], data_location=1)
    table.external_data.add(key="location", value="w.bin")
    return table


@pytest.mark.parametrize(
    "attribute",
    [
        onnx.AttributeProto(name="text", type=onnx.AttributeProto.STRING, s=b"\xff\xfe"),
        onnx.AttributeProto(name="pads", type=onnx.AttributeProto.GRAPH),
        onnx.AttributeProto(
            name="table", type=onnx.AttributeProto.TENSOR,
            t=onnx.TensorProto(data_type=1, dims=[4], raw_data=b"abc"),
        ),
        onnx.AttributeProto(name="table", type=onnx.AttributeProto.TENSOR, t=external_table()),
    ],
    ids=["bytes", "graph", "cut", "external"],
)  # fmt: skip
def test_an_attribute_that_cannot_be_read_is_named(attribute):
    node = helper.make_node("Everything_PK", ["x"], ["y"], "n", domain="pluginkit")
    node.attribute.append(attribute)
    with pytest.raises(ModelError, match=f"PK412 attribute '{attribute.name}'") as caught:
        plugin_of_node(node, {Everything.spec.key: Everything})
    assert "'n'" in str(caught.value.where)


def misspelt(name="bad", **attributes):
    return helper.make_node("Affine_PK", ["x"], ["y", "z"], name, domain="pluginkit", **attributes)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ({"A": 3.0}, "did you mean 'a'?"),
        ({"lables": ["p"]}, "did you mean 'labels'?"),
        ({"plugin_verison": "1"}, "did you mean 'plugin_version'?"),
        ({"colour": 3}, "remove it from the node, or declare it in Affine."),
    ],
)
def test_an_attribute_that_the_class_does_not_declare_is_refused(given, near):
    with pytest.raises(AttributeValueError) as caught:
        plugin_of_node(misspelt(**given), PLUGINS)
    assert caught.value.code == "PK108"
    assert f"no attribute '{next(iter(given))}'; expected one of: a, labels." in str(caught.value)
    assert caught.value.fix == near
    assert "Affine_PK 'bad'" in caught.value.where


def test_an_attribute_that_is_there_twice_is_refused():
    node = misspelt(a=2.0)
    node.attribute.append(helper.make_attribute("a", 3.0))
    with pytest.raises(AttributeValueError, match="PK108 Affine: attribute 'a' is there twice"):
        plugin_of_node(node, PLUGINS)


@pytest.mark.parametrize("inputs", [[], ["x"] * 9])
def test_a_wrong_number_of_inputs_is_refused_with_the_node(inputs):
    node = misspelt(a=2.0)
    del node.input[:]
    node.input.extend(inputs)
    with pytest.raises(PluginkitError, match="PK110|PK411") as caught:
        plugin_of_node(node, PLUGINS)
    assert "Affine_PK 'bad'" in caught.value.where


@pytest.mark.parametrize("place", ["main", "body", "function"])
@pytest.mark.parametrize("command", ["rewrite", "scan", "build"])
def test_every_command_refuses_a_misspelt_attribute_wherever_the_node_is(command, place, tmp_path):
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    node = helper.make_node(
        "ScatterElements_PK", ["x", "i", "x"], ["y"], "bad", domain="pluginkit",
        axis=0, reduction="add", Reduction="mul",
    )  # fmt: skip
    functions, main = [], [node]
    if place == "body":
        branches = [helper.make_graph([node], name, [], [value("y", [2])]) for name in "te"]
        main = [
            helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
        ]
    elif place == "function":
        functions = [helper.make_function("local", "F", ["x", "i"], ["y"], [node], opsets)]
        main = [helper.make_node("F", ["x", "i"], ["y"], domain="local")]
    inputs = [value("x", [2]), value("i", [2], onnx.TensorProto.INT64), value("c", [], BOOL)]
    path = tmp_path / "m.onnx"
    onnx.save(model_of(main, inputs, [value("y", [2])], functions=functions), path)
    run = {
        "rewrite": lambda: rewrite_model(load_model(path)),
        "scan": lambda: scan(path),
        "build": lambda: build_engine(path),
    }
    with pytest.raises(AttributeValueError, match="PK108 .*no attribute 'Reduction'") as caught:
        run[command]()
    assert caught.value.fix == "did you mean 'reduction'?"
    assert "ScatterElements_PK 'bad" in caught.value.where


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("ratio", np.array([2.0], np.float32), 2.0),
        ("ratio", np.array(2.0), 2.0),
        ("ratio", np.array([[2]], np.int64), 2.0),
        ("count", np.array([7], np.int32), 7),
        ("flag", np.array(True), True),
        ("flag", np.array([1], np.int64), True),
        ("pads", np.array([4, 5], np.int32), (4, 5)),
        ("pads", np.zeros(0, np.int64), ()),
        ("ratio", np.array([2.0, 3.0]), None),
        ("count", np.array(7.0), None),
        ("flag", np.array([2]), None),
        ("pads", np.array(4), None),
        ("pads", np.array([[4], [5]]), None),
        ("text", np.array(4), None),
        ("ratio", [2.0], None),
        ("ratio", "2.0", None),
        ("count", 7.0, None),
        ("pads", 4, None),
        ("pads", [1.0, 2.0], None),
    ],
)
def test_a_tensor_of_one_element_is_a_number_and_wrong_forms_are_refused(name, given, expected):
    form = onnx.numpy_helper.from_array(given) if isinstance(given, np.ndarray) else given
    node = helper.make_node("Everything_PK", ["x"], ["y"], "n", domain="pluginkit", **{name: form})
    plugins = {Everything.spec.key: Everything}
    if expected is None:
        with pytest.raises(AttributeValueError, match=f"PK104 .*'{name}'"):
            plugin_of_node(node, plugins)
    else:
        got = getattr(plugin_of_node(node, plugins), name)
        assert (type(got), got) == (type(expected), expected)
