"""How many instructions a second the PTX machine runs, by kind of kernel and number of threads.

    python benchmarks/ptx_throughput.py [--threads 1000 10000 100000] [--turns 50]

Each kernel is a loop of a known number of instructions, with every check on. A row gives the
seconds of the second run (the first one also decodes the PTX), the microseconds for each
instruction, which is one or a few numpy operations, and the instructions of all threads a second.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from record import host_environment, record

from pluginkit import ptx

_THREADS = 256

_TEXT = """.version 8.5
.target sm_90
.address_size 64
.visible .entry run(.param .u64 out, .param .u64 given, .param .u32 turns)
{{
    .reg .pred %p<9>;
    .reg .b32 %r<20>;
    .reg .f32 %f<20>;
    .reg .b64 %rd<20>;
    .shared .align 4 .b8 tile[{shared}];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ctaid.x;
    mad.lo.u32 %r3, %r2, {threads}, %r1;
    ld.param.u32 %r4, [turns];
    ld.param.u64 %rd1, [out];
    ld.param.u64 %rd2, [given];
    mul.wide.u32 %rd3, %r3, 4;
    add.s64 %rd4, %rd1, %rd3;
    add.s64 %rd5, %rd2, %rd3;
    mov.u32 %r5, 0;
    mov.f32 %f1, 0f3F800000;
    mov.u32 %r6, %r3;
    shl.b32 %r7, %r1, 2;
    mov.u32 %r8, tile;
    add.u32 %r9, %r8, %r7;
    xor.b32 %r10, %r7, 4;
    add.u32 %r10, %r8, %r10;
    st.shared.u32 [%r9], %r3;
    bar.sync 0;
again:
    {body}
    add.u32 %r5, %r5, 1;
    setp.lt.u32 %p1, %r5, %r4;
    @%p1 bra again;
    cvt.rzi.u32.f32 %r11, %f1;
    add.u32 %r6, %r6, %r11;
    st.global.u32 [%rd4], %r6;
    ret;
}}
"""


@dataclass(frozen=True)
class Kernel:
    """The body of a loop, and its number of instructions."""

    name: str
    body: str

    @property
    def instructions(self) -> int:
        """The instructions of an iteration, with the three of the loop itself."""
        return self.body.count(";") + 3

    def text(self) -> str:
        """The module's PTX."""
        return _TEXT.format(body=self.body, shared=4 * _THREADS, threads=_THREADS)


KERNELS = [
    Kernel("integers", 8 * "mad.lo.u32 %r6, %r6, %r3, 7; shl.b32 %r12, %r6, 3;"),
    Kernel("floats", 16 * "fma.rn.ftz.f32 %f1, %f1, 0f3F000000, 0f3F800000;"),
    Kernel("loads", 8 * "ld.global.u32 %r12, [%rd5]; add.u32 %r6, %r6, %r12;"),
    Kernel("stores", 8 * "st.global.u32 [%rd4], %r6; add.u32 %r6, %r6, 1;"),
    Kernel(
        "shared, barriers",
        4 * "ld.shared.u32 %r12, [%r10]; bar.sync 0; st.shared.u32 [%r9], %r12; bar.sync 0;",
    ),
    Kernel("shuffles", 16 * "shfl.sync.bfly.b32 %r6, %r6, 1, 31, 0xFFFFFFFF;"),
    Kernel("shared atomics", 16 * "red.shared.add.u32 [%r9], 1;"),
    Kernel(
        "divergence",
        """and.b32 %r12, %r1, 1; setp.eq.u32 %p2, %r12, 0; @%p2 bra even;
    add.u32 %r6, %r6, 3; mul.lo.u32 %r6, %r6, 5; bra both;
even: add.u32 %r6, %r6, 2; mul.lo.u32 %r6, %r6, 7;
both: add.u32 %r6, %r6, 1;""",
    ),
]


def seconds_of(kernel: Kernel, threads: int, turns: int) -> float:
    """Return the CPU time of a second run."""
    module, taken = ptx.parse(kernel.text()), 0.0
    blocks = max(1, threads // _THREADS)
    for _ in range(2):
        memory = ptx.Memory()
        given = memory.buffer("given", np.arange(blocks * _THREADS, dtype=np.uint32))
        out = memory.buffer("out", given.nbytes, "output")
        started = time.process_time()
        arguments = [out, given, np.uint32(turns)]
        result = module.launch("run", blocks, _THREADS, arguments, memory=memory)
        taken = time.process_time() - started
        if result.findings:
            raise SystemExit(f"{kernel.name}: {result.findings[0]}")
    return taken


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--turns", type=int, default=50, help="of each loop")
    parser.add_argument("--record", action="store_true", help="write results/ptx_throughput.json")
    chosen = parser.parse_args()
    rows = []
    print("| kernel | threads | s | us for an instruction | million instructions of threads a s |")
    print("| --- | --- | --- | --- | --- |")
    for kernel in KERNELS:
        for asked in chosen.threads:
            threads = max(1, asked // _THREADS) * _THREADS
            taken = seconds_of(kernel, threads, chosen.turns)
            count = kernel.instructions * chosen.turns
            each, rate = taken / count * 1e6, threads * count / taken / 1e6
            print(f"| {kernel.name} | {threads} | {taken:.2f} | {each:.1f} | {rate:.0f} |")
            rows.append(
                {"kernel": kernel.name, "threads": threads, "us": round(each, 1), "rate": rate}
            )
    if chosen.record:
        record("ptx_throughput", host_environment(), rows)


if __name__ == "__main__":
    main()
