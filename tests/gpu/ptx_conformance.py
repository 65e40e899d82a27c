# ruff: noqa: T201 - a script prints
"""Runs the PTX machine's conformance set on a GPU.

    python tests/gpu/ptx_conformance.py [--out results.json]

Every instruction of tests/unit/ptx runs on the GPU and on the machine, on the same inputs. For each
one that differs from its definition or from the machine a line is printed: how many rows, the
first of them, and the largest distance in units of the last place. ``--out`` writes the GPU's
results as JSON: the instruction's text, and the result's bits of each row in hexadecimal.

Exit code 1 if the GPU differs from the machine anywhere but in what is approximate.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.unit.ptx.cuda_cases import CUDA_CASES
from tests.unit.ptx.float_cases import float_cases
from tests.unit.ptx.instruction_case import InstructionCase, width
from tests.unit.ptx.integer_cases import integer_cases
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


def compare(case: InstructionCase, results: dict[str, list[str]]) -> bool:
    """Print what differs, and say whether the machine is right."""
    got = gpu_results(case)
    results[case.text] = [f"{bits:#x}" for bits in got]
    machine = machine_results(case)
    wanted = [case.nan if (bits := case.expected(*row)) is None else bits for row in case.rows]
    for name, others in (("its definition", wanted), ("the machine", machine)):
        different = [i for i, bits in enumerate(others) if bits != got[i]]
        if different:
            first = different[0]
            row = ", ".join(f"{bits:#x}" for bits in case.rows[first])
            furthest = max(abs(got[i] - (others[i] or 0)) for i in different)
            print(
                f"{case.text}  {len(different)} of {len(got)} rows differ from {name}; of {row}: "
                f"GPU {got[first]:#x}, {name} {others[first]:#x}; at most {furthest} units apart"
            )
    return all(abs(a - b) <= case.tolerance for a, b in zip(got, machine, strict=True))


def compare_kernels(results: dict[str, list[str]]) -> list[str]:
    """The CUDA C++ kernels whose results differ between the GPU and the machine."""
    import cupy

    wrong = []
    for case in CUDA_CASES:
        function = cupy.RawModule(
            code=case.source, options=("--std=c++17", "--device-int128")
        ).get_function("run")
        given = cupy.asarray(case.words)
        out = cupy.zeros(case.out_words, np.uint32)
        function((case.grid,), (case.block,), (out, given, np.int32(len(case.words))))
        got = out.get()
        results[case.name] = [f"{word:#x}" for word in got.tolist()]
        expected = np.asarray(case.expected(), np.uint32)
        machine = machine_words(case)
        for name, others in (("what is expected", expected), ("the machine", machine)):
            if not np.array_equal(got, others):
                place = int(np.argmax(got != others))
                print(f"{case.name}: word {place} is {got[place]:#x} on the GPU; {name}: "
                      f"{others[place]:#x}")  # fmt: skip
                wrong.append(case.name)
    return wrong


def main() -> int:
    """Compare everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="where the GPU's results go, as JSON")
    chosen = parser.parse_args()
    results: dict[str, list[str]] = {}
    wrong, refused = [], []
    cases = [*integer_cases(), *float_cases()]
    for case in cases:
        try:
            if not compare(case, results):
                wrong.append(case.text)
        except Exception as error:
            refused.append(case.text)
            print(f"{case.text}  {type(error).__name__}: {str(error)[:200]}")
    wrong += compare_kernels(results)
    print(f"{len(cases)} instructions and {len(CUDA_CASES)} kernels: {len(wrong)} differ between "
          f"GPU and machine, {len(refused)} were refused")  # fmt: skip
    if chosen.out:
        chosen.out.write_text(json.dumps(results, indent=0) + "\n")
    return 1 if wrong or refused else 0


if __name__ == "__main__":
    sys.exit(main())
