"""CUDA C++ kernels that multiply matrices with tensor cores.

All numbers are small integers, whose sums are exact however they are ordered and cut off.
"""

import numpy as np

from tests.unit.ptx.cuda_cases import CudaCase

_RNG = np.random.default_rng(16)
#: Two warps; for each a (16, 16), b (16, 8) and c (16, 8).
A, B, C = (_RNG.integers(-9, 10, (2, 16, columns)) for columns in (16, 8, 8))

SOURCE = """
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    __shared__ __align__(16) unsigned tiles[2][192];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const unsigned* given = in + warp * 320;
    for (int i = lane; i < 192; i += 32) tiles[warp][i] = given[i];
    __syncwarp();
    const unsigned first = (unsigned)__cvta_generic_to_shared(tiles[warp]);
    const unsigned at_a = first + lane % 16 * 32 + lane / 16 * 16;
    const unsigned at_b = first + 512 + lane % 16 * 16;
    unsigned a[4], b[2];
    float c[4];
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3]) : "r"(at_a));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(b[0]), "=r"(b[1]) : "r"(at_b));
    for (int k = 0; k < 4; ++k) {
        const int row = lane / 4 + k / 2 * 8, column = lane % 4 * 2 + k % 2;
        c[k] = __uint_as_float(given[192 + row * 8 + column]);
    }
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.TYPE.TYPE.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    for (int k = 0; k < 4; ++k) {
        const int row = lane / 4 + k / 2 * 8, column = lane % 4 * 2 + k % 2;
        out[warp * 128 + row * 8 + column] = __float_as_uint(c[k]);
    }
}
"""

#: The same for tf32, whose b is (8, 8).
A8, B8 = A[:, :, :8], B[:, :8]
SOURCE_TF32 = """
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = lane / 4, column = lane % 4;
    const unsigned* given = in + warp * 320;
    const unsigned *a = given + row * 8 + column, *b = given + 128 + column * 8 + row;
    const int at = row * 8 + column * 2;
    float sums[4];
    for (int k = 0; k < 4; ++k) sums[k] = __uint_as_float(given[192 + at + k / 2 * 64 + k % 2]);
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[64]), "r"(a[4]), "r"(a[68]), "r"(b[0]), "r"(b[32]));
    for (int k = 0; k < 4; ++k) {
        out[warp * 128 + at + k / 2 * 64 + k % 2] = __float_as_uint(sums[k]);
    }
}
"""


def words_of(a, b, c, bits):
    """For each warp a and b in 16 bits, and c in float32, as 32-bit words."""
    halves = np.concatenate([bits(each).reshape(2, -1) for each in (a, b)], axis=1)
    sums = c.astype(np.float32).view(np.uint32).reshape(2, -1)
    return np.concatenate([halves.view(np.uint32), sums], axis=1).reshape(-1)


def words_of_tf32(a, b, c):
    """The same in float32, whose last bits are set where tf32 has none."""
    each = [np.ascontiguousarray(one.astype(np.float32)).view(np.uint32) for one in (a, b, c)]
    factors = [(one | 0x1FFF).reshape(2, -1) for one in each[:2]]
    return np.concatenate([*factors, each[2].reshape(2, -1)], axis=1).reshape(-1)


def _product(a=A, b=B):
    return (a @ b + C).astype(np.float32).view(np.uint32).reshape(-1).tolist()


def float16_bits(numbers):
    return np.ascontiguousarray(numbers.astype(np.float16)).view(np.uint16)


def bfloat16_bits(numbers):
    return (numbers.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


_TYPES = (("float16", "f16", float16_bits), ("bfloat16", "bf16", bfloat16_bits))
MATRIX_CASES = [
    *(
        CudaCase(
            f"products_of_matrices_in_{name}",
            SOURCE.replace("TYPE", kind), 1, 64, 256, _product, words_of(A, B, C, bits),
        )
        for name, kind, bits in _TYPES
    ),
    CudaCase(
        "products_of_matrices_in_tf32",
        SOURCE_TF32, 1, 64, 256, lambda: _product(A8, B8), words_of_tf32(A8, B8, C),
    ),
]  # fmt: skip
