"""Describe a call's inputs, and check them against the declaration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from pluginkit.contract.dims import InputDim, Shape, ShapeValue, is_static
from pluginkit.contract.dtypes import DType, dtype_from_numpy
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import Port
from pluginkit.contract.tensors import Slot, TensorDesc, slot_of
from pluginkit.errors import TensorError

if TYPE_CHECKING:
    import numpy.typing as npt

Inputs = tuple[TensorDesc | None, ...]
T = TypeVar("T")

_HOST = Slot("host")


def describe_inputs(
    plugin: Plugin,
    shapes: Sequence[Shape],
    dtypes: Sequence[DType],
    values: Mapping[str, Shape] | None = None,
) -> Inputs:
    """Return one description for each declared input, None for one that the node lacks.

    Args:
        plugin: the plugin.
        shapes: the shapes of the inputs that the node has, in order.
        dtypes: their dtypes.
        values: the known values of shape inputs, by name.

    Errors:
        PK111: the number of inputs is wrong.  PK112: a dtype or rank is not allowed, or a shape
        input has the wrong number of values.  PK124: a declared shape has another rank.
    """
    if len(shapes) != len(dtypes):
        raise TensorError(
            "PK111", f"{owner(plugin)}: got {len(shapes)} shapes and {len(dtypes)} dtypes."
        )
    # Types and ranks are those of the calls before, mostly, and those were right.
    key = (plugin.present, *[dtype.name for dtype in dtypes], *map(len, shapes))
    known = plugin.spec.right_calls.get(key)
    if known is not None:
        return _described_again(plugin, known, shapes, values or {})
    inputs = _by_declared_input(plugin, shapes, dtypes, values or {})
    check_dtypes(plugin, dtypes)
    for port, desc in zip(plugin.spec.inputs, inputs, strict=True):
        if desc is None:
            continue
        if port.shape is not None and not port.shape.takes_rank(desc.ndim):
            raise TensorError("PK124", f"{owner(plugin)}: input {desc}; expected {port.shape}.")
        if not port.ranks[0] <= desc.ndim <= port.ranks[1]:
            raise TensorError(
                "PK112",
                f"{owner(plugin)}: input {desc} has rank {desc.ndim}; "
                f"expected {port.ranks[0]} to {port.ranks[1]}.",
            )
        if port.is_shape_input and isinstance(desc.shape[0], int):
            _check_length(plugin, port, desc.shape[0])
    slots = [desc.slot for desc in inputs if desc is not None]
    plugin.spec.right_calls[key] = tuple(zip(present_ports(plugin), dtypes, slots, strict=True))
    return inputs


def _described_again(
    plugin: Plugin,
    known: Sequence[tuple[Port, DType, Slot]],
    shapes: Sequence[Shape],
    values: Mapping[str, Shape],
) -> Inputs:
    """Describe inputs whose types and ranks are known to be right."""
    descs = []
    for (port, dtype, slot), shape in zip(known, shapes, strict=True):
        if port.is_shape_input:
            if isinstance(shape[0], int):
                _check_length(plugin, port, shape[0])
            desc = _shape_input(plugin, port, shape, dtype, values)
        else:
            own = tuple(shape) if is_static(shape) else _named(shape, port)
            desc = TensorDesc(port.name, own, dtype, slot)
        descs.append(desc)
    if len(descs) == len(plugin.present):
        return tuple(descs)
    rest = iter(descs)
    return tuple([next(rest) if is_there else None for is_there in plugin.present])


def _check_length(plugin: Plugin, port: Port, length: int) -> None:
    if length != port.length:
        raise TensorError(
            "PK112",
            f"{owner(plugin)}: shape input '{port.name}' has {length} values; "
            f"expected {port.length}.",
        )


def describe_arrays(plugin: Plugin, arrays: Sequence[npt.NDArray[Any]]) -> Inputs:
    """Describe the arrays of the inputs that the node has; see :func:`describe_inputs`."""
    return describe_inputs(
        plugin,
        [array.shape for array in arrays],
        [dtype_from_numpy(array.dtype) for array in arrays],
        shape_values_in(plugin, arrays),
    )


def shape_values_in(
    plugin: Plugin, arrays: Sequence[npt.NDArray[Any]]
) -> dict[str, tuple[int, ...]]:
    """Return the values of the shape inputs among the arrays, by name."""
    return {
        port.name: tuple(int(value) for value in array.reshape(-1))
        for port, array in zip(present_ports(plugin), arrays, strict=False)
        if port.is_shape_input
    }


def on_device(plugin: Plugin, given: Sequence[T]) -> list[T]:
    """Keep the items of the inputs on the device; ``given`` has one item for each input."""
    ports = present_ports(plugin)
    return [one for port, one in zip(ports, given, strict=True) if port.is_on_device]


def device_ports(plugin: Plugin) -> list[Port]:
    """Return the node's inputs that kernels get: all but the shape inputs."""
    return on_device(plugin, present_ports(plugin))


def aliased_inputs(plugin: Plugin) -> dict[int, int]:
    """Return, for each output that may lie in an input's memory, the input's pointer index."""
    names = [port.name for port in device_ports(plugin)]
    return {
        index: names.index(port.aliases)
        for index, port in enumerate(plugin.spec.outputs)
        if port.aliases
    }


def with_shape_inputs(
    plugin: Plugin, shapes: Sequence[Shape], dtypes: Sequence[DType]
) -> tuple[list[Shape], list[DType]]:
    """Add the shape inputs to the shapes and dtypes of the inputs on the device."""
    ports = present_ports(plugin)
    if len(shapes) != sum(port.is_on_device for port in ports):
        return list(shapes), list(dtypes)  # describe_inputs will complain
    seen = iter(zip(shapes, dtypes, strict=True))
    pairs = [
        next(seen) if port.is_on_device else ((port.length,), port.dtypes[0]) for port in ports
    ]
    return [shape for shape, _ in pairs], [dtype for _, dtype in pairs]


def describe_dtypes(plugin: Plugin, dtypes: Sequence[DType]) -> Inputs:
    """Describe inputs of which only the dtypes are known; any dtype is accepted."""
    return _by_declared_input(plugin, [()] * len(dtypes), dtypes, {})


def _by_declared_input(
    plugin: Plugin,
    shapes: Sequence[Shape],
    dtypes: Sequence[DType],
    values: Mapping[str, Shape],
) -> Inputs:
    ports = present_ports(plugin)
    if len(dtypes) != len(ports):
        names = ", ".join(port.name for port in ports)
        raise TensorError(
            "PK111",
            f"{owner(plugin)}: got {len(dtypes)} inputs; expected {len(ports)}: {names}.",
        )
    descs = {}
    buffers = count()
    for port, shape, dtype in zip(ports, shapes, dtypes, strict=True):
        if port.is_on_device:
            slot = slot_of("input", next(buffers))
            descs[port.name] = TensorDesc(port.name, _named(shape, port), dtype, slot)
            continue
        descs[port.name] = _shape_input(plugin, port, shape, dtype, values)
    return tuple(descs.get(port.name) for port in plugin.spec.inputs)


def _shape_input(
    plugin: Plugin, port: Port, shape: Shape, dtype: DType, values: Mapping[str, Shape]
) -> TensorDesc:
    known = values.get(port.name)
    if known is None:
        known = tuple([ShapeValue(port.name, index) for index in range(port.length)])
    _check_length(plugin, port, len(known))
    return TensorDesc(port.name, tuple(shape), dtype, _HOST, known)


def _named(shape: Shape, port: Port) -> Shape:
    """Give the dimensions of an input that are not known yet its name, for messages."""
    if is_static(shape):
        return tuple(shape)
    return tuple(
        InputDim(dim.index, dim.axis, port.name) if isinstance(dim, InputDim) else dim
        for dim in shape
    )


def present_ports(plugin: Plugin) -> tuple[Port, ...]:
    """Return the declared inputs that the node has."""
    return plugin.spec.present_ports(plugin.present)


def owner(plugin: Plugin) -> str:
    """Return the plugin's class name, for messages."""
    return type(plugin).__name__


def check_dtypes(
    plugin: Plugin, dtypes: Sequence[DType], ports: Sequence[Port] | None = None
) -> None:
    """Check that the declaration allows these dtypes for the node's first inputs.

    Args:
        plugin: the plugin.
        dtypes: the dtypes of the first inputs.
        ports: the inputs to check; by default all that the node has.

    Errors:
        PK112: a dtype is not among those declared, or differs from that of an input with the same
            type variable.
    """
    bound: dict[str, tuple[str, DType]] = {}
    given = present_ports(plugin) if ports is None else ports
    for port, dtype in zip(given, dtypes, strict=False):
        if dtype not in port.dtypes:
            allowed = ", ".join(allowed.name for allowed in port.dtypes)
            raise TensorError(
                "PK112",
                f"{owner(plugin)}: input '{port.name}' is {dtype.name}; expected {allowed}.",
            )
        if port.variable is not None:
            other, expected = bound.setdefault(port.variable, (port.name, dtype))
            if dtype is not expected:
                raise TensorError(
                    "PK112",
                    f"{owner(plugin)}: input '{port.name}' is {dtype.name}; "
                    f"expected {expected.name}, the type '{port.variable}' of input '{other}'.",
                )


def dtypes_are_allowed(
    plugin: Plugin, dtypes: Sequence[DType], ports: Sequence[Port] | None = None
) -> bool:
    """Whether :func:`check_dtypes` accepts the dtypes."""
    try:
        check_dtypes(plugin, dtypes, ports)
    except TensorError:
        return False
    return True


def first_dtypes(plugin: Plugin) -> list[DType]:
    """Return the first allowed dtype of each input that the node has."""
    return [port.dtypes[0] for port in present_ports(plugin)]


def type_bindings(plugin: Plugin, inputs: Inputs) -> dict[str, DType]:
    """Return the dtype of each type variable that an input binds."""
    return {
        port.variable: desc.dtype
        for port, desc in zip(plugin.spec.inputs, inputs, strict=True)
        if desc is not None and port.variable is not None
    }
