"""Call an author's methods with sizes for which there are no arrays."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterator, Sequence

from pluginkit.checking.plugin_under_test import CallAxis, PluginCall
from pluginkit.contract import calls
from pluginkit.contract.dims import ConcreteShape
from pluginkit.contract.tensors import TensorDesc

#: The elements of the largest tensor, and so the largest dimension.
_MOST = 2**31 - 1
#: The sizes of a dimension; each passes a limit that a grid, a block or a number may have.
_SIZES = (2**13, 2**17, 2**21, 2**25, 2**29, _MOST)
#: A call that takes longer is not repeated with a larger size: it may make a launch for each row.
_SECONDS = 0.1


def large_sizes(call: PluginCall) -> Iterator[tuple[str, calls.Inputs, Sequence[TensorDesc]]]:
    """Yield a label, and the descriptions of inputs and outputs, as each dimension grows alone.

    The other dimensions are those of the case, or 1, so that one can grow further. What the class
    refuses is left out, and tensors of 2^31 elements or more.
    """
    for name, axes in call.groups().items():
        for smallest in (False, True):
            for size in _SIZES:
                shapes = _shapes(call, axes, size, others_are_1=smallest)
                described = _described(call, shapes)
                if described is None:
                    continue
                listed = ", ".join(str(list(shape)) for shape in shapes)
                start = time.process_time()
                yield f"{call.label}, {name} large: {listed}", *described
                if time.process_time() - start > _SECONDS:
                    break


def _shapes(
    call: PluginCall, axes: Sequence[CallAxis], size: int, *, others_are_1: bool
) -> list[ConcreteShape]:
    labels = call.labels

    def sized(number: int, axis: int, dim: int) -> int:
        if (number, axis) in axes:
            return max(size, dim)
        may_change = others_are_1 and not isinstance(labels[number][axis], int)
        return min(dim, 1) if may_change else dim

    return [
        tuple(sized(number, axis, dim) for axis, dim in enumerate(shape))
        for number, shape in enumerate(call.shapes)
    ]


def _described(
    call: PluginCall, shapes: Sequence[ConcreteShape]
) -> tuple[calls.Inputs, Sequence[TensorDesc]] | None:
    try:
        inputs = calls.describe_inputs(call.plugin, shapes, call.dtypes, call.values)
        calls.check(call.plugin, inputs)
        outputs = calls.describe_outputs(call.plugin, inputs)
        sizes = [operator.index(desc.size) for desc in (*inputs, *outputs) if desc is not None]
    except Exception:  # the author's methods may raise anything; other checks report it
        return None
    return (inputs, outputs) if max(sizes) <= _MOST else None
