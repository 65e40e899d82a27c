"""Ask an author's methods for the outputs' shapes and types, and check the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import count
from typing import Any

from pluginkit.contract.calls.inputs import (
    Inputs,
    describe_inputs,
    owner,
    present_ports,
    type_bindings,
    with_shape_inputs,
)
from pluginkit.contract.calls.refusals import asked
from pluginkit.contract.declared_shapes import check_shapes
from pluginkit.contract.dims import DimExpr, Shape, ShapeValue, SizeDim, at_upper_bound, known
from pluginkit.contract.dtypes import DType
from pluginkit.contract.linked_axes import LinkedAxes, linked_axes
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import MAX_RANK
from pluginkit.contract.tensors import TensorDesc, slot_of
from pluginkit.errors import InputError, PluginkitError, TensorError, UnknownDimError

#: For each shape input the output, and its axis, that has each of its values.
ValuePlaces = dict[str, list[tuple[int, int]]]


def check(plugin: Plugin, inputs: Inputs) -> None:
    """Compare the inputs with the declared shapes, and run the author's check.

    On symbolic shapes the author's check ends where it asks for an unknown value.

    Errors:
        PK124: an input has another shape than the class declares.
        PK130: the author's check returned something.
        InputError: the author refuses the inputs, with an InputError or any other ValueError, or
            reads a dimension or value that they lack (IndexError).
        Other exceptions pass through.
    """
    if plugin.spec.has_declared_shapes:
        ranks = tuple([None if desc is None else len(desc.shape) for desc in inputs])
        linked = _linked_axes(type(plugin), ranks)  # type: ignore[arg-type]  # a class has a hash
        if linked is None or not linked.fit(inputs):  # as far as sizes are known
            check_shapes(owner(plugin), [port.shape for port in plugin.spec.inputs], inputs)
    if "check" in plugin.spec.overrides:
        asked(plugin, _author_checks, (plugin, inputs))


def _author_checks(plugin: Plugin, inputs: Inputs) -> None:
    own_check: Callable[..., object] = plugin.check
    try:
        answer = own_check(*inputs)
    except UnknownDimError:
        if all(desc is None or desc.is_static for desc in inputs):
            raise
    except PluginkitError:
        raise
    except (ValueError, IndexError) as error:
        raise InputError(str(error)) from error
    else:
        if answer is not None:
            raise TensorError(
                "PK130",
                f"{owner(plugin)}.check returned {answer!r}; expected None.",
                fix="to refuse the inputs, raise InputError(text, code=name); else return nothing.",
            )


@cache
def _linked_axes(plugin: type[Plugin], ranks: tuple[int | None, ...]) -> LinkedAxes | None:
    return linked_axes([port.shape for port in plugin.spec.inputs], ranks)


def output_types(plugin: Plugin, inputs: Inputs) -> tuple[DType, ...]:
    """Return the outputs' dtypes.

    Errors:
        PK113: the author's output_types did not return one allowed dtype for each output.
    """
    ports = plugin.spec.outputs
    if "output_types" in plugin.spec.overrides:
        returned = asked(plugin, plugin.output_types, inputs)
        dtypes = (returned,) if isinstance(returned, DType) else tuple(returned)
        dtypes += tuple(port.dtypes[0] for port in plugin.spec.sizes)
    else:
        bound = type_bindings(plugin, inputs)
        return tuple(
            [bound[port.variable] if port.variable in bound else port.dtypes[0] for port in ports]
        )
    if len(dtypes) != len(ports) or any(
        d not in port.dtypes for d, port in zip(dtypes, ports, strict=True)
    ):
        expected = "; ".join(
            f"{port.name}: {', '.join(d.name for d in port.dtypes)}" for port in ports
        )
        raise TensorError(
            "PK113", f"{owner(plugin)}.output_types returned {dtypes!r}; expected {expected}."
        )
    return dtypes


def refuses_types(plugin: Plugin, inputs: Inputs) -> bool:
    """Whether the author's output_types refuses these dtypes for the plugin's attribute values."""
    try:
        output_types(plugin, inputs)
    except TensorError as error:
        return error.code != "PK113"  # PK113 means a wrong return value
    except Exception:  # a bug, which shows where the types are needed
        return False
    return False


def describe_outputs(plugin: Plugin, inputs: Inputs) -> tuple[TensorDesc, ...]:
    """Describe the outputs; a dimension that only kernels know has its upper bound.

    Errors:
        PK113: wrong dtypes.  PK114: not one shape for each output, or something in a shape that is
            no dimension.  PK118: a dimension may exceed what its size output can hold.
    """
    dtypes = output_types(plugin, inputs)
    shapes = output_shapes(plugin, inputs)
    if plugin.spec.sizes:
        _check_sizes(plugin, shapes, dtypes)
        shapes = [tuple(map(at_upper_bound, shape)) for shape in shapes]
    given = zip(plugin.spec.outputs, shapes, dtypes, count())  # one of each
    return tuple(
        [
            TensorDesc(port.name, shape, dtype, slot_of("output", index))
            for port, shape, dtype, index in given
        ]
    )


def _check_sizes(plugin: Plugin, shapes: Sequence[Shape], dtypes: Sequence[DType]) -> None:
    limits = {
        port.name: 2 ** (8 * dtype.itemsize - 1) - 1
        for port, dtype in zip(plugin.spec.outputs, dtypes, strict=True)
        if port.is_size
    }
    for dim in (dim for shape in shapes for dim in shape if isinstance(dim, SizeDim)):
        if isinstance(dim.upper, int) and dim.upper > limits[dim.name]:
            raise TensorError(
                "PK118",
                f"{owner(plugin)}: size output '{dim.name}' may become {dim.upper}; "
                f"expected at most {limits[dim.name]}.",
                fix=f"declare {dim.name} = SizeOutput(int64).",
            )


def output_shapes(plugin: Plugin, inputs: Inputs) -> list[Shape]:
    """Return the outputs' shapes, with expressions for dimensions that are not known yet.

    Errors:
        PK114: not one shape for each output, or something in a shape that is no dimension.
    """
    sizes: list[Shape] = [()] * len(plugin.spec.sizes)
    alike = _alike(type(plugin))  # type: ignore[arg-type]  # a class has a hash
    if alike is not None:  # without asking
        return [inputs[index].shape for index in alike] + sizes  # type: ignore[union-attr]
    returned = asked(plugin, plugin.output_shapes, inputs)
    ports = plugin.spec.results
    if not isinstance(returned, (tuple, list)):
        raise _not_shapes(plugin, returned)
    is_one_shape = len(ports) == 1 and not (
        len(returned) == 1 and isinstance(returned[0], (tuple, list))
    )
    candidates = [returned] if is_one_shape else returned
    if len(candidates) != len(ports):
        raise _not_shapes(plugin, returned)
    shapes: list[Shape] = []
    for candidate in candidates:
        if not isinstance(candidate, (tuple, list)) or len(candidate) > MAX_RANK:
            raise _not_shapes(plugin, returned)
        try:
            shape = tuple([dim if isinstance(dim, DimExpr) else known(dim) for dim in candidate])
        except TypeError:
            raise _not_shapes(plugin, returned) from None
        for dim in shape:
            if isinstance(dim, int) and not 0 <= dim < 2**63:
                raise _not_shapes(plugin, returned)
        shapes.append(shape)
    return shapes + sizes


@cache
def _alike(plugin: type[Plugin]) -> tuple[int, ...] | None:
    """Return for each output but sizes the input of its shape; None if a method says shapes."""
    spec = plugin.spec
    names = [None if port.optional else port.name for port in spec.inputs]
    if "output_shapes" in spec.overrides or any(port.like not in names for port in spec.results):
        return None
    return tuple(names.index(port.like) for port in spec.results)


def _not_shapes(plugin: Plugin, returned: Any) -> TensorError:
    names = [port.name for port in plugin.spec.results]
    expected = "a shape." if len(names) == 1 else f"{len(names)} shapes, for {', '.join(names)}."
    return TensorError(
        "PK114",
        f"{owner(plugin)}.output_shapes returned {returned!r}; expected {expected}",
        fix="return a tuple of dimensions for each output.",
    )


def describe_on_device(
    plugin: Plugin,
    shapes: Sequence[Shape],
    dtypes: Sequence[DType],
    outputs: Callable[[], Sequence[Sequence[int]]],
    places: ValuePlaces | None = None,
) -> Inputs:
    """Describe all inputs, shape inputs too, from what TensorRT tells an adapter.

    Args:
        plugin: the plugin.
        shapes: the shapes of the inputs on the device.
        dtypes: their dtypes.
        outputs: returns the outputs' shapes, -1 for a dimension that only kernels know.
        places: where one node's outputs have the values; found in the first call and kept in it.

    Errors:
        PK111, PK112: as for describe_inputs.  PK119: a value is no dimension of any output.
    """
    if not plugin.spec.has_shape_inputs:
        return describe_inputs(plugin, shapes, dtypes)
    shapes, dtypes = with_shape_inputs(plugin, shapes, dtypes)
    places = {} if places is None else places
    if not places:
        places.update(_value_places(plugin, shapes, dtypes))
    concrete = outputs()
    values = {
        name: tuple([concrete[output][axis] for output, axis in every])
        for name, every in places.items()
    }
    return describe_inputs(plugin, shapes, dtypes, values)


def _value_places(plugin: Plugin, shapes: Sequence[Shape], dtypes: Sequence[DType]) -> ValuePlaces:
    """Return where the outputs' shapes tell shape inputs' values, as nothing else does at run time.

    Errors:
        PK119: a value is no dimension of any output.
    """
    symbolic = describe_inputs(plugin, shapes, dtypes)
    found = {
        (dim.name, dim.index): (output, axis)
        for output, shape in enumerate(output_shapes(plugin, symbolic))
        for axis, dim in enumerate(shape)
        if isinstance(dim, ShapeValue)
    }
    places: ValuePlaces = {}
    for port in present_ports(plugin):
        keys = [(port.name, index) for index in range(port.length)]
        for key in keys:
            if key not in found:
                raise TensorError(
                    "PK119",
                    f"{owner(plugin)}: value {key[1]} of shape input '{port.name}' is no dimension "
                    "of an output; expected an output dimension that is this value by itself.",
                    cause="at run time TensorRT tells plugins the output shapes, not the values of "
                    "shape tensors.",
                    fix="add an output with that dimension, or read the value on the device from "
                    "an ordinary input.",
                )
        if keys:
            places[port.name] = [found[key] for key in keys]
    return places
