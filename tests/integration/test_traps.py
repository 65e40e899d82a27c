"""Each way in which TensorRT punishes a Python plugin is impossible here, or a clear error."""

import functools
import gc
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import Input, Output, Plugin, attribute, float32, int64
from pluginkit.checking.trt_double.driver import Profile, build_layer, drive
from pluginkit.device.memory import HostMemory
from pluginkit.errors import (
    CallbackError,
    MissingDependencyError,
    PlanError,
    RegistrationError,
    UsageError,
)
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.trt import plugin_registry
from pluginkit.trt.adapter import AdapterCore
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.flavour import available_flavours, load_flavour
from pluginkit.trt.plugin_layers import NetworkDescription, add_to_network, describing
from pluginkit.trt.plugin_registry import interface_of, register
from pluginkit.trt.plugin_v3 import plugin_v3
from tests.integration.host_plugins import HostPlugin, PadRows

pytestmark = pytest.mark.trt


class Fails(HostPlugin):
    """Raises in the method called ``method``, or returns what TensorRT would silently accept."""

    types = {"T": (float32,)}
    method: str = attribute(default="")
    x = Input("T")
    y = Output("T")

    def _maybe(self, method):
        if self.method == method:
            raise ZeroDivisionError(f"in {method}")
        if self.method == f"exit in {method}":
            raise SystemExit(7)
        if self.method == f"interrupt in {method}":
            raise KeyboardInterrupt

    def check(self, x):
        if x.is_static:
            self._maybe("check")

    def output_types(self, x):
        self._maybe("output_types")
        return x.dtype

    def output_shapes(self, x):
        self._maybe("output_shapes")
        return x.shape

    def workspace_bytes(self, x):
        self._maybe("workspace_bytes")
        return {"workspace None": None, "workspace float": 1.5, "workspace negative": -4}.get(
            self.method, 0
        )

    def enqueue(self, inputs, outputs, workspace, stream):
        self._maybe("enqueue")
        super().enqueue(inputs, outputs, workspace, stream)

    def reference(self, x):
        return x


X = np.arange(4, dtype=np.float32)

FAILURES = {
    "output_types": ("get_output_data", ZeroDivisionError),
    "output_shapes": ("get_output_(shapes|dimensions)", ZeroDivisionError),
    "check": ("(configure_plugin|get_output_)", ZeroDivisionError),
    "workspace_bytes": ("get_workspace_size", ZeroDivisionError),
    "workspace None": ("get_workspace_size", ValueError),
    "workspace float": ("get_workspace_size", ValueError),
    "workspace negative": ("get_workspace_size", ValueError),
    "enqueue": ("enqueue", ZeroDivisionError),
}


@pytest.mark.parametrize("method", FAILURES)
def test_what_a_callback_raises_comes_back_chained(flavour, interface, method: str) -> None:
    callback, cause = FAILURES[method]
    with pytest.raises(
        CallbackError, match=f"PK204 Fails: {callback}.* failed while TensorRT called it"
    ) as caught:
        drive(Fails(method=method), [X], interface=interface, flavour=flavour, memory=HostMemory())
    assert isinstance(caught.value.__cause__, cause)


@pytest.mark.parametrize(
    ("method", "error"),
    [("exit in enqueue", SystemExit), ("interrupt in enqueue", KeyboardInterrupt)],
)
def test_exits_and_interrupts_come_back_as_they_are(flavour, interface, method, error) -> None:
    with pytest.raises(error):
        drive(Fails(method=method), [X], interface=interface, flavour=flavour, memory=HostMemory())


def model_of(
    plugin: Plugin,
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, tuple[int, list[Any]]],
) -> bytes:
    node = plugin_node(plugin, list(inputs), list(outputs), "the_node")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, *info) for name, info in inputs.items()],
        [helper.make_tensor_value_info(name, *info) for name, info in outputs.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


@functools.cache
def logger_of(trt: Any) -> Any:
    """One logger for the process: TensorRT's registry goes on using the first that it sees."""
    return trt.Logger(trt.Logger.INTERNAL_ERROR)


def build_with_rtx(rtx, model: bytes) -> Any:
    trt = rtx.module
    logger = logger_of(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise RuntimeError(parser.get_error(0).desc())
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        dims = tuple(tensor.shape)
        sizes = [tuple(size if dim < 0 else dim for dim in dims) for size in (1, 4, 8)]
        profile.set_shape(tensor.name, *sizes)
    config.add_optimization_profile(profile)
    return builder.build_serialized_network(network, config)


FAILS_IO = ({"x": (TensorProto.FLOAT, ["n"])}, {"y": (TensorProto.FLOAT, ["n"])})


@pytest.mark.parametrize("method", [method for method in FAILURES if method != "enqueue"])
def test_a_real_build_fails_with_the_callbacks_exception(rtx, method: str) -> None:
    register(Fails, flavour=rtx)
    with pytest.raises(CallbackError, match="PK204 Fails") as caught, callback_errors():
        build_with_rtx(rtx, model_of(Fails(method=method), *FAILS_IO))
    assert isinstance(caught.value.__cause__, FAILURES[method][1])
    assert "the_node" in str(caught.value)


def test_a_real_build_succeeds_where_nothing_fails(rtx) -> None:
    register(Fails, flavour=rtx)
    with callback_errors() as failures:
        assert build_with_rtx(rtx, model_of(Fails(), *FAILS_IO)) is not None
    assert failures == []


def test_an_interrupt_in_a_real_build_comes_back(rtx) -> None:
    register(Fails, flavour=rtx)
    with pytest.raises(KeyboardInterrupt), callback_errors():
        build_with_rtx(rtx, model_of(Fails(method="interrupt in output_shapes"), *FAILS_IO))


ATTRIBUTES = {
    "repeats": 2**31,
    "mode": "ones",
    "scale": 0.1,
    "exact": False,
    "offsets": (2**40, -(2**63), 2**63 - 1),
    "labels": ("", "json:", "ümlaut"),
    "table": np.arange(6, dtype=np.int64).reshape(2, 3) << 40,
}


def plugins_made(rtx, monkeypatch) -> list[Any]:
    """The adapters that TensorRT's parser will have PadRows' creator make."""
    creator = plugin_registry._registered["tensorrt_rtx", PadRows.spec.key].creator
    made: list[Any] = []
    original = type(creator).create_plugin
    monkeypatch.setattr(
        type(creator), "create_plugin", lambda *args: made.append(original(*args)) or made[-1]
    )
    return made


@pytest.mark.parametrize("inputs", [("x", "rows"), ("x", "rows", "bias")])
def test_attributes_survive_onnx_parser_fields_and_plan_exactly(rtx, monkeypatch, inputs) -> None:
    register(PadRows, flavour=rtx)
    made = plugins_made(rtx, monkeypatch)
    plugin = PadRows(**ATTRIBUTES | {"repeats": 3}).with_inputs(*inputs)
    types = {"x": (1, ["n", 5]), "rows": (7, ["m"]), "bias": (1, [5])}
    outputs = {"y": (1, ["k", 5]), "count": (7, ["m"])}
    with callback_errors():
        plan = build_with_rtx(
            rtx, model_of(plugin, {name: types[name] for name in inputs}, outputs)
        )
    gc.collect()
    (parsed,) = made
    assert parsed.core.plugin == plugin
    np.testing.assert_array_equal(parsed.core.plugin.table, ATTRIBUTES["table"])
    data = bytes(plan)
    for value in plugin.to_wire().values():
        if isinstance(value, str) and len(value) > 8:
            assert value.encode() + b"\0" in data


def test_attributes_of_a_node_that_a_person_wrote_survive_too(rtx, monkeypatch) -> None:
    register(PadRows, flavour=rtx)
    table = helper.make_tensor("t", TensorProto.INT64, [2], [2**40, 1])
    node = helper.make_node(
        "PadRows_PK", ["x", "rows", ""], ["y", "count"], "mine", domain="pluginkit",
        table=table, offsets=[2**40, 7], scale=0.5,
    )  # fmt: skip
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5]),
            helper.make_tensor_value_info("rows", TensorProto.INT64, ["m"]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["k", 5]),
            helper.make_tensor_value_info("count", TensorProto.INT64, ["m"]),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    completed = rewrite_model(model, [], plugins={PadRows.spec.key: PadRows}).model
    made = plugins_made(rtx, monkeypatch)
    with callback_errors():
        assert build_with_rtx(rtx, completed.SerializeToString()) is not None
    (parsed,) = made
    assert parsed.core.plugin.offsets == (2**40, 7)
    assert parsed.core.plugin.table.tolist() == [2**40, 1]
    assert parsed.core.plugin.present == (True, True, False)
    assert list(model.graph.node[0].input) == ["x", "rows", ""]  # the model given is unchanged


def test_a_tensor_attribute_that_the_parser_mislabels_is_refused(rtx) -> None:
    register(PadRows, flavour=rtx)
    model = onnx.load_from_string(
        model_of(
            PadRows().with_inputs("x", "rows"),
            {"x": (1, ["n", 5]), "rows": (7, ["m"])},
            {"y": (1, ["k", 5]), "count": (7, ["m"])},
        )
    )
    node = model.graph.node[0]
    for index, item in enumerate(node.attribute):
        if item.name == "table":
            tensor = helper.make_tensor("t", TensorProto.INT64, [2], [2**40, 1])
            node.attribute[index].CopyFrom(helper.make_attribute("table", tensor))
    with (
        pytest.raises(
            CallbackError, match="PK205 PadRows: attribute 'table' reached TensorRT as a FLOAT16"
        ),
        callback_errors(),
    ):
        build_with_rtx(rtx, model.SerializeToString())


def test_no_attributes_at_all_still_registers_and_builds(rtx) -> None:
    class Plain(HostPlugin):
        """y = x"""

        x = Input(float32)
        y = Output(float32)

        def output_shapes(self, x):
            return x.shape

        def reference(self, x):
            return x

    register(Plain, flavour=rtx)
    with callback_errors():
        assert build_with_rtx(rtx, model_of(Plain(), *FAILS_IO)) is not None


def test_registering_twice_is_fine_and_changing_interface_replaces(flavour) -> None:
    for interface in ("v2", "v2", "v3", "v2"):
        register(PadRows, interface=interface, flavour=flavour)
        found = flavour.module.get_plugin_registry().get_creator(*PadRows.spec.key)
        expected = {"v2": "CreatorV2", "v3": "CreatorV3"}[interface]
        assert type(found).__name__ == expected


def make_impostor() -> type[Plugin]:
    class Impostor(HostPlugin):
        """Has PadRows' name."""

        plugin_name = "PadRows_PK"
        x = Input(float32)
        y = Output(float32)

        def output_shapes(self, x):
            return x.shape

        def reference(self, x):
            return x

    return Impostor


def test_two_plugins_of_one_name_are_an_error_across_interfaces(flavour) -> None:
    register(PadRows, interface="v2", flavour=flavour)
    for interface in ("v2", "v3"):
        with pytest.raises(RegistrationError, match=r"PK208 Impostor: .*host_plugins\.PadRows"):
            register(make_impostor(), interface=interface, flavour=flavour)


def test_a_plugin_that_someone_else_registered_is_not_overwritten(flavour) -> None:
    class Foreign(make_impostor()):
        plugin_name = "Foreign_PK"

    module = flavour.module
    theirs = plugin_registry.creator_v3(Foreign, flavour)
    assert module.get_plugin_registry().register_creator(theirs, "pluginkit")
    try:
        with pytest.raises(
            RegistrationError, match="PK208 .* a plugin that pluginkit did not register"
        ):
            register(Foreign, flavour=flavour)
    finally:
        module.get_plugin_registry().deregister_creator(theirs)


def test_the_name_of_an_onnx_operator_is_refused(flavour) -> None:
    class Relu(make_impostor()):
        plugin_name = "Relu"

    with pytest.raises(
        RegistrationError, match="PK202 Relu: plugin_name 'Relu' is an ONNX operator"
    ):
        register(Relu, flavour=flavour)


def test_creators_live_as_long_as_the_registry(flavour, interface) -> None:
    register(PadRows, interface=interface, flavour=flavour)
    gc.collect()
    creator = flavour.module.get_plugin_registry().get_creator(*PadRows.spec.key)
    announced = {field.name for field in creator.field_names}
    assert announced == {a.name for a in PadRows.spec.attributes} | {"pluginkit_inputs"}


def test_a_damaged_v2_payload_is_a_clear_error(flavour) -> None:
    register(PadRows, interface="v2", flavour=flavour)
    creator = flavour.module.get_plugin_registry().get_creator(*PadRows.spec.key)
    for payload in (b"", b"\xff\x00", b"{}", b'{"pluginkit": 99, "attributes": {}}'):
        with pytest.raises(CallbackError, match="PK207 PadRows: the plan holds"), callback_errors():
            creator.deserialize_plugin("node", payload)
    with pytest.raises(PlanError):
        creator.deserialize_plugin("node", b"")


def test_v3_adapters_are_never_freed(flavour) -> None:
    core = AdapterCore(PadRows(), flavour, None)
    finalizer = weakref.finalize(core, lambda: None)
    adapter = plugin_v3(core)
    del adapter, core
    gc.collect()
    assert finalizer.alive  # the adapter holds its core


def test_v2_that_was_never_configured_says_so(flavour) -> None:
    profile = Profile([(4,)], [(4,)], [(4,)])
    layer = build_layer(Fails(), profile, [float32], interface="v2", flavour=flavour)
    with (
        pytest.raises(CallbackError, match="PK211 Fails: enqueue got 0 inputs; expected 1"),
        callback_errors(),
    ):
        layer.adapter.clone().enqueue([], [], [], [], 0, 0)


def test_after_a_failure_the_plugin_refuses_instead_of_building_something_wrong(
    flavour, interface
) -> None:
    profile = Profile([(4,)], [(4,)], [(4,)])
    layer = build_layer(Fails(), profile, [float32], interface=interface, flavour=flavour)
    layer.adapter.failed("some_callback", ValueError("first"))
    with pytest.raises(RegistrationError, match="PK206 .*(?s:.)*first"):
        layer.adapter.supports_format_combination(0, [], 1)


def test_auto_is_v2_where_the_parser_takes_it(flavour) -> None:
    expected = {"tensorrt_lean": "v2", "tensorrt_rtx": "v3"}[flavour.name]
    assert interface_of(PadRows.spec, flavour) == expected
    with pytest.raises(UsageError, match="PK601"):
        interface_of(PadRows.spec, flavour, "v4")


def test_flavours_are_chosen_by_argument_and_environment(monkeypatch) -> None:
    assert set(available_flavours()) >= {"tensorrt_rtx"}
    monkeypatch.setenv("PLUGINKIT_TENSORRT", "tensorrt_rtx")
    assert load_flavour().name == "tensorrt_rtx"
    with pytest.raises(UsageError, match="PK600 TensorRT flavour 'trt' does not exist"):
        load_flavour("trt")
    if "tensorrt" not in available_flavours():
        with pytest.raises(
            MissingDependencyError, match="PK200 tensorrt is not installed; found .*tensorrt_rtx"
        ):
            load_flavour("tensorrt")


@pytest.mark.parametrize("version", ["10.4.0", "10.13.2.6"])
def test_versions_known_to_be_broken_are_refused(version: str, flavour) -> None:
    from pluginkit.trt.flavour import Flavour, _refuse_known_broken

    with pytest.raises(MissingDependencyError, match=f"PK203 tensorrt {version} does not work"):
        _refuse_known_broken(Flavour("tensorrt", flavour.module, version))
    _refuse_known_broken(Flavour("tensorrt", flavour.module, "10.16.1.11"))


CHILD = """
import sys
from pathlib import Path
{first}
from pluginkit.trt.flavour import load_flavour
flavour = load_flavour("tensorrt_rtx")
from tests.integration.test_traps import FAILS_IO, Fails, build_with_rtx, model_of, register
register(Fails, flavour=flavour)
print("built", build_with_rtx(flavour, model_of(Fails(), *FAILS_IO)).nbytes > 0)
"""


def run_child(script: str, **values: str) -> subprocess.CompletedProcess[str]:
    """Run a script with these values in a process that may crash."""
    command = [sys.executable, "-c", script.format(**values)]
    root = Path(__file__).parents[2]  # "-c" puts the current folder on the module path
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("first", ["", "import tensorrt_rtx"])
def test_the_parser_finds_its_library_whoever_imported_tensorrt_first(rtx, first: str) -> None:
    done = run_child(CHILD, first=first)
    assert done.stdout.endswith("built True\n"), done.stderr[-2000:]


INTERRUPTED = """
import signal, sys
from pluginkit.trt.flavour import load_flavour
from tests.integration.test_traps import FAILS_IO, Fails, build_with_rtx, model_of, register
from tests.integration.test_traps import callback_errors
flavour = load_flavour("tensorrt_rtx")
register(Fails, flavour=flavour)
model = model_of(Fails(), *FAILS_IO)

def press(frame, event, _):
    if event == "call" and frame.f_code.co_name == {callback!r}:
        signal.raise_signal(signal.SIGINT)

try:
    with callback_errors():
        sys.setprofile(press)
        built = build_with_rtx(flavour, model)
        sys.setprofile(None)
        print("built", built.nbytes > 0)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(
    "callback", ["create_plugin", "get_capability_interface", "clone", "get_valid_tactics"]
)
def test_an_interrupt_where_tensorrt_would_crash_waits(rtx, callback: str) -> None:
    done = run_child(INTERRUPTED, callback=callback)
    assert done.stdout == "built True\ninterrupted\n", done.stderr[-2000:]
    assert done.returncode == 0


class FakeNetwork:
    """Plays INetworkDefinition: no flavour that installs here has one that takes plugins."""

    __module__ = "tensorrt_lean_bindings.tensorrt_lean"

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.added: list[tuple[Any, ...]] = []

    def add_plugin_v2(self, inputs, plugin):
        return self._add("v2", inputs, plugin)

    def add_plugin_v3(self, inputs, shape_inputs, plugin):
        assert shape_inputs == []
        return self._add("v3", inputs, plugin)

    def _add(self, interface, inputs, plugin):
        self.added.append((interface, inputs, plugin))
        return None if self.refuses else type("Layer", (), {"name": None})()


def test_a_plugin_can_be_added_to_a_network_by_api(interface) -> None:
    load_flavour("tensorrt_lean")
    network = FakeNetwork()
    layer = add_to_network(network, Fails(), ["tensor"], name="layer", interface=interface)
    ((used, inputs, adapter),) = network.added
    assert (used, inputs, layer.name) == (interface, ["tensor"], "layer")
    assert adapter.core.plugin == Fails()
    with pytest.raises(UsageError, match="PK111 Fails: got 2 inputs; expected 1"):
        add_to_network(network, Fails(), ["a", "b"], interface=interface)
    with pytest.raises(RegistrationError, match="PK209"):
        add_to_network(FakeNetwork(refuses=True), Fails(), ["tensor"], interface=interface)


def test_a_description_knows_what_is_added_to_a_network() -> None:
    load_flavour("tensorrt_lean")
    description = NetworkDescription("v3")
    with describing(description):
        layer = add_to_network(FakeNetwork(), Fails(), ["tensor"])
    assert layer.name == "Fails_PK 0"
    assert description.nodes == [("Fails_PK 0", Fails())]
    assert description.noted == []


def test_a_flavour_without_the_call_says_so(rtx) -> None:
    trt = rtx.module
    network = trt.Builder(logger_of(trt)).create_network(0)
    with pytest.raises(MissingDependencyError, match="PK210 tensorrt_rtx .* cannot add v3 plugins"):
        add_to_network(network, Fails(), [object()])


def test_int64_inputs_reach_a_plugin_as_int64(flavour, interface) -> None:
    class Wide(make_impostor()):
        plugin_name = "Wide_PK"
        x = Input(int64)
        y = Output(int64)

    (y,) = drive(
        Wide(), [np.array([2**62])], interface=interface, flavour=flavour, memory=HostMemory()
    )
    assert y.tolist() == [2**62]
