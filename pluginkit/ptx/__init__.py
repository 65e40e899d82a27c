"""Runs CUDA kernels on a CPU, from their PTX, and reports their mistakes.

    from pluginkit import ptx

    module = ptx.parse(ptx_text)                       # from NVRTC (-lineinfo), numba or Triton
    memory = ptx.Memory()
    x = memory.buffer("x", array, "input")             # numpy array in, a Buffer out
    y = memory.buffer("y", array.nbytes, "output")
    result = module.launch("scale", grid=(4,), block=(256,), args=[y, x, np.int32(1000)],
                           memory=memory)
    result.findings                                    # [] or a list of ptx.Finding
    y.array(np.float32), y.unwritten()                 # the output; its bytes never written

Use one :class:`Memory` for all launches of an enqueue: it knows which bytes have been written.
Between launches, ``Buffer.fill``, ``copy_from``, ``write`` and ``poison`` play memset and memcpy.
An argument is a Buffer, ``buffer + offset``, bytes (an address too), or a numpy scalar. An
instruction that the machine does not know raises :class:`PtxUnsupported`, a KernelError with the
code PK351, which names the instruction and its line.

A launch can also run step by step:

    launch = module.start("scale", grid, block, args, memory=memory)
    while launch.step():                               # one basic block for one group of threads
        launch.register("%r1")                         # an array over the threads

Results are bitwise equal to the GPU's, NaN included, with four exceptions. Instructions that the
GPU approximates (``.approx``, ``.full``, ``ex2``, ``sin`` and similar) are correctly rounded here;
:mod:`pluginkit.ptx.operations.floating` states how far the GPU's results differ. Atomics of many
threads happen in one order, which ``seed`` changes. ``mma`` rounds each sum once here; a GPU cuts
its terms off, and is within 2^-20 of the largest one. Clocks advance with each basic block, and
``malloc`` returns NULL, as it does on a GPU whose heap is full. The machine follows an H200 where
that differs from the PTX manual (64-bit ``bfe`` and ``bfi`` with positions and lengths beyond 255)
and where the manual is silent (the payload of an f64 NaN, ``.ftz`` of results that rounding makes
normal).

With a ``seed``, blocks and warps run in another order. Some warps are then delayed in front of
atomics and volatile stores, and other blocks see such stores late unless a fence publishes them.

The machine misses some mistakes, and judges others differently than a GPU:

- Bytes that nothing has written are reported when they are loaded, even if the value is not used.
- Writes of equal values to the same bytes do not race, nor does a load whose value a
  compare-and-swap checks. A ``bar.warp.sync`` orders accesses to memory, a shuffle or a vote does
  not.
- Lanes that have ended count as arrived at warp operations. Warps that have ended count as arrived
  at barriers, unless only some of their lanes have.
- A race is found in any order of threads that executes both accesses. If a kernel executes one of
  them only in some orders, other seeds have to be tried.
- Launches run one after the other. With ``overlaps=True`` an access before
  ``griddepcontrol.wait`` of what an earlier launch may still access is reported as a race. A launch
  that never waits counts as ended, with all before it, once the next one has waited.
- Without a ``seed``, blocks that may wait for others run in waves of 1, 2, 4 blocks and so on, so
  that one that waits for a block of a later wave waits for ever. A GPU would run both at once if it
  has room; ``is_cooperative=True`` says that it does.
- Up to 131,072 threads run at once. A block that waits for a later one beyond that waits for ever.
- Of tensor cores ``mma.sync`` and ``wmma`` of float16, bfloat16, tf32, float64, of integers of 4
  and 8 bits and floats of 8 bits are known, but not sparse factors, single bits, and ``wgmma``.
- Copies by tensor maps, clusters, textures and deep recursion are unknown.

The package needs only numpy, and the errors of pluginkit.
"""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.ptx.code.program import Program
from pluginkit.ptx.findings import Finding, Kind
from pluginkit.ptx.machine.launch import DEFAULT_STEPS, RunningLaunch
from pluginkit.ptx.machine.launch_arguments import LaunchArgument
from pluginkit.ptx.machine.launch_state import Result
from pluginkit.ptx.memory.buffers import Buffer, Memory, Pointer
from pluginkit.ptx.memory.regions import Role
from pluginkit.ptx.text.parse import ParsedModule
from pluginkit.ptx.unsupported import PtxUnsupported

__all__ = [
    "Buffer",
    "Finding",
    "Kind",
    "LaunchArgument",
    "Memory",
    "Pointer",
    "PtxModule",
    "PtxUnsupported",
    "Result",
    "Role",
    "RunningLaunch",
    "parse",
]


def parse(text: str) -> PtxModule:
    """Parse PTX.

    Errors:
        PK350: the text is not PTX.
    """
    return PtxModule(text)


class PtxModule:
    """A PTX module whose kernels can be launched. Each is parsed when it is first launched.

    Attributes:
        kernels: their names, as in the PTX.
    """

    def __init__(self, text: str) -> None:
        self._module = ParsedModule(text)
        self._programs: dict[str, Program] = {}
        self.kernels = self._module.kernels

    def parameter_sizes(self, kernel: str) -> tuple[int, ...]:
        """Return the size in bytes of each parameter of a kernel.

        Errors:
            PK352: there is no such kernel.  PtxUnsupported.
        """
        return self._program(kernel).parameter_sizes

    def _program(self, kernel: str) -> Program:
        if kernel not in self._programs:
            self._programs[kernel] = Program(self._module, kernel)
        return self._programs[kernel]

    def start(
        self,
        kernel: str,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        args: Sequence[LaunchArgument],
        *,
        memory: Memory,
        shared_bytes: int = 0,
        seed: int | None = None,
        overlaps: bool = False,
        is_cooperative: bool = False,
    ) -> RunningLaunch:
        """Prepare a launch, which the caller runs or steps through.

        Args:
            kernel: its name in the PTX.
            grid: one to three extents.
            block: one to three extents, up to 1024 threads.
            args: one for each parameter of the kernel.
            memory: where the buffers are.
            shared_bytes: the dynamic shared memory of a block.
            seed: chooses the order of blocks and warps; None for ascending.
            overlaps: whether it may begin before the launch before it has ended; it then has to
                execute ``griddepcontrol.wait`` before it touches what earlier ones wrote.
            is_cooperative: whether blocks run at the same time, as cudaLaunchCooperativeKernel
                guarantees; else one that waits for a later one waits for ever.

        Errors:
            PK352: there is no such kernel, or the arguments do not fit.  PtxUnsupported.
        """
        program = self._program(kernel)
        return RunningLaunch(
            program, _three(grid), _three(block), args, shared_bytes, memory, seed,
            overlaps=overlaps, is_cooperative=is_cooperative,
        )  # fmt: skip

    def launch(
        self,
        kernel: str,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        args: Sequence[LaunchArgument],
        *,
        memory: Memory,
        shared_bytes: int = 0,
        seed: int | None = None,
        overlaps: bool = False,
        is_cooperative: bool = False,
        steps: int = DEFAULT_STEPS,
    ) -> Result:
        """Run a kernel to its end; arguments as for :meth:`start`.

        Args:
            kernel: its name in the PTX.
            grid: one to three extents.
            block: one to three extents.
            args: one for each parameter.
            memory: where the buffers are.
            shared_bytes: the dynamic shared memory of a block.
            seed: chooses the order of blocks and warps; None for ascending.
            overlaps: whether it may begin before the launch before it has ended.
            is_cooperative: whether blocks may wait for later ones.
            steps: after this many basic blocks the launch stops, with a finding.
        """
        launch = self.start(
            kernel, grid, block, args, memory=memory, shared_bytes=shared_bytes, seed=seed,
            overlaps=overlaps, is_cooperative=is_cooperative,
        )  # fmt: skip
        return launch.run(steps)


def _three(extents: int | Sequence[int]) -> tuple[int, int, int]:
    listed = (extents,) if isinstance(extents, int) else tuple(extents)
    x, y, z = (*listed, 1, 1, 1)[:3]
    return x, y, z
