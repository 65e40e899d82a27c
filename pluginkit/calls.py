"""Calls an author's methods and checks what they return.

Adapters, ONNX type inference, references and tests all go through here, so that a wrong return
value is found in one place and described in the author's terms.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

from pluginkit.dims import Dim, DimExpr, Shape, ShapeValue, SizeDim, at_upper_bound, with_sizes
from pluginkit.dtypes import DType, dtype_from_numpy
from pluginkit.errors import KernelError, TensorError, UnknownDimError
from pluginkit.kernels.declare import Copy, Fill, Launch, Step
from pluginkit.plugin import Plugin
from pluginkit.spec import MAX_RANK, Port
from pluginkit.tensors import Slot, TensorDesc, Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

Inputs = tuple[TensorDesc | None, ...]
T = TypeVar("T")


def describe_inputs(
    plugin: Plugin,
    shapes: Sequence[Shape],
    dtypes: Sequence[DType],
    values: Mapping[str, Shape] | None = None,
) -> Inputs:
    """One description for each declared input, None where this instance lacks it.

    Args:
        plugin: the plugin.
        shapes: of the inputs that the node has, in order.
        dtypes: likewise.
        values: of shape inputs, by name, as far as they are known.

    Errors:
        PK111: the number of inputs is wrong.  PK112: a dtype or rank is not allowed, or a shape
        input has another number of values.
    """
    if len(shapes) != len(dtypes):
        raise TensorError(
            "PK111", f"{_name(plugin)}: got {len(shapes)} shapes and {len(dtypes)} dtypes."
        )
    inputs = _by_declared_input(plugin, shapes, dtypes, values or {})
    check_dtypes(plugin, dtypes)
    for port, desc in zip(plugin.spec.inputs, inputs, strict=True):
        if desc is None:
            continue
        if not port.ranks[0] <= desc.ndim <= port.ranks[1]:
            raise TensorError(
                "PK112",
                f"{_name(plugin)}: input {desc} has rank {desc.ndim}; "
                f"expected {port.ranks[0]} to {port.ranks[1]}.",
            )
        if port.length is not None and isinstance(desc.shape[0], int):
            _check_length(plugin, port, desc.shape[0])
    return inputs


def _check_length(plugin: Plugin, port: Port, length: int) -> None:
    if length != port.length:
        raise TensorError(
            "PK112",
            f"{_name(plugin)}: shape input '{port.name}' has {length} values; "
            f"expected {port.length}.",
        )


def describe_arrays(plugin: Plugin, arrays: Sequence[npt.NDArray[Any]]) -> Inputs:
    """As :func:`describe_inputs`, for the arrays of the inputs that the node has."""
    return describe_inputs(
        plugin,
        [array.shape for array in arrays],
        [dtype_from_numpy(array.dtype) for array in arrays],
        shape_values_in(plugin, arrays),
    )


def shape_values_in(
    plugin: Plugin, arrays: Sequence[npt.NDArray[Any]]
) -> dict[str, tuple[int, ...]]:
    """The values of the shape inputs among the arrays, by name."""
    return {
        port.name: tuple(int(value) for value in array.reshape(-1))
        for port, array in zip(present_ports(plugin), arrays, strict=False)
        if port.length is not None
    }


def on_device(plugin: Plugin, given: Sequence[T]) -> list[T]:
    """Of one thing for each input that the node has, those of inputs that kernels see."""
    ports = present_ports(plugin)
    return [one for port, one in zip(ports, given, strict=True) if port.length is None]


def device_ports(plugin: Plugin) -> list[Port]:
    """The inputs that the node has and kernels see."""
    return on_device(plugin, present_ports(plugin))


def with_shape_inputs(
    plugin: Plugin, shapes: Sequence[Shape], dtypes: Sequence[DType]
) -> tuple[list[Shape], list[DType]]:
    """Shapes and dtypes of all inputs, given those of the inputs that kernels see."""
    ports = present_ports(plugin)
    if len(shapes) != sum(port.length is None for port in ports):
        return list(shapes), list(dtypes)  # of which describe_inputs will complain
    seen = iter(zip(shapes, dtypes, strict=True))
    pairs = [
        next(seen) if port.length is None else ((port.length,), port.dtypes[0]) for port in ports
    ]
    return [shape for shape, _ in pairs], [dtype for _, dtype in pairs]


def describe_dtypes(plugin: Plugin, dtypes: Sequence[DType]) -> Inputs:
    """As :func:`describe_inputs`, with dtypes alone: shapes are empty, nothing is refused."""
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
            "PK111", f"{_name(plugin)}: got {len(dtypes)} inputs; expected {len(ports)}: {names}."
        )
    descs = {}
    buffers = count()
    for port, shape, dtype in zip(ports, shapes, dtypes, strict=True):
        if port.length is None:
            descs[port.name] = TensorDesc(
                port.name, tuple(shape), dtype, Slot("input", next(buffers))
            )
            continue
        known = values.get(port.name)
        if known is None:
            known = tuple(ShapeValue(port.name, index) for index in range(port.length))
        _check_length(plugin, port, len(known))
        descs[port.name] = TensorDesc(port.name, tuple(shape), dtype, Slot("host"), known)
    return tuple(descs.get(port.name) for port in plugin.spec.inputs)


def present_ports(plugin: Plugin) -> list[Port]:
    """The inputs that the node has."""
    return [
        port for port, present in zip(plugin.spec.inputs, plugin.present, strict=True) if present
    ]


def _name(plugin: Plugin) -> str:
    return type(plugin).__name__


def check_dtypes(
    plugin: Plugin, dtypes: Sequence[DType], ports: Sequence[Port] | None = None
) -> None:
    """Whether the declaration allows these dtypes for the first inputs that the node has.

    Args:
        plugin: the plugin.
        dtypes: of the first inputs.
        ports: the inputs that are meant, where it is not all that the node has.

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
                f"{_name(plugin)}: input '{port.name}' is {dtype.name}; expected {allowed}.",
            )
        if port.variable is not None:
            other, expected = bound.setdefault(port.variable, (port.name, dtype))
            if dtype is not expected:
                raise TensorError(
                    "PK112",
                    f"{_name(plugin)}: input '{port.name}' is {dtype.name}; "
                    f"expected {expected.name}, the type '{port.variable}' of input '{other}'.",
                )


def dtypes_are_allowed(
    plugin: Plugin, dtypes: Sequence[DType], ports: Sequence[Port] | None = None
) -> bool:
    """Whether :func:`check_dtypes` accepts them."""
    try:
        check_dtypes(plugin, dtypes, ports)
    except TensorError:
        return False
    return True


def first_dtypes(plugin: Plugin) -> list[DType]:
    """For each input that the node has, the first dtype that the declaration allows."""
    return [port.dtypes[0] for port in present_ports(plugin)]


def check(plugin: Plugin, inputs: Inputs) -> None:
    """Run the author's check; on symbolic shapes a question without an answer ends it.

    Errors:
        whatever the author raises.
    """
    try:
        plugin.check(*inputs)
    except UnknownDimError:
        if all(desc is None or desc.is_static for desc in inputs):
            raise


def type_bindings(plugin: Plugin, inputs: Inputs) -> dict[str, DType]:
    """The dtype of each type variable that an input binds."""
    return {
        port.variable: desc.dtype
        for port, desc in zip(plugin.spec.inputs, inputs, strict=True)
        if desc is not None and port.variable is not None
    }


def output_types(plugin: Plugin, inputs: Inputs) -> tuple[DType, ...]:
    """The outputs' dtypes.

    Errors:
        PK113: the author's output_types returned something else than one allowed dtype for each
            output.
    """
    ports = plugin.spec.outputs
    if "output_types" in plugin.spec.overrides:
        returned = plugin.output_types(*inputs)
        dtypes = (returned,) if isinstance(returned, DType) else tuple(returned)
        dtypes += tuple(port.dtypes[0] for port in plugin.spec.sizes)
    else:
        bound = type_bindings(plugin, inputs)
        dtypes = tuple(
            bound[port.variable] if port.variable in bound else port.dtypes[0] for port in ports
        )
    if len(dtypes) != len(ports) or any(
        d not in port.dtypes for d, port in zip(dtypes, ports, strict=True)
    ):
        expected = "; ".join(
            f"{port.name}: {', '.join(d.name for d in port.dtypes)}" for port in ports
        )
        raise TensorError(
            "PK113", f"{_name(plugin)}.output_types returned {dtypes!r}; expected {expected}."
        )
    return dtypes


def refuses_types(plugin: Plugin, inputs: Inputs) -> bool:
    """Whether the author's output_types refuses these dtypes for the plugin's attribute values."""
    try:
        output_types(plugin, inputs)
    except TensorError as error:
        return error.code != "PK113"  # which is about what it returned
    except Exception:  # a fault, which shows wherever the types are needed
        return False
    return False


def describe_outputs(plugin: Plugin, inputs: Inputs) -> tuple[TensorDesc, ...]:
    """The outputs that follow from the inputs, dimensions that only kernels know at their largest.

    Errors:
        PK113: wrong dtypes.  PK114: not one shape for each output, or a dimension that is negative
            or no dimension.  PK118: a dimension may exceed what its size output can hold.
    """
    ports = plugin.spec.outputs
    dtypes = output_types(plugin, inputs)
    shapes = output_shapes(plugin, inputs)
    _check_sizes(plugin, shapes, dtypes)
    return tuple(
        TensorDesc(port.name, tuple(map(at_upper_bound, shape)), dtype, Slot("output", index))
        for index, (port, shape, dtype) in enumerate(zip(ports, shapes, dtypes, strict=True))
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
                f"{_name(plugin)}: size output '{dim.name}' may become {dim.upper}; "
                f"expected at most {limits[dim.name]}.",
                fix=f"declare {dim.name} = SizeOutput(int64).",
            )


def output_shapes(plugin: Plugin, inputs: Inputs) -> list[Shape]:
    """The outputs' shapes; dimensions that follow from unknown ones are expressions.

    Errors:
        PK114: not one shape for each output, or a dimension that is negative or no dimension.
    """
    returned: Any = plugin.output_shapes(*inputs)
    ports = plugin.spec.results
    problem = TensorError(
        "PK114",
        f"{_name(plugin)}.output_shapes returned {returned!r}; expected "
        + (
            "a shape."
            if len(ports) == 1
            else f"{len(ports)} shapes, for {', '.join(port.name for port in ports)}."
        ),
        fix="return a tuple of dimensions for each output.",
    )
    if not isinstance(returned, (tuple, list)):
        raise problem
    is_one_shape = len(ports) == 1 and not (
        len(returned) == 1 and isinstance(returned[0], (tuple, list))
    )
    candidates = [returned] if is_one_shape else returned
    if len(candidates) != len(ports):
        raise problem
    shapes = []
    for candidate in candidates:
        if not isinstance(candidate, (tuple, list)) or len(candidate) > MAX_RANK:
            raise problem
        try:
            shape = tuple(
                dim if isinstance(dim, DimExpr) else operator.index(dim) for dim in candidate
            )
        except TypeError:
            raise problem from None
        if any(isinstance(dim, int) and not 0 <= dim < 2**63 for dim in shape):
            raise problem
        shapes.append(shape)
    return shapes + [()] * len(plugin.spec.sizes)


def known_shape_values(
    plugin: Plugin,
    shapes: Sequence[Shape],
    dtypes: Sequence[DType],
    outputs: Callable[[], Sequence[Sequence[int]]],
) -> dict[str, tuple[int, ...]]:
    """The values of the shape inputs, from the outputs' shapes: TensorRT tells nothing else.

    Args:
        plugin: the plugin.
        shapes: of all inputs that the node has.
        dtypes: likewise.
        outputs: gives the outputs' shapes, -1 for dimensions that only kernels know; not called
            where there are no shape inputs.

    Errors:
        PK119: a value is no dimension of any output.
    """
    if not plugin.spec.has_shape_inputs:
        return {}
    symbolic = describe_inputs(plugin, shapes, dtypes)
    found: dict[tuple[str, int], int] = {}
    for shape, concrete in zip(output_shapes(plugin, symbolic), outputs(), strict=True):
        for dim, value in zip(shape, concrete, strict=True):
            if isinstance(dim, ShapeValue):
                found[dim.name, dim.index] = value
    values: dict[str, tuple[int, ...]] = {}
    for port in present_ports(plugin):
        keys = [(port.name, index) for index in range(port.length or 0)]
        for key in keys:
            if key not in found:
                raise TensorError(
                    "PK119",
                    f"{_name(plugin)}: value {key[1]} of shape input '{port.name}' is no dimension "
                    "of an output; expected one that is this value and nothing else.",
                    cause="TensorRT tells plugins the values of shape tensors in no other way.",
                    fix="add an output with that dimension, or read the value on the device from "
                    "an ordinary input.",
                )
        if keys:
            values[port.name] = tuple(found[key] for key in keys)
    return values


def workspace_bytes(plugin: Plugin, inputs: Inputs) -> int:
    """The workspace for concrete inputs, in bytes.

    Errors:
        PK115: the author returned something else than a non-negative int.
    """
    returned = plugin.workspace_bytes(*inputs)
    try:
        nbytes = operator.index(returned)
    except TypeError:
        nbytes = -1
    if isinstance(returned, bool) or not 0 <= nbytes < 2**63:
        raise TensorError(
            "PK115",
            f"{_name(plugin)}.workspace_bytes returned {returned!r}; expected bytes, an int >= 0.",
            cause="TensorRT would silently take it as 0.",
        )
    return nbytes


def largest_workspace_bytes(plugin: Plugin, inputs: Inputs) -> int:
    """As :func:`workspace_bytes`, for the tactic that needs most."""
    plugins = [plugin.with_tactic(each) for each in plugin.spec.tactics] or [plugin]
    return max(workspace_bytes(each, inputs) for each in plugins)


def steps(plugin: Plugin, inputs: Inputs, outputs: Sequence[TensorDesc]) -> tuple[Step, ...]:
    """The author's launches for concrete shapes.

    Errors:
        PK116: the author returned something else than Launch, Copy and Fill.
    """
    tensors: list[Any] = [*inputs, *outputs]
    if "workspace_bytes" in plugin.spec.overrides:
        tensors.append(Workspace(workspace_bytes(plugin, inputs)))
    returned = plugin.launches(*tensors)
    listed = (returned,) if isinstance(returned, (Launch, Copy, Fill)) else returned
    if not isinstance(listed, (tuple, list)) or not all(
        isinstance(step, (Launch, Copy, Fill)) for step in listed
    ):
        raise KernelError(
            "PK116",
            f"{_name(plugin)}.launches returned {returned!r}; expected Launch, Copy and Fill.",
        )
    return tuple(listed)


def run_reference(
    plugin: Plugin, arrays: Sequence[npt.NDArray[Any]]
) -> tuple[npt.NDArray[Any], ...]:
    """Run the numpy reference on the arrays of the inputs that the node has.

    Errors:
        PK111, PK112, and what check raises: the arrays do not fit.
        PK117: the reference's outputs differ in number, dtype or shape from what the plugin
            declares.
    """
    import numpy as np

    arrays = [np.asarray(array) for array in arrays]
    inputs = describe_arrays(plugin, arrays)
    check(plugin, inputs)
    expected = describe_outputs(plugin, inputs)
    given = iter(arrays)
    returned = plugin.reference(*(None if desc is None else next(given) for desc in inputs))
    results = (returned,) if isinstance(returned, (np.ndarray, np.generic)) else tuple(returned)
    ordinary = len(plugin.spec.results)
    if len(results) != ordinary:
        raise TensorError(
            "PK117",
            f"{_name(plugin)}.reference returned {len(results)} outputs; expected {ordinary}.",
        )
    outputs = [np.asarray(result) for result in results]
    sizes: dict[str, int] = {}
    for output, desc, shape in zip(outputs, expected, output_shapes(plugin, inputs), strict=False):
        fits = len(shape) == output.ndim and all(
            _size_fits(sizes, dim, length) for dim, length in zip(shape, output.shape, strict=True)
        )
        if not fits or output.dtype != desc.dtype.numpy:
            raise TensorError(
                "PK117",
                f"{_name(plugin)}.reference: {desc.name} is {output.dtype}{list(output.shape)}; "
                f"expected {desc.dtype.name}[{', '.join(map(str, shape))}].",
            )
    for desc in expected[ordinary:]:
        if desc.name not in sizes:
            raise TensorError(
                "PK114",
                f"{_name(plugin)}.output_shapes: '{desc.name}' is no dimension of an output; "
                f"expected self.{desc.name}.up_to(...) by itself in a shape.",
            )
        outputs.append(np.asarray(sizes[desc.name], desc.dtype.numpy))
    return tuple(outputs)


def _size_fits(sizes: dict[str, int], dim: Dim, length: int) -> bool:
    """Whether an output's dimension has the right length; notes those that only kernels know."""
    if isinstance(dim, SizeDim):
        return length <= operator.index(dim.upper) and sizes.setdefault(dim.name, length) == length
    return isinstance(dim, DimExpr) or dim == length


def arrays_from_buffers(
    plugin: Plugin, inputs: Inputs, buffers: Sequence[bytes]
) -> list[npt.NDArray[Any]]:
    """The outputs, from buffers as large as they can be: densely written, sizes in size outputs.

    Errors:
        PK118: a kernel wrote a size below 0 or above its upper bound.
    """
    import numpy as np

    outputs = describe_outputs(plugin, inputs)
    sizes = {
        desc.name: int(np.frombuffer(data, desc.dtype.numpy, 1)[0])
        for port, desc, data in zip(plugin.spec.outputs, outputs, buffers, strict=True)
        if port.is_size
    }
    arrays = []
    shapes = output_shapes(plugin, inputs)
    for desc, shape, data in zip(outputs, shapes, buffers, strict=True):
        for dim in shape:
            if isinstance(dim, SizeDim) and not 0 <= sizes[dim.name] <= operator.index(dim.upper):
                raise TensorError(
                    "PK118",
                    f"{_name(plugin)}: a kernel wrote {sizes[dim.name]} to size output "
                    f"'{dim.name}'; expected 0 to {dim.upper}.",
                )
        actual = tuple(operator.index(with_sizes(dim, sizes)) for dim in shape)
        arrays.append(np.frombuffer(data, desc.dtype.numpy, prod(actual)).reshape(actual))
    return arrays
