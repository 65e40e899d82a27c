"""The special registers that the machine supports, with their types."""

from __future__ import annotations

from typing import Any

from pluginkit.ptx.types import U32, U64, Three

_VARYING = {
    **{f"%tid.{axis}": "u32" for axis in "xyz"},
    **{f"%ctaid.{axis}": "u32" for axis in "xyz"},
    **{f"%lanemask_{which}": "u32" for which in ("eq", "le", "lt", "ge", "gt")},
    "%laneid": "u32",
    "%warpid": "u32",
    "%smid": "u32",
}
#: Clocks, which advance with each basic block that runs.
CLOCKS = {
    "%clock": "u32",
    "%clock_hi": "u32",
    "%clock64": "u64",
    "%globaltimer": "u64",
    "%globaltimer_lo": "u32",
    "%globaltimer_hi": "u32",
}
#: The special registers that have the same value in all threads.
UNIFORM = {
    **{f"%ntid.{axis}": "u32" for axis in "xyz"},
    **{f"%nctaid.{axis}": "u32" for axis in "xyz"},
    "%nwarpid": "u32",
    "%nsmid": "u32",
    "%gridid": "u64",
    **CLOCKS,
    "%dynamic_smem_size": "u32",
    "%total_smem_size": "u32",
    "WARP_SZ": "u32",
}
#: All special registers.
SPECIAL = {**_VARYING, **UNIFORM}
#: Those that differ between GPUs, or from run to run.
UNREPEATABLE = {*CLOCKS, "%smid", "%nsmid", "%warpid", "%nwarpid", "%gridid"}
#: The multiprocessors of the machine, to which the blocks of a wave go in turn.
MULTIPROCESSORS = 132


def uniform_values(grid: Three, block: Three, dynamic: int, static: int) -> dict[str, Any]:
    """Return the values of the special registers in UNIFORM, clocks at their start.

    Args:
        grid: the launch's grid.
        block: its block.
        dynamic: the bytes of dynamic shared memory.
        static: the bytes of the kernel's own shared memory.
    """
    values: dict[str, Any] = {
        name: (U64 if kind == "u64" else U32).type(0) for name, kind in UNIFORM.items()
    }
    for axis, extent, blocks in zip("xyz", block, grid, strict=True):
        values[f"%ntid.{axis}"] = U32.type(extent)
        values[f"%nctaid.{axis}"] = U32.type(blocks)
    values["%nwarpid"] = U32.type(64)
    values["%nsmid"] = U32.type(MULTIPROCESSORS)
    values["WARP_SZ"] = U32.type(32)
    values["%dynamic_smem_size"] = U32.type(dynamic)
    values["%total_smem_size"] = U32.type(dynamic + static)
    return values
