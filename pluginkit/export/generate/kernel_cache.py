"""Cache the kernels of libraries on disk, so that only the first export compiles them."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.kernels.compile import Compiled, compile_cuda, compile_numba
from pluginkit.kernels.disk_cache import kept_code
from pluginkit.kernels.machine_code import code_key
from pluginkit.kernels.specialise import (
    CudaSpecialisation,
    NumbaSpecialisation,
    Specialisation,
)


def compiled_group(group: Sequence[Specialisation], capability: str) -> Compiled:
    """Return the machine code and PTX of kernels that are compiled together.

    Args:
        group: kernels of one CUDA source, or one numba kernel.
        capability: the compute capability without its dot.

    Errors:
        PK310, PK320 to PK322: as for ``compile_cuda`` and ``compile_numba``.
    """
    name = f"exported/{code_key(group, capability)}.kernels"
    return kept_code(name, lambda: _compiled(group, capability))


def _compiled(group: Sequence[Specialisation], capability: str) -> Compiled:
    first = group[0]
    if isinstance(first, NumbaSpecialisation):
        return compile_numba(first, capability)
    return compile_cuda([one for one in group if isinstance(one, CudaSpecialisation)], capability)
