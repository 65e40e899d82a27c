"""Register with the real registry, and call every callback of a layer up to the first enqueue."""

from __future__ import annotations

from typing import Any

from pluginkit.checking.check import check
from pluginkit.checking.checks.shape_checks import resized
from pluginkit.checking.outcomes import Failure, outcome_of
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.checking.trt_double.adapters import installed_flavour, interfaces_of
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.checking.trt_double.layer import Layer
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.plugin_registry import register


@check(80, needs=("tensorrt",))
def registry(subject: Subject) -> str:
    """The installed TensorRT registers the plugin as V2 and as V3, and finds it again.

    It must be found under its name, version and namespace, with a list of its fields.

    Does not prove anything about the other TensorRT packages: a process loads one of them.
    """
    flavour = installed_flavour()
    spec = subject.plugin_class.spec
    for interface in interfaces_of(subject.plugin_class):
        register(subject.plugin_class, interface=interface, flavour=flavour)
        creator = flavour.module.get_plugin_registry().get_creator(*spec.key)
        found = (creator.name, creator.plugin_version, creator.plugin_namespace)
        if found != spec.key:
            raise Failure(f"{interface}: get_creator", found, spec.key)
        expected = {one.name for one in spec.attributes}
        if not expected <= {field.name for field in creator.field_names}:
            raise Failure(f"{interface}: field_names", len(creator.field_names), sorted(expected))
    return f"{flavour.name} {flavour.version}"


@check(85, needs=("cases", "tensorrt"))
def life_cycle(subject: Subject) -> str:
    """Every callback of a layer succeeds in TensorRT's order, on V2 and on V3.

    The order is create, clone, types, shapes with dynamic dimensions, formats, configure, workspace
    at the profile's maximum, serialize; then deserialize, attach, initialize, destroy. What the
    callbacks return is compared with what the plugin's methods return.

    Does not prove that the real builder accepts the plugin; ``build`` does.
    """
    sized = [(call, list(resized(call))) for call in subject.calls("cover")]
    for interface in interfaces_of(subject.plugin_class):
        for call, sizes in sized:
            with callback_errors():
                _check_layer(call, sizes, interface)
    return f"{len(sized)} layers, on each interface"


def _check_layer(call: PluginCall, sizes: list[PluginCall], interface: Any) -> None:
    bounds = [
        [
            tuple(map(bound, zip(*dims, strict=True)))
            for dims in zip(*(c.shapes for c in sizes), strict=True)
        ]
        for bound in (min, max)
    ]
    flavour = installed_flavour()
    profile = Profile(bounds[0], call.shapes, bounds[1], call.values)
    if _refuses(call, profile):
        profile = Profile(call.shapes, call.shapes, call.shapes, call.values)
    where = f"{call.label}, {interface}"
    try:
        layer = build_layer(call.plugin, profile, call.dtypes, interface=interface, flavour=flavour)
    except PluginkitError as error:
        raise outcome_of(error, where, call.case, "a built layer") from error
    _check_facts(call, layer, profile, where)
    with layer.context() as context:
        if context.adapter.core.plugin != call.plugin:
            raise Failure(
                f"{where}: the plugin of the plan", context.adapter.core.plugin, call.plugin
            )


def _refuses(call: PluginCall, profile: Profile) -> bool:
    """Whether the plugin's own ``check`` refuses the profile's minimum or maximum."""
    try:
        for shapes in (profile.min, profile.max):
            inputs = calls.describe_inputs(call.plugin, list(shapes), call.dtypes, call.values)
            calls.check(call.plugin, inputs)
            calls.describe_outputs(call.plugin, inputs)
    except PluginkitError:
        return True
    return False


def _check_facts(call: PluginCall, layer: Layer, profile: Profile, where: str) -> None:
    flavour = layer.descriptions.flavour
    spec = call.plugin.spec
    ends = [
        calls.describe_inputs(call.plugin, list(shapes), call.dtypes, call.values)
        for shapes in (profile.min, profile.max)
    ]
    outputs = calls.describe_outputs(call.plugin, call.describe())
    adapter = layer.adapter
    name = adapter.plugin_type if isinstance(layer.payload, bytes) else adapter.plugin_name
    facts = (
        ("num_outputs", adapter.num_outputs, len(spec.outputs)),
        (
            "name, version, namespace",
            (name, adapter.plugin_version, adapter.plugin_namespace),
            spec.key,
        ),
        (
            "output types",
            [flavour.dtype(t) for t in layer.output_types],
            [d.dtype for d in outputs],
        ),
        (
            "workspace",
            layer.workspace_bytes,
            max(calls.largest_workspace_bytes(call.plugin, inputs) for inputs in ends),
        ),
        ("output shapes", layer.opt_shapes, [desc.shape for desc in outputs]),
    )
    for what, got, expected in facts:
        if got != expected:
            raise Failure(f"{where}: {what}", got, expected, case=call.case)
    if not isinstance(layer.payload, bytes):
        for kind in flavour.module.PluginCapabilityType.__members__.values():
            if adapter.get_capability_interface(kind) is not adapter:
                raise Failure(
                    f"{where}: get_capability_interface({kind.name})",
                    "another object",
                    "self",
                    cause="TensorRT frees separate capability objects twice.",
                )
