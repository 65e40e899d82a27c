"""Check format combinations by asking as TensorRT does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Any

from pluginkit.checking.check import check
from pluginkit.checking.outcomes import Failure
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.checking.trt_double.adapters import (
    adapter_of,
    creator_of,
    installed_flavour,
    interfaces_of,
)
from pluginkit.checking.trt_double.descriptions import tensor_desc
from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import Port
from pluginkit.errors import PluginkitError
from pluginkit.quantities import counted
from pluginkit.trt.flavour import Flavour

#: TensorRT tries at most this many combinations.
LIMIT = 100

Combination = tuple[tuple[str, str], ...]  # DataType and TensorFormat of each input and output


@check(50, needs=("cases", "tensorrt"))
def format_combinations(subject: Subject) -> str:
    """The plugin accepts exactly the combinations that its declaration allows, all linear.

    Offers every type in every format at every position, as TensorRT does, on both interfaces. There
    may be at most 100 combinations, TensorRT's limit.

    Does not prove that TensorRT chooses the fastest combination.
    """
    flavour = installed_flavour()
    by_inputs = {plugin.present: (plugin, label) for plugin, label in subject.instances()}
    for interface in interfaces_of(subject.plugin_class):
        creator = creator_of(subject.plugin_class, interface)
        for plugin, label in by_inputs.values():
            expected = set(islice(_expected(plugin), LIMIT + 1))
            if len(expected) > LIMIT:
                raise Failure(
                    "the declaration",
                    f"more than {LIMIT} combinations of types",
                    f"at most {LIMIT}",
                    cause=f"TensorRT tries the first {LIMIT} only.",
                )
            adapter = adapter_of(plugin, interface, creator)
            every = _accepted(flavour, interface, adapter, plugin)
            accepted = set(islice(every, 2 * LIMIT))  # accepting everything gives a billion
            for wrong, got, wanted in (
                (accepted - expected, "accepted", "refused"),
                (expected - accepted, "refused", "accepted"),
            ):
                if wrong:
                    shown = ", ".join(f"{t} {f}" for t, f in sorted(wrong)[0])
                    raise Failure(f"{label}, {interface}: {shown}", got, wanted)
    return counted(len(expected), "combination")


def _expected(plugin: Plugin) -> Iterator[Combination]:
    ports = calls.device_ports(plugin)
    for types in _allowed_types(ports):
        try:
            _, every = calls.with_shape_inputs(plugin, [()] * len(types), types)
            outputs = calls.output_types(plugin, calls.describe_dtypes(plugin, every))
        except PluginkitError:
            continue
        yield tuple((dtype.trt, "LINEAR") for dtype in (*types, *outputs))


def _allowed_types(ports: Sequence[Port]) -> Iterator[list[DType]]:
    """Yield the allowed combinations of types; inputs of one type variable have one type."""
    free = {_free(port): port.dtypes for port in ports}
    for types in product(*free.values()):
        bound = dict(zip(free, types, strict=True))
        yield [bound[_free(port)] for port in ports]


def _free(port: Port) -> str:
    """Return the type variable of a port, or the port's own name."""
    return f"type {port.variable}" if port.variable else f"input {port.name}"


def _accepted(
    flavour: Flavour, interface: str, adapter: Any, plugin: Plugin
) -> Iterator[Combination]:
    num_inputs = len(calls.device_ports(plugin))
    positions = num_inputs + len(plugin.spec.outputs)
    offers = list(_offers(flavour))

    def extend(before: list[tuple[str, str, Any]]) -> Iterator[Combination]:
        if len(before) == positions:
            yield tuple((data_type, form) for data_type, form, _ in before)
            return
        for offer in offers:
            descs = [desc for _, _, desc in (*before, offer)]
            descs += [offers[0][2]] * (positions - len(descs))
            seen = [_dynamic(flavour, desc) for desc in descs] if interface == "v3" else descs
            if adapter.supports_format_combination(len(before), seen, num_inputs):
                yield from extend([*before, offer])

    return extend([])


def _offers(flavour: Flavour) -> Iterator[tuple[str, str, Any]]:
    formats = getattr(flavour.module, "TensorFormat", None)  # tensorrt_lean has none
    names = ["LINEAR"] if formats is None else list(formats.__members__)
    for data_type in flavour.module.DataType.__members__.values():
        for name in names:
            desc = tensor_desc(flavour, (1,), data_type)
            if formats is not None:
                desc.format = formats.__members__[name]
            yield data_type.name, name, desc


def _dynamic(flavour: Flavour, desc: Any) -> Any:
    dynamic = flavour.module.DynamicPluginTensorDesc()
    dynamic.desc = desc
    return dynamic
