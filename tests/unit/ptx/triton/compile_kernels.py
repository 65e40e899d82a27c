"""Compile kernels.py with Triton, which needs no GPU for that: a PTX file for each kernel.

    pip install triton && python tests/unit/ptx/triton/compile_kernels.py

The files in this folder were compiled by Triton 3.9.0.
"""

from __future__ import annotations

import re
from pathlib import Path

import kernels
import triton
from triton.backends.compiler import GPUTarget

FLOATS, INTS, HALVES = "*fp32", "*i32", "*fp16"
ROWS = {"y": FLOATS, "x": FLOATS, "columns": "i32", "block": "constexpr"}
WANTED = {
    "softmax": (ROWS, {"block": 256}),
    "histogram": ({"y": INTS, "x": INTS, "n": "i32", "block": "constexpr"}, {"block": 256}),
    "running_sum": (ROWS, {"block": 256}),
    "ordered": (ROWS, {"block": 128}),
    "product": (
        {"y": FLOATS, "a": HALVES, "b": HALVES, "depth": "constexpr", "block": "constexpr"},
        {"depth": 16, "block": 16},
    ),
}


def main() -> None:
    """Write the files."""
    folder = Path(__file__).parent
    for name, (signature, constants) in WANTED.items():
        source = triton.compiler.ASTSource(getattr(kernels, name), signature, constants)
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
        text = made.asm["ptx"].partition("\t.section")[0].rstrip() + "\n"
        text = re.sub(r"[ \t]+(//.*)?$", "", text, flags=re.MULTILINE)
        text = re.sub(r'"[^"]*/(triton/[^"]*)"', r'"\1"', text)
        (folder / f"{name}.ptx").write_text(text)


if __name__ == "__main__":
    main()
