"""Calls an author's methods and checks what they return.

Adapters, ONNX type inference, references and tests all go through here, so that a wrong return
value is found in one place and described in the author's terms.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pluginkit.dims import DimExpr, Shape
from pluginkit.dtypes import DType, dtype_from_numpy
from pluginkit.errors import KernelError, TensorError, UnknownDimError
from pluginkit.kernels.declare import Copy, Fill, Launch, Step
from pluginkit.plugin import Plugin
from pluginkit.spec import MAX_RANK, Port
from pluginkit.tensors import Slot, TensorDesc, Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

Inputs = tuple[TensorDesc | None, ...]


def describe_inputs(plugin: Plugin, shapes: Sequence[Shape], dtypes: Sequence[DType]) -> Inputs:
    """One description for each declared input, None where this instance lacks it.

    Args:
        plugin: the plugin.
        shapes: of the inputs that the node has, in order.
        dtypes: likewise.

    Errors:
        PK111: the number of inputs is wrong.  PK112: a dtype or rank is not allowed.
    """
    if len(shapes) != len(dtypes):
        raise TensorError(
            "PK111", f"{_name(plugin)}: got {len(shapes)} shapes and {len(dtypes)} dtypes."
        )
    inputs = _by_declared_input(plugin, shapes, dtypes)
    check_dtypes(plugin, dtypes)
    for port, desc in zip(plugin.spec.inputs, inputs, strict=True):
        if desc is not None and not port.ranks[0] <= desc.ndim <= port.ranks[1]:
            raise TensorError(
                "PK112",
                f"{_name(plugin)}: input {desc} has rank {desc.ndim}; "
                f"expected {port.ranks[0]} to {port.ranks[1]}.",
            )
    return inputs


def describe_dtypes(plugin: Plugin, dtypes: Sequence[DType]) -> Inputs:
    """As :func:`describe_inputs`, with dtypes alone: shapes are empty, nothing is refused."""
    return _by_declared_input(plugin, [()] * len(dtypes), dtypes)


def _by_declared_input(plugin: Plugin, shapes: Sequence[Shape], dtypes: Sequence[DType]) -> Inputs:
    ports = _present_ports(plugin)
    if len(dtypes) != len(ports):
        names = ", ".join(port.name for port in ports)
        raise TensorError(
            "PK111", f"{_name(plugin)}: got {len(dtypes)} inputs; expected {len(ports)}: {names}."
        )
    descs = {
        port.name: TensorDesc(port.name, tuple(shapes[index]), dtypes[index], Slot("input", index))
        for index, port in enumerate(ports)
    }
    return tuple(descs.get(port.name) for port in plugin.spec.inputs)


def _present_ports(plugin: Plugin) -> list[Port]:
    return [
        port for port, present in zip(plugin.spec.inputs, plugin.present, strict=True) if present
    ]


def _name(plugin: Plugin) -> str:
    return type(plugin).__name__


def check_dtypes(plugin: Plugin, dtypes: Sequence[DType]) -> None:
    """Whether the declaration allows these dtypes for the first inputs that the node has.

    Errors:
        PK112: a dtype is not among those declared, or differs from that of an input with the same
            type variable.
    """
    bound: dict[str, tuple[str, DType]] = {}
    for port, dtype in zip(_present_ports(plugin), dtypes, strict=False):
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


def dtypes_are_allowed(plugin: Plugin, dtypes: Sequence[DType]) -> bool:
    """Whether :func:`check_dtypes` accepts them."""
    try:
        check_dtypes(plugin, dtypes)
    except TensorError:
        return False
    return True


def first_dtypes(plugin: Plugin) -> list[DType]:
    """For each input that the node has, the first dtype that the declaration allows."""
    return [port.dtypes[0] for port in _present_ports(plugin)]


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


def describe_outputs(plugin: Plugin, inputs: Inputs) -> tuple[TensorDesc, ...]:
    """The outputs that follow from the inputs.

    Errors:
        PK113: wrong dtypes.  PK114: not one shape for each output, or a dimension that is negative
            or no dimension.
    """
    ports = plugin.spec.outputs
    dtypes = output_types(plugin, inputs)
    shapes = output_shapes(plugin, inputs)
    return tuple(
        TensorDesc(port.name, shape, dtype, Slot("output", index))
        for index, (port, shape, dtype) in enumerate(zip(ports, shapes, dtypes, strict=True))
    )


def output_shapes(plugin: Plugin, inputs: Inputs) -> list[Shape]:
    """The outputs' shapes; dimensions that follow from unknown ones are expressions.

    Errors:
        PK114: not one shape for each output, or a dimension that is negative or no dimension.
    """
    returned: Any = plugin.output_shapes(*inputs)
    ports = plugin.spec.outputs
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
    return shapes


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
    inputs = describe_inputs(
        plugin,
        [array.shape for array in arrays],
        [dtype_from_numpy(array.dtype) for array in arrays],
    )
    check(plugin, inputs)
    expected = describe_outputs(plugin, inputs)
    given = iter(arrays)
    returned = plugin.reference(*(None if desc is None else next(given) for desc in inputs))
    results = (returned,) if isinstance(returned, (np.ndarray, np.generic)) else tuple(returned)
    if len(results) != len(expected):
        raise TensorError(
            "PK117",
            f"{_name(plugin)}.reference returned {len(results)} outputs; expected {len(expected)}.",
        )
    outputs = tuple(np.asarray(result) for result in results)
    for output, desc in zip(outputs, expected, strict=True):
        if output.shape != desc.shape or output.dtype != desc.dtype.numpy:
            raise TensorError(
                "PK117",
                f"{_name(plugin)}.reference: {desc.name} is {output.dtype}{list(output.shape)}; "
                f"expected {desc}.",
            )
    return outputs
