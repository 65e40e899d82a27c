"""Build a real engine, and load the plugin in another process."""

from __future__ import annotations

import functools
import io
import pickle
import subprocess
import sys
from typing import Any

from pluginkit.checking.check import check
from pluginkit.checking.checks.attribute_checks import expect_same, instances
from pluginkit.checking.outcomes import Failure, NotRun, outcome_of
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.trt_double import adapters
from pluginkit.contract import calls
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import PluginkitError
from pluginkit.isolation.class_location import ClassLocation, location_of
from pluginkit.quantities import counted
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.flavour import load_flavour
from pluginkit.trt.plugin_registry import register


@check(90, needs=("cases", "tensorrt", "builder"))
def build(subject: Subject) -> str:
    """TensorRT-RTX builds a plan from one node for each combination of types.

    The node comes as ONNX bytes with dynamic dimensions, and the plan must hold every field of the
    plugin.

    Does not prove that the engine runs, nor anything about the other TensorRT packages, which need
    a GPU to build.
    """
    flavour = load_flavour("tensorrt_rtx")
    register(subject.plugin_class, interface="v3", flavour=flavour)
    chosen = [call for call in subject.calls("cover") if all(a.size for a in call.arrays)]
    if not chosen:
        raise NotRun("a case without empty inputs")
    for call in chosen:
        try:
            with callback_errors():
                plan = _build(flavour.module, call)
        except PluginkitError as error:
            raise outcome_of(error, call.label, call.case, "a plan") from error
        for name, value in call.plugin.to_wire().items():
            held = value.encode() if isinstance(value, str) else b""
            if name.encode() not in plan or held not in plan:
                raise Failure(
                    f"{call.label}: the plan",
                    f"no field '{name}' of this value",
                    f"{name}={value!r}",
                    cause="TensorRT builds a plan also when fields are not serialized.",
                    case=call.case,
                )
    return counted(len(chosen), "plan")


def _build(trt: Any, call: PluginCall) -> bytes:
    logger = _logger(trt)
    logger.lines.clear()
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(_model(call)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise Failure(f"{call.label}: parse", reasons, "a parsed node", case=call.case)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    profile = builder.create_optimization_profile()
    for index, shape in enumerate(call.shapes):
        name = network.get_input(index).name
        values = call.values.get(name)
        if values is None:
            profile.set_shape(name, shape, shape, shape)
        else:
            profile.set_shape_input(name, values, values, values)
    if call.plugin.spec.has_aliases:
        config.set_preview_feature(trt.PreviewFeature.ALIASED_PLUGIN_IO_10_03, True)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise Failure(
            f"{call.label}: build",
            "no plan",
            "a plan",
            cause="\n".join(logger.lines[:5]),
            case=call.case,
        )
    return bytes(plan)


@functools.cache
def _logger(trt: Any) -> Any:
    """Return a logger that keeps TensorRT's errors in ``lines``.

    A process has only one, because TensorRT's registry keeps the first logger that it sees.
    """

    class BuildLogger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.Logger.ERROR, trt.Logger.INTERNAL_ERROR):
                self.lines.append(message)

    return BuildLogger()


def _model(call: PluginCall) -> bytes:
    from onnx import helper

    from pluginkit.onnx.model.plugin_nodes import plugin_node

    names = [port.name for port in calls.present_ports(call.plugin)]
    outputs = [port.name for port in call.plugin.spec.outputs]
    results = zip(outputs, call.reference(), strict=True)
    graph = helper.make_graph(
        [plugin_node(call.plugin, names, outputs, "the_node")],
        "one_node",
        [
            helper.make_tensor_value_info(
                name,
                dtype.onnx,
                shape if name in call.values else [f"{name}_{axis}" for axis in range(len(shape))],
            )
            for name, dtype, shape in zip(names, call.dtypes, call.shapes, strict=True)
        ],
        [
            helper.make_tensor_value_info(
                name,
                helper.np_dtype_to_tensor_dtype(array.dtype),
                [f"{name}_{axis}" for axis in range(array.ndim)],
            )
            for name, array in results
        ],
    )
    opsets = [
        helper.make_opsetid("", 18),
        helper.make_opsetid(call.plugin.spec.plugin_namespace, 1),
    ]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


@check(100, needs=("cases", "tensorrt"))
def reload(subject: Subject) -> str:
    """A new process makes the same plugin from what a plan holds.

    Runs on both interfaces, with the values of the check ``attributes``.

    Does not prove that the plan runs on another machine: files that the plugin reads must exist
    there.
    """
    location = location_of(subject.plugin_class)
    plugins = list(instances(subject))
    payloads = []
    for interface in adapters.interfaces_of(subject.plugin_class):
        creator = adapters.creator_of(subject.plugin_class, interface)
        for plugin, _ in plugins:
            adapter = adapters.adapter_of(plugin, interface, creator)
            payloads.append((interface, adapters.payload_of(interface, adapter)))
    code = f"from {__name__} import load_payloads; load_payloads()"
    done = subprocess.run(  # noqa: S603  # this interpreter and this module
        [sys.executable, "-P", "-c", code],
        input=pickle.dumps((location, payloads)),
        capture_output=True,
    )
    if done.returncode:
        raise Failure(
            "a new process",
            f"exit code {done.returncode}",
            "the plugins",
            cause=done.stderr.decode(errors="replace")[-2000:],
        )
    found = pickle.loads(done.stdout[done.stdout.index(_MARK) + len(_MARK) :])  # noqa: S301  # ours
    interfaces = adapters.interfaces_of(subject.plugin_class)
    expected = [(i, plugin, label) for i in interfaces for plugin, label in plugins]
    for (values, present), (interface, plugin, label) in zip(found, expected, strict=True):
        where = f"{label}, {interface}, in a new process"
        if isinstance(values, str):
            raise Failure(where, values, "the plugin of the plan")
        other = type(plugin)(**values)
        kept = [p.name for p, is_there in zip(plugin.spec.inputs, present, strict=True) if is_there]
        expect_same(where, other.with_inputs(*kept), plugin)
    return f"{counted(len(plugins), 'plugin')}, on each interface"


_MARK = b"pluginkit payloads follow"


def load_payloads() -> None:
    """Read payloads from stdin and write attribute values to stdout; ``reload``'s new process."""
    location: ClassLocation
    location, payloads = pickle.load(sys.stdin.buffer)  # noqa: S301  # from reload
    plugin_class = location.load()
    found: list[tuple[Any, Any]] = []
    for interface, payload in payloads:
        creator = adapters.creator_of(plugin_class, interface)
        try:
            plugin: Plugin = adapters.adapter_of_payload(interface, creator, payload).core.plugin
            found.append((plugin.attribute_values, plugin.present))
        except Exception as error:
            found.append((f"{type(error).__name__}: {error}", None))
    stream = io.BytesIO()
    pickle.dump(found, stream)
    sys.stdout.buffer.write(_MARK + stream.getvalue())
    sys.stdout.flush()
