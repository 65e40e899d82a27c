# ruff: noqa: T201 - a script prints
"""Runs the PTX machine's conformance set on a GPU.

    python tests/gpu/ptx_conformance.py [--record tests/unit/ptx/h200_results.npz]

Every instruction and kernel of tests/unit/ptx runs on the GPU and on the machine, on the same
inputs. For each one that differs from its definition or from the machine a line is printed: how
many rows, the first of them, and the largest distance in units of the last place. ``--record``
writes the GPU's results, against which tests/unit/ptx/test_h200_results.py holds the machine.

Exit code 1 if an exact instruction or a kernel differs between the GPU and the machine, or if one
did not run; what did not run is not recorded.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from pluginkit.bench.gpu_timer import GpuTimer
from tests.unit.ptx.conformance_set import CASES, CUDA_CASES
from tests.unit.ptx.cuda_cases import CudaCase
from tests.unit.ptx.instruction_case import InstructionCase, width
from tests.unit.ptx.recorded import Results, checksum, save
from tests.unit.ptx.run_case import machine_results, machine_words


def gpu_results(case: InstructionCase) -> list[int]:
    """The result's bits for each row, from the GPU."""
    import cupy

    module = cupy.cuda.function.Module()
    module.load(case.ptx().encode() + b"\0")
    function = module.get_function("run")
    count = len(case.rows)
    columns = list(zip(*case.rows, strict=True))
    inputs = [
        cupy.asarray(np.array(columns[i] if i < len(columns) else [0] * count, np.uint64))
        for i in range(3)
    ]
    out = cupy.zeros(count, np.uint64)
    function((-(-count // 128),), (128,), (out, *inputs, np.uint32(count)))
    mask = (1 << max(width(case.result), 8)) - 1
    return [int(bits) & mask for bits in out.get()]


def gpu_words(case: CudaCase) -> list[int]:
    """What a CUDA C++ kernel writes on the GPU."""
    import cupy

    module = cupy.RawModule(code=case.source, options=("--std=c++17", "--device-int128"))
    given = cupy.asarray(case.words)
    out = cupy.zeros(case.out_words, np.uint32)
    module.get_function("run")((case.grid,), (case.block,), (out, given, np.int32(len(case.words))))
    return out.get().tolist()


def differences(title: str, got: list[int], name: str, others: list[int], rows: list[str]) -> bool:
    """Print where the GPU differs from others; whether it does."""
    different = [i for i, bits in enumerate(others) if bits != got[i]]
    if different:
        first = different[0]
        furthest = max(abs(got[i] - others[i]) for i in different)
        print(
            f"{title}  {len(different)} of {len(got)} rows differ from {name}; {rows[first]}: "
            f"GPU {got[first]:#x}, {name} {others[first]:#x}; at most {furthest} units apart"
        )
    return bool(different)


def compare(case: InstructionCase) -> tuple[list[int], bool]:
    """Print what differs. Returns the GPU's results, and whether the machine's are right."""
    got = gpu_results(case)
    rows = ["of " + ", ".join(f"{bits:#x}" for bits in row) for row in case.rows]
    wanted = [case.expected(*row) for row in case.rows]
    differences(case.title, got, "its definition", wanted, rows)
    differs = differences(case.title, got, "the machine", machine_results(case), rows)
    return got, not differs or case.error is not None


def compare_kernel(case: CudaCase) -> tuple[list[int], bool]:
    """The same for a CUDA C++ kernel."""
    got = gpu_words(case)
    rows = [f"word {place}" for place in range(case.out_words)]
    wanted = np.asarray(case.expected(), np.uint32).tolist()
    differs = differences(case.name, got, "what is expected", wanted, rows)
    differs |= differences(case.name, got, "the machine", machine_words(case).tolist(), rows)
    return got, not differs


def main() -> int:
    """Compare everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--record", type=Path, help="where the GPU's results go, an .npz")
    chosen = parser.parse_args()
    results: dict[str, Results] = {}
    wrong, refused = [], []
    jobs = [(case, case.title, compare) for case in CASES]
    jobs += [(case, case.name, compare_kernel) for case in CUDA_CASES]
    for case, title, function in jobs:
        try:
            got, is_right = function(case)
        except Exception as error:
            refused.append(title)
            print(f"{title}  {type(error).__name__}: {str(error)[:200]}")
            continue
        results[title] = Results(got, checksum(case))
        if not is_right:
            wrong.append(title)
    print(f"{len(CASES)} instructions and {len(CUDA_CASES)} kernels: {len(wrong)} differ "
          f"between GPU and machine, {len(refused)} were refused")  # fmt: skip
    if chosen.record:
        found = GpuTimer().environment()
        where = {"gpu": found["gpu"], "driver": found["driver"], "cuda": found["cuda_driver"],
                 "date": f"{datetime.now(UTC):%Y-%m-%d}"}  # fmt: skip
        save(chosen.record, where, results)
    return 1 if wrong or refused else 0


if __name__ == "__main__":
    sys.exit(main())
