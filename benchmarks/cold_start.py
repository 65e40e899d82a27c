"""How long a fresh process takes to a plugin's first result, with and without cached kernels.

    python benchmarks/cold_start.py

Each case runs in a process of its own, from its start to the result on the host: imports, CUDA's
context, kernels that are compiled or found, the launch. The processes share an empty cache, so
that the first one compiles and the second finds; a third compiles again, and for comparison a
kernel of three lines goes through cupy's RawKernel. Needs a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import host_environment, record

Case = Callable[[], tuple[Any, list[Any]]]


def _unique() -> tuple[Any, list[Any]]:
    import numpy as np

    from pluginkit.plugins.unique import Unique

    return Unique(), [np.arange(8400, dtype=np.int32) % 80]


def _top_k() -> tuple[Any, list[Any]]:
    import numpy as np

    from pluginkit.plugins.top_k import TopK

    return TopK(), [np.arange(8 * 50257, dtype=np.float32).reshape(8, -1), np.array([50])]


def _scatter_elements() -> tuple[Any, list[Any]]:
    import numpy as np

    from pluginkit.plugins.scatter_elements import ScatterElements

    index = np.arange(4000)[:, None] % 1000 + np.zeros((1, 64), np.int64)
    arrays = [np.zeros((1000, 64), np.float32), index, np.ones((4000, 64), np.float32)]
    return ScatterElements(reduction="add"), arrays


def _add_rms_norm() -> tuple[Any, list[Any]]:
    import numpy as np

    from pluginkit.plugins.add_rms_norm import AddRMSNorm

    return AddRMSNorm(), [np.ones(shape, np.float32) for shape in ((8, 4096), (8, 4096), (4096,))]


def _grid_sample() -> tuple[Any, list[Any]]:
    import numpy as np

    from pluginkit.plugins.grid_sample import GridSample

    return GridSample(), [np.ones((2, 64, 32, 32), np.float32), np.zeros((2, 32, 32, 2), "f4")]


CASES: dict[str, Case] = {
    "Unique": _unique,
    "TopK": _top_k,
    "ScatterElements": _scatter_elements,
    "AddRMSNorm": _add_rms_norm,
    "GridSample": _grid_sample,
}
RAW_KERNEL = "cupy RawKernel"


def first_result(name: str) -> dict[str, float]:
    """Compute a case in this process; return the seconds of its parts."""
    began = time.perf_counter()
    import cupy

    times = {}
    if name == RAW_KERNEL:
        source = 'extern "C" __global__ void one(float* y) { y[threadIdx.x] = 1; }'
        y = cupy.zeros(32, cupy.float32)
        cupy.RawKernel(source, "one")((1,), (32,), (y,))
        y.get()
    else:
        from pluginkit.device.run_kernels import run_kernels
        from pluginkit.kernels import load

        times["imports"] = time.perf_counter() - began
        compile_now = load.machine_code

        def timed(*arguments: Any) -> Any:
            started = time.perf_counter()
            try:
                return compile_now(*arguments)
            finally:
                times["kernels"] = times.get("kernels", 0.0) + time.perf_counter() - started

        load.machine_code = timed  # type: ignore[attr-defined]
        run_kernels(*CASES[name]())
    return times | {"inside": time.perf_counter() - began}


def measured(name: str, cache: Path) -> dict[str, float]:
    """Run a case in a fresh process."""
    environment = {
        **os.environ,
        "PLUGINKIT_CACHE": str(cache / "pluginkit"),
        "CUPY_CACHE_DIR": str(cache / "cupy"),
        "CUDA_CACHE_PATH": str(cache / "driver"),
    }
    began = time.perf_counter()
    process = subprocess.run(
        [sys.executable, __file__, "--case", name],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    return {"seconds": seconds} | json.loads(process.stdout.splitlines()[-1])


def main() -> None:
    """Measure every case, or one in this process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=[*CASES, RAW_KERNEL], help="compute it in this process")
    parser.add_argument("--rounds", type=int, default=2, help="how often (default: 2)")
    args = parser.parse_args()
    if args.case is not None:
        print(json.dumps(first_result(args.case)))
        return
    rows = []
    for case in (RAW_KERNEL, *CASES):
        for _ in range(args.rounds):
            with tempfile.TemporaryDirectory() as folder:
                for kernels in ("compiled", "cached"):
                    row = {"case": case, "kernels are": kernels, **measured(case, Path(folder))}
                    rows.append(row)
                    print(
                        f"{row['seconds']:6.2f} s  {case}, kernels {kernels}: "
                        f"{row.get('kernels', 0.0):.2f} s for kernels",
                        flush=True,
                    )
    from pluginkit.bench.gpu_timer import GpuTimer

    record("cold_start", GpuTimer().environment() | host_environment(), rows)


if __name__ == "__main__":
    main()
