"""CUDA C++ kernels with ``mma.m8n8k4`` of float16: four products in a warp."""

import numpy as np

from tests.unit.ptx.cuda_cases import CudaCase
from tests.unit.ptx.matrix_cases import float16_bits

_RNG = np.random.default_rng(23)
_A, _B, _C = (_RNG.integers(-9, 10, (4, *shape)) for shape in ((8, 4), (4, 8), (8, 8)))
#: The elements that a lane holds, as the PTX manual says.
_SOURCE = """
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    const int lane = threadIdx.x, quad = lane / 4 % 4, near = lane % 4, far = lane / 16 * 4;
    const short* halves = (const short*)in;
    const short *a = halves + quad * 32, *b = halves + 128 + quad * 32;
    const SUM* c = (const SUM*)(halves + 256) + quad * 64;
    SUM* d = (SUM*)out + quad * 64;
    short held_a[4], held_b[4];
    SUM sums[8];
    for (int i = 0; i < 4; ++i) {
        held_a[i] = A_ROW ? a[(near + far) * 4 + i] : a[(i + far) * 4 + near];
        held_b[i] = B_ROW ? b[near * 8 + i + far] : b[i * 8 + near + far];
    }
    for (int i = 0; i < 8; ++i) sums[i] = c[PLACE];
    const unsigned *x = (unsigned*)held_a, *y = (unsigned*)held_b;
    PRODUCT
    for (int i = 0; i < 8; ++i) d[PLACE] = sums[i];
}
"""
_PLACES = {
    "f16": "(near + far) * 8 + i",
    "f32": "((lane & 1) + (i & 2) + far) * 8 + (i & 4) + (lane & 2) + (i & 1)",
}


def _product(layouts, kind):
    count, letter = (4, "r") if kind == "f16" else (8, "f")
    sums = "((unsigned*)sums)" if kind == "f16" else "sums"
    listed = ", ".join(f"%{i}" for i in range(count))
    held = ", ".join(f'"+{letter}"({sums}[{i}])' for i in range(count))
    return (
        f'asm volatile("mma.sync.aligned.m8n8k4.{layouts[0]}.{layouts[1]}.{kind}.f16.f16.{kind} '
        f"{{{listed}}}, {{%{count}, %{count + 1}}}, {{%{count + 2}, %{count + 3}}}, {{{listed}}};"
        f'" : {held} : "r"(x[0]), "r"(x[1]), "r"(y[0]), "r"(y[1]));'
    )


def _case(layouts, kind):
    source = (
        _SOURCE.replace("SUM", "short" if kind == "f16" else "float")
        .replace("A_ROW", str(int(layouts[0] == "row")))
        .replace("B_ROW", str(int(layouts[1] == "row")))
        .replace("PLACE", _PLACES[kind])
        .replace("PRODUCT", _product(layouts, kind))
    )

    def bits(numbers):
        return float16_bits(numbers) if kind == "f16" else numbers.astype(np.float32)

    given = b"".join(each.tobytes() for each in (float16_bits(_A), float16_bits(_B), bits(_C)))
    wanted = np.frombuffer(bits(_A @ _B + _C).tobytes(), np.uint32)
    return CudaCase(
        f"four_products_{layouts[0]}_{layouts[1]}_{kind}", source, 1, 32, len(wanted),
        wanted.tolist, np.frombuffer(given, np.uint32),
    )  # fmt: skip


QUAD_CASES = [
    _case(("row", "col"), "f32"), _case(("col", "row"), "f32"),
    _case(("row", "row"), "f16"), _case(("col", "col"), "f16"),
]  # fmt: skip
