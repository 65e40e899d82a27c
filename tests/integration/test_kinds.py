"""Data-dependent shapes, shape inputs, aliased outputs and tactics, through the real adapters."""

import numpy as np
import onnx
import pytest
from onnx import helper

from pluginkit import BuildOptions, float32, int64
from pluginkit.checking.trt_double.driver import Profile, build_layer, drive
from pluginkit.contract import calls
from pluginkit.device.memory import HostMemory
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.errors import CallbackError, TensorError, UsageError
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.running.run_model import run_model
from pluginkit.testing import plugincheck
from pluginkit.trt.plugin_registry import register
from tests.integration.kinds import AddInto, First, Hidden, Lies, Positive

pytestmark = pytest.mark.trt

CALLS = [
    pytest.param(cls(**case.attributes), case.inputs, id=f"{cls.__name__}-{case.name}")
    for cls in (Positive, First, AddInto)
    for case in cls.cases()
]


@pytest.mark.parametrize(("plugin", "arrays"), CALLS)
def test_a_whole_life_gives_the_references_outputs(flavour, plugin, arrays) -> None:
    outputs = drive(plugin, arrays, flavour=flavour, interface="v3", memory=HostMemory())
    expected = calls.run_reference(plugin, arrays)
    assert [(a.dtype, a.shape) for a in outputs] == [(b.dtype, b.shape) for b in expected]
    for got, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_the_reference_needs_no_sizes() -> None:
    values, places, count = calls.run_reference(Positive(), [np.array([-1, 2, 3], np.float32)])
    assert values.tolist() == [2, 3]
    assert places.tolist() == [[1, 2]]
    assert (count.shape, count.dtype, int(count)) == ((), np.int32, 2)


@pytest.mark.parametrize("plugin", [Positive, First])
def test_v2_cannot_express_it_and_says_so(flavour, plugin) -> None:
    with pytest.raises(UsageError, match="PK214.*cannot be an IPluginV2DynamicExt"):
        register(plugin, interface="v2", flavour=flavour)
    register(plugin, flavour=flavour)  # chooses V3 by itself
    creator = flavour.module.get_plugin_registry().get_creator(*plugin.spec.key)
    assert hasattr(creator, "create_plugin")
    assert not hasattr(creator, "deserialize_plugin")


def test_on_v2_an_aliased_output_has_memory_of_its_own(flavour) -> None:
    y, x = np.ones((2, 3), np.float32), np.full((2, 3), 4, np.float32)
    total, old = drive(AddInto(), [y, x], flavour=flavour, interface="v2", memory=HostMemory())
    assert (total == 5).all()
    assert (old == 0).all()


def test_the_aliased_input_is_named_and_its_memory_used(flavour) -> None:
    shapes = [(2,), (2,)]
    profile = Profile(shapes, shapes, shapes)
    layer = build_layer(AddInto(), profile, [float32] * 2, interface="v3", flavour=flavour)
    assert [layer.adapter.get_aliased_input(index) for index in range(2)] == [1, -1]
    with layer.context() as context:
        memory = HostMemory()
        x, y, old = np.array([1, 2], np.float32), np.array([3, 4], np.float32), np.zeros(8, "B")
        context.enqueue_pointers(
            shapes,
            [memory.pointer(y), memory.pointer(x)],
            [memory.pointer(x), memory.pointer(old)],
            0,
            0,
        )
    assert x.tolist() == [4, 6]


@pytest.mark.parametrize("tactic", [0, 1, 2])
def test_tactics_are_counted_from_one(flavour, tactic) -> None:
    shapes = [(4,), (1,)]
    profile = Profile(shapes, shapes, shapes, {"k": (3,)})
    layer = build_layer(First(), profile, [float32, int64], interface="v3", flavour=flavour)
    assert layer.adapter.get_valid_tactics() == [1, 2]
    with layer.context() as context:
        context.adapter.set_tactic(tactic)
        assert context.adapter.core.plugin.tactic == ("backwards" if tactic == 2 else "forwards")
        x = np.arange(4, dtype=np.float32)
        (y,) = context.enqueue([x, np.array([3])], HostMemory())
    assert y.tolist() == [0, 1, 2]


def test_a_tactic_that_is_not_there_is_an_error(flavour) -> None:
    shapes = [(4,), (1,)]
    profile = Profile(shapes, shapes, shapes, {"k": (3,)})
    layer = build_layer(First(), profile, [float32, int64], interface="v3", flavour=flavour)
    with pytest.raises(CallbackError, match="PK215"), layer.context() as context:
        context.adapter.set_tactic(3)


def test_a_shape_input_may_change_from_call_to_call(flavour) -> None:
    shapes = [(6,), (1,)]
    profile = Profile([(2,), (1,)], shapes, [(9,), (1,)], {"k": (2,)})
    layer = build_layer(First(), profile, [float32, int64], interface="v3", flavour=flavour)
    x = np.arange(6, dtype=np.float32)
    with layer.context() as context:
        for k in (2, 5, 0):
            (y,) = context.enqueue([x, np.array([k])], HostMemory())
            assert y.tolist() == list(range(k))


def test_the_plugins_check_sees_the_values(flavour) -> None:
    with pytest.raises(CallbackError, match="k is 9; expected at most 4"):
        drive(
            First(), [np.zeros(4, np.float32), np.array([9])],
            flavour=flavour, interface="v3", memory=HostMemory(),
        )  # fmt: skip


def test_a_value_that_no_output_tells_is_an_error(flavour) -> None:
    with pytest.raises(CallbackError, match=r"PK119.*value 0 of shape input 'k'"):
        drive(
            Hidden(), [np.zeros(4, np.float32), np.array([9])],
            flavour=flavour, interface="v3", memory=HostMemory(),
        )  # fmt: skip


def test_a_size_beyond_its_bound_is_an_error(flavour) -> None:
    with pytest.raises(TensorError, match="PK118.*wrote 4 to size output 'count'"):
        drive(
            Lies(), [np.ones(3, np.float32)],
            flavour=flavour, interface="v3", memory=HostMemory(),
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [Positive, First, AddInto])
def test_plugincheck_covers_it(plugin) -> None:
    report = plugincheck(plugin, memory="host")
    assert not report.has_failures, str(report)
    assert {"kernel_types", "canaries", "life_cycle", "two_contexts"} <= {
        result.check for result in report.of("passed")
    }


def model_of(plugin, inputs, outputs, extra=()):
    names = [name for name, *_ in inputs]
    node = plugin_node(plugin, names, [name for name, *_ in outputs], "it")
    graph = helper.make_graph(
        [node, *extra],
        "g",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


FLOAT, INT64, INT32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.INT32
MODELS = {
    "data-dependent": (
        Positive,
        model_of(
            Positive(),
            [("x", FLOAT, ["n"])],
            [("values", FLOAT, ["c"]), ("places", INT64, [1, "c"]), ("count", INT32, [])],
        ),
    ),
    "shape input": (
        First,
        model_of(First(), [("x", FLOAT, ["n"]), ("k", INT64, [1])], [("y", FLOAT, ["k"])]),
    ),
    "aliased": (
        AddInto,
        model_of(
            AddInto(),
            [("y", FLOAT, ["n", 2]), ("x", FLOAT, ["n", 2])],
            [("total", FLOAT, ["n", 2]), ("old", FLOAT, ["n", 2])],
        ),
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_real_build_takes_it(kind, rtx, tmp_path) -> None:
    plugin, model = MODELS[kind]
    onnx.save(model, tmp_path / "m.onnx")
    built = build_engine(
        tmp_path / "m.onnx",
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        plugins={plugin.spec.key: plugin},
        shapes={"k": "1,3,4"} if kind == "shape input" else None,
    )
    assert built.plan_path.stat().st_size > 1000
    (record,) = built.manifest.plugins
    assert record.interface == "v3"


def test_a_model_with_them_runs_on_the_cpu(tmp_path) -> None:
    plugin, model = MODELS["data-dependent"]
    x = np.array([3, -1, 2], np.float32)
    outputs = run_model(model, {"x": x}, {plugin.spec.key: plugin}, base_dir=tmp_path)
    assert outputs["values"].tolist() == [3, 2]
    assert outputs["count"] == 2
    plugin, model = MODELS["shape input"]
    feeds = {"x": x, "k": np.array([2])}
    outputs = run_model(model, feeds, {plugin.spec.key: plugin}, base_dir=tmp_path)
    assert outputs["y"].tolist() == [3, -1]
