"""The kernels and launches of Dft, and the layout of its workspace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pluginkit import (
    CudaKernel,
    Dim,
    Launch,
    TensorDesc,
    Workspace,
    ceil_div,
    int32,
    int64,
    known,
    product,
)
from pluginkit.plugins.dft.plan import Load, Pass, ShapeName, Store, passes_of, path, plan_of
from pluginkit.plugins.dft.shapes import MOST_SHARED, STAGED, Arrangement

if TYPE_CHECKING:
    from pluginkit.plugins.dft import Dft

Prime = Literal["prime"]

#: A complex number of two float32.
_ITEMSIZE = 8

_ENDS: tuple[tuple[Load, Store], ...] = (
    ("COMPLEX", "COMPLEX"),
    ("REAL", "COMPLEX"),
    ("MIRRORED", "REAL"),
)
_LOADS = [load for load, _ in _ENDS]
_STORES: tuple[Store, ...] = ("COMPLEX", "REAL")
_LAST: tuple[Store, ...] = (*_STORES, "MIRRORED")
#: So many threads run at once on each of so many multiprocessors, however many registers they have;
#: a transform counts as several, because few do not go through shared memory as they are written.
_FEW_THREADS, _LEAST_EACH, _MULTIPROCESSORS = 512, 32, 132
#: The most points of real numbers for which the unfolding of pairs takes longer than a transform.
_UNPAIRED = 4096
#: Primes, and other numbers, among which are the lengths that primes.cu takes; with fewer points a
#: thread has registers enough for both parts. The threads of its blocks, which are small, so that
#: few wait for each other.
_PRIMES, _PRIME_THREADS = range(7, 32, 2), 64
#: The paths from what is read to what is written, and the layouts, of each kernel.
_WHOLE = (
    *(path(load, store) for load, store in _ENDS),
    *(path(load, store, "X_CHIRPED", "CONVOLVED", "Y_CHIRPED") for load, store in _ENDS),
)
_PATHS: dict[ShapeName, tuple[str, ...]] = {
    "whole": _WHOLE,
    "few": _WHOLE,
    "halves": (path("PAIRS", "UNFOLDED"), path("FOLDED", "PAIRS")),
    "first": (
        *(path(load, "HALF" if load == "REAL" else "WORKSPACE", "TWISTED") for load in _LOADS),
        *(path(load, "WORKSPACE", "X_CHIRPED", "TWISTED") for load in _LOADS),
        *(path("WORKSPACE", store, "Y_CHIRPED") for store in _STORES),
    ),
    "second": (
        *(path("WORKSPACE", store) for store in _LAST),
        *(path("WORKSPACE", store, "X_CHIRPED", "CONVOLVED", "Y_CHIRPED") for store in _LAST),
        path("WORKSPACE", "WORKSPACE", "CONVOLVED", "TWISTED"),
    ),
}
_ARRANGEMENTS: dict[ShapeName, tuple[Arrangement, ...]] = {
    "whole": ("ROWS", "COLUMNS"),
    "few": ("ROWS", "COLUMNS"),
    "halves": ("ROWS", "COLUMNS"),
    "first": ("COLUMNS",),
    "second": ("ROWS", "COLUMNS", "ROWS_TO_COLUMNS"),
}
_OPTIONS = ("-default-device",)  # for lambdas in templates
_DEFINES = {
    "MOST_SHARED": MOST_SHARED,
    "STAGED": STAGED,
    "Load": Load,
    "Store": Store,
    "Arrangement": Arrangement,
}


def kernel_of(name: ShapeName | Prime) -> CudaKernel:
    """Return the kernel for one of a plan's shapes; of a single pass it knows the length.

    That for a prime number of points takes whole rows.
    """
    if name == "prime":
        function = "transform_primes<{T}, {inverse}, {ENDS}, {onesided}, {prime}>"
        ends = [f"Load::{load}, Store::{store}" for load, store in _ENDS]
        defines = {"PRIME_THREADS": _PRIME_THREADS, **_DEFINES}
        return CudaKernel("primes.cu", function, {"ENDS": ends}, options=_OPTIONS, defines=defines)
    is_few = str(name == "few").lower()
    length = {"whole": "{length}", "few": "{length}", "second": "{rows}"}.get(name, "0")
    return CudaKernel(
        "kernel.cu",
        "transform<{T}, {inverse}, {PATH}, Arrangement::{ARRANGEMENT}, "
        f"{is_few}, {length}, {{{name}}}>",
        {"PATH": _PATHS[name], "ARRANGEMENT": _ARRANGEMENTS[name]},
        options=_OPTIONS,
        defines=_DEFINES,
        overlaps=name in ("first", "second"),
    )


def shape_arguments(name: ShapeName | Prime) -> property:
    """Return a property of Dft: a kernel's last template arguments, which follow from the length.

    They are those of one point where no pass has the shape, or of the least prime where the length
    is none.
    """

    def arguments(plugin: Dft) -> tuple[int, ...]:
        if name == "prime":
            return (plugin.length if _has_kernel(plugin.length) else _PRIMES[0],)
        shape = plan_of(plugin.length).shape(name)
        return shape.arguments if shape else (1, 1, 1, 1)

    return property(arguments)


def _has_kernel(length: int) -> bool:
    """Return whether primes.cu has a kernel for the length."""
    return length in _PRIMES and all(length % factor for factor in range(2, length))


def _inner(plugin: Dft, x: TensorDesc) -> Dim:
    """Return the number of elements of the axes after the transformed one, without the parts."""
    return product(x.shape[x.axis(plugin.axis) + 1 : -1])


def _batch(plugin: Dft, x: TensorDesc) -> Dim:
    """Return the number of transforms."""
    return product(x.shape[: x.axis(plugin.axis)]) * _inner(plugin, x)


def workspace_of(plugin: Dft, x: TensorDesc) -> Dim:
    """Return the bytes between two passes, of a batch and perhaps the chirp."""
    plan = plan_of(plugin.length)
    if not plan.pair:
        return 0
    return (_batch(plugin, x) + plan.is_convolution) * plan.points * _ITEMSIZE


def launches_of(
    plugin: Dft, x: TensorDesc, y: TensorDesc, workspace: Workspace
) -> Iterator[Launch]:
    """Yield a launch for each pass."""
    between = workspace.first(known(workspace_of(plugin, x)))
    are_few = _are_few(plugin, x)
    load, store = _ends(plugin, x, are_few)
    if not are_few and _is_of_a_prime(plugin, x, load):
        yield _launch_of_a_prime(plugin, x, y, load, store)
        return
    for each in passes_of(plugin.length, load, store, are_few):
        yield _launch(plugin, each, x, y, between)


def _are_few(plugin: Dft, x: TensorDesc) -> bool:
    """Return whether each transform takes one pass, and all of them run at once."""
    few, each = plan_of(plugin.length).few, ceil_div(known(_batch(plugin, x)), _MULTIPROCESSORS)
    least = min(_LEAST_EACH, 2 * plugin.length)
    return few is not None and each * max(few.lanes, least) <= _FEW_THREADS


def _is_of_a_prime(plugin: Dft, x: TensorDesc, load: Load) -> bool:
    """Return whether the kernel for a prime number of points takes x: none cut off or padded."""
    if not _has_kernel(plugin.length) or (plugin.onesided and load == "COMPLEX"):
        return False
    size = plugin.length // 2 + 1 if load == "MIRRORED" else plugin.length
    rows = known(x.shape[x.axis(plugin.axis)]), known(_inner(plugin, x)), known(x.shape[-1])
    return rows == (size, 1, 1 if load == "REAL" else 2)


def _launch_of_a_prime(
    plugin: Dft, x: TensorDesc, y: TensorDesc, load: Load, store: Store
) -> Launch:
    transforms = known(_batch(plugin, x))
    each = _PRIME_THREADS // 2 if load == "COMPLEX" else _PRIME_THREADS
    return Launch(
        plugin.prime_kernel,
        ceil_div(transforms, each),
        _PRIME_THREADS,
        (y, x, int64(transforms), 1 / plugin.length),
        constants={"ENDS": f"Load::{load}, Store::{store}"},
    )


def _ends(plugin: Dft, x: TensorDesc, are_few: bool) -> tuple[Load, Store]:
    """Return what the first pass reads, and what the last one writes."""
    is_real, has_halves = known(x.shape[-1]) == 1, plan_of(plugin.length).halves is not None
    has_halves = has_halves and not (are_few and plugin.length <= _UNPAIRED)
    if plugin.inverse and plugin.onesided:
        return ("FOLDED", "PAIRS") if has_halves and not is_real else ("MIRRORED", "REAL")
    if is_real:
        return ("PAIRS", "UNFOLDED") if has_halves and not plugin.inverse else ("REAL", "COMPLEX")
    return "COMPLEX", "COMPLEX"


def _launch(plugin: Dft, each: Pass, x: TensorDesc, y: TensorDesc, between: Workspace) -> Launch:
    inner = known(_inner(plugin, x))
    batch = known(_batch(plugin, x)) + each.has_chirp
    arrangement = "COLUMNS" if inner > 1 else each.arrangement or "ROWS"
    per_block, transforms = each.shape.per_block(arrangement), batch * each.subs
    plan, axis = plan_of(plugin.length), x.axis(plugin.axis)
    numbers = (
        *(each.subs, each.in_step, each.in_sub, each.out_step, each.out_sub),
        *(plan.points, plugin.length, known(x.shape[axis]), known(y.shape[axis])),
        *(known(x.shape[-1]), inner),
    )
    scale = (1 / plugin.length if plugin.inverse else 1.0) / plan.convolved
    return Launch(
        getattr(plugin, f"{each.kernel}_kernel"),
        ceil_div(transforms, per_block),
        each.shape.lanes * per_block,
        (
            *(y, x, between),
            *(int32(numbers), int64(transforms), scale),
        ),
        constants={"PATH": each.path, "ARRANGEMENT": arrangement},
    )
