"""What a shape never seen costs the host, for shipped plugins whose kernels are loaded.

    python benchmarks/new_shapes.py

Each call announces sizes that are new to its context to the IPluginV3 adapter, as TensorRT does in
on_shape_change; the descriptors are made before. The warm-up records calls like them, from which
pluginkit computes the others; what it cannot compute asks the author's methods, and counts too.
Announcements of eight sizes that it has met stand beside it. enqueue_vtables.py times one small
plugin through TensorRT's own virtual functions. Needs a GPU and tensorrt_lean.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from record import host_environment, record

from pluginkit import Plugin, float32, int32, int64
from pluginkit.bench.gpu_timer import GpuTimer
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.contract.dtypes import DType
from pluginkit.plugins.add_rms_norm import AddRMSNorm
from pluginkit.plugins.grid_sample import GridSample
from pluginkit.plugins.scatter_elements import ScatterElements
from pluginkit.plugins.top_k import TopK
from pluginkit.plugins.unique import Unique
from pluginkit.trt.flavour import Flavour, load_flavour

#: The sizes n, each new to a context, and how many of the first are warm-up.
FIRST, COUNT, WARM_UP = 400, 250, 50

Shapes = list[tuple[int, ...]]
#: The plugin, the types, and the shapes for a size n.
CASES: dict[str, tuple[Plugin, Sequence[DType], Callable[[int], Shapes]]] = {
    "AddRMSNorm [n, 4096]": (
        AddRMSNorm(), (float32,) * 3, lambda n: [(n, 4096), (n, 4096), (4096,)],
    ),
    "GridSample [1, 32, n, n]": (
        GridSample(), (float32,) * 2, lambda n: [(1, 32, n, n), (1, n, n, 2)],
    ),
    "ScatterElements [1000, 64] of n rows": (
        ScatterElements(reduction="add"), (float32, int64, float32),
        lambda n: [(1000, 64), (n, 64), (n, 64)],
    ),
    "TopK 50 of [n, 4096]": (TopK(), (float32, int64), lambda n: [(n, 4096), (1,)]),
    "Unique [n]": (Unique(), (int32,), lambda n: [(n,)]),
}  # fmt: skip


def times_of(name: str, flavour: Flavour) -> tuple[list[float], list[float]]:
    """Return the microseconds of new and of known sizes."""
    plugin, dtypes, shapes_of = CASES[name]
    values = {"k": (50,)} if isinstance(plugin, TopK) else {}
    ends = [shapes_of(size) for size in (FIRST, FIRST + COUNT, FIRST + COUNT)]
    layer = build_layer(plugin, Profile(*ends, values), dtypes, interface="v3", flavour=flavour)
    with layer.context() as context:
        announced = [context.descs(shapes_of(FIRST + n)) for n in range(COUNT)]
        new = [_announce(context, descs) for descs in announced]
        known = [_announce(context, announced[-1 - n % 8]) for n in range(COUNT)]
    return new[WARM_UP:], known[WARM_UP:]


def _announce(context: Any, descs: tuple[Any, Any]) -> float:
    began = time.perf_counter()
    context.announce(*descs)
    return (time.perf_counter() - began) * 1e6


def main() -> None:
    """Measure every case."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    gpu, flavour = GpuTimer(), load_flavour("tensorrt_lean")
    rows = []
    with gpu.current():
        for name in CASES:
            new, known = map(statistics.median, times_of(name, flavour))
            rows.append({"case": name, "new_us": new, "known_us": known})
            print(f"{new:8.1f} {known:8.1f} us  {name}")
    environment = gpu.environment() | host_environment()
    environment["tensorrt"] = f"{flavour.name} {flavour.version}"
    record("new_shapes", environment, rows)


if __name__ == "__main__":
    main()
