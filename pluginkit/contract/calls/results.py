"""Return outputs as arrays, from the numpy reference or from buffers that kernels wrote."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from pluginkit.contract.calls.inputs import Inputs, describe_arrays, owner
from pluginkit.contract.calls.outputs import check, describe_outputs, output_shapes
from pluginkit.contract.calls.refusals import asked
from pluginkit.contract.dims import Dim, DimExpr, SizeDim, with_sizes
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import TensorError

if TYPE_CHECKING:
    import numpy.typing as npt


def run_reference(
    plugin: Plugin, arrays: Sequence[npt.NDArray[Any]]
) -> tuple[npt.NDArray[Any], ...]:
    """Run the numpy reference on the arrays of the inputs that the node has.

    Errors:
        PK111, PK112, or an exception of the author's check: the arrays do not fit.
        PK117: the reference's outputs have another number, dtype or shape than declared.
    """
    import numpy as np

    arrays = [np.asarray(array) for array in arrays]
    inputs = describe_arrays(plugin, arrays)
    check(plugin, inputs)
    expected = describe_outputs(plugin, inputs)
    given = iter(arrays)
    arguments = [None if desc is None else next(given) for desc in inputs]
    returned = asked(plugin, plugin.reference, arguments)
    ordinary = len(plugin.spec.results)
    if isinstance(returned, (np.ndarray, np.generic)):
        returned = (returned,)
    if not isinstance(returned, Iterable):
        raise TensorError(
            "PK117",
            f"{owner(plugin)}.reference returned {returned!r}; expected a numpy array for each of "
            f"{ordinary} outputs.",
            fix="end it with return, and an array of the output's type.",
        )
    results = tuple(returned)
    if len(results) != ordinary:
        raise TensorError(
            "PK117",
            f"{owner(plugin)}.reference returned {len(results)} outputs; expected {ordinary}.",
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
                f"{owner(plugin)}.reference: {desc.name} is {output.dtype}{list(output.shape)}; "
                f"expected {desc.dtype.name}[{', '.join(map(str, shape))}].",
            )
    for desc in expected[ordinary:]:
        if desc.name not in sizes:
            raise TensorError(
                "PK114",
                f"{owner(plugin)}.output_shapes: '{desc.name}' is no dimension of an output; "
                f"expected self.{desc.name}.up_to(...) by itself in a shape.",
            )
        outputs.append(np.asarray(sizes[desc.name], desc.dtype.numpy))
    return tuple(outputs)


def _size_fits(sizes: dict[str, int], dim: Dim, length: int) -> bool:
    """Whether an output's dimension has the right length; records a length only kernels know."""
    if isinstance(dim, SizeDim):
        return length <= operator.index(dim.upper) and sizes.setdefault(dim.name, length) == length
    return isinstance(dim, DimExpr) or dim == length


def arrays_from_buffers(
    plugin: Plugin, inputs: Inputs, buffers: Sequence[bytes]
) -> list[npt.NDArray[Any]]:
    """Return the outputs from the bytes of buffers that have room for the largest outputs.

    Kernels write densely for the sizes that they put into the size outputs.

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
                    f"{owner(plugin)}: a kernel wrote {sizes[dim.name]} to size output "
                    f"'{dim.name}'; expected 0 to {dim.upper}.",
                )
        actual = tuple(operator.index(with_sizes(dim, sizes)) for dim in shape)
        arrays.append(np.frombuffer(data, desc.dtype.numpy, prod(actual)).reshape(actual))
    return arrays
