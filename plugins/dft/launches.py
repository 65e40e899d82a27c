"""The launches of Dft, and the layout of its workspace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from pluginkit import (
    Dim,
    Launch,
    TensorDesc,
    Workspace,
    int32,
    int64,
    known,
)
from pluginkit.plugins.dft.plan import (
    MOST_RADICES,
    SHORT,
    Load,
    Pass,
    Store,
    convolution_of,
    passes_of,
    radices_of,
)

if TYPE_CHECKING:
    from pluginkit.plugins.dft import Dft

_THREADS = 256
#: A complex number of two float32.
_ITEMSIZE = 8
#: The points that a block takes at least, if there are enough transforms.
_POINTS_OF_BLOCK = SHORT
#: The numbers that a thread reads before it stores them.
_AT_ONCE = 4

#: The most blocks of a launch; each goes on to other transforms.
_BLOCKS = 1056
#: The numbers after which shared memory has a gap of one.
_GAP = 16

#: What the kernel shares with Python.
DEFINES = {
    "THREADS": _THREADS,
    "AT_ONCE": _AT_ONCE,
    "MOST_RADICES": MOST_RADICES,
    "Load": Load,
    "Store": Store,
}


def workspace_of(plugin: Dft, x: TensorDesc) -> Dim:
    """Return the bytes of intermediate results."""
    return sum(_sizes(plugin, x))


def _sizes(plugin: Dft, x: TensorDesc) -> list[Dim]:
    """Return the bytes of halfway results and spectra, of the batch and of the chirp."""
    passes = passes_of(plugin.length, plugin.inverse)
    batch = plugin.outer(x) * plugin.inner(x) * _ITEMSIZE
    is_split = any(each.load == "WORKSPACE" for each in passes)
    convolution = convolution_of(plugin.length)
    halfway = (convolution or plugin.length) if is_split else 0
    spectrum = convolution or 0
    chirp = spectrum * _ITEMSIZE
    return [batch * halfway, batch * spectrum, chirp if is_split else 0, chirp]


def launches_of(
    plugin: Dft, x: TensorDesc, y: TensorDesc, workspace: Workspace
) -> Iterator[Launch]:
    """Yield a launch for each pass."""
    parts = workspace.split(map(known, _sizes(plugin, x)))
    for each in passes_of(plugin.length, plugin.inverse):
        halfway, spectrum = parts[2:] if each.is_of_chirp else parts[:2]
        source = spectrum if each.load == "PRODUCT" else halfway
        target = halfway if each.is_twiddled else spectrum
        yield _launch(plugin, each, x, y, source, target, parts[3])


def _launch(
    plugin: Dft,
    each: Pass,
    x: TensorDesc,
    y: TensorDesc,
    source: Workspace,
    target: Workspace,
    factors: Workspace,
) -> Launch:
    inner = known(plugin.inner(x))
    batch = 1 if each.is_of_chirp else known(plugin.outer(x)) * inner
    per_block = max(1, _POINTS_OF_BLOCK // each.points)
    elements = per_block * each.points
    axis = x.axis(plugin.axis)
    are_apart = inner > 1
    reads_x, writes_y = "INPUT" in each.load, "OUTPUT" in each.store
    across = (
        int(each.in_step > 1 or (reads_x and are_apart)),
        int(each.out_step > 1 or (writes_y and are_apart)),
    )
    numbers = (
        *(each.points, per_block, each.subs),
        *(each.in_step, each.in_sub, each.out_step, each.out_sub),
        *(each.whole, plugin.length, known(x.shape[axis]), known(y.shape[axis])),
        *(known(x.shape[-1]), known(y.shape[-1])),
        *(int(each.is_twiddled), int(plugin.inverse and plugin.onesided), *across),
        *(get_args(Load).index(each.load), get_args(Store).index(each.store), inner),
    )
    radices = radices_of(each.points) or ()
    transforms = batch * each.subs
    sign, chirp_sign = (1.0 if flag else -1.0 for flag in (each.is_inverse, plugin.inverse))
    scale = 1 / plugin.length if plugin.inverse else 1.0
    if each.store == "CHIRPED_OUTPUT":
        scale /= each.whole
    return Launch(
        plugin.kernel,
        min(-(-transforms // per_block), _BLOCKS),
        _THREADS,
        (
            *(y, target, x, source, factors, int32(numbers)),
            int32((*radices, *[1] * (MOST_RADICES - len(radices)))),
            *(int64(transforms), sign, chirp_sign, scale),
        ),
        shared_bytes=(each.points + 2 * (elements + elements // _GAP)) * _ITEMSIZE,
        constants={"CONVOLVED": convolution_of(plugin.length) is not None},
    )
