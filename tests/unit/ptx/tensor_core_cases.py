"""CUDA C++ kernels with every product of matrices that the machine knows: ``mma`` and ``wmma``.

Each product is a section of one kernel: its matrices lie behind each other in the input, and its
result behind the one before in the output. All numbers are small integers, whose sums are exact
however they are ordered.
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from tests.unit.ptx.cuda_cases import CudaCase
from tests.unit.ptx.matrix_cases import bfloat16_bits, float16_bits


def packed_fours(numbers):
    """Two numbers of 4 bits in each byte, the first one lower."""
    low, high = numbers[:, ::2] & 15, numbers[:, 1::2] & 15
    return (low | high << 4).astype(np.uint8)


#: The bits of numbers of each type.
BITS = {
    "f16": float16_bits,
    "bf16": bfloat16_bits,
    "tf32": lambda numbers: numbers.astype(np.float32),
    "s8": lambda numbers: numbers.astype(np.int8),
    "u8": lambda numbers: numbers.astype(np.uint8),
    "f32": lambda numbers: numbers.astype(np.float32),
    "s32": lambda numbers: numbers.astype(np.int32),
    "f64": lambda numbers: numbers.astype(np.float64),
    "e4m3": lambda numbers: numbers.astype(ml_dtypes.float8_e4m3fn),
    "e5m2": lambda numbers: numbers.astype(ml_dtypes.float8_e5m2),
    **dict.fromkeys(("s4", "u4"), packed_fours),
}
SIZES = {
    "f16": 2,
    "bf16": 2,
    "tf32": 4,
    "s8": 1,
    "u8": 1,
    "f32": 4,
    "s32": 4,
    "f64": 8,
    "e4m3": 1,
    "e5m2": 1,
    "s4": 0.5,
    "u4": 0.5,
}
#: The type of a register in C++, and its letter in inline PTX.
REGISTERS = {"f32": ("float", "f"), "s32": ("int", "r"), "f64": ("double", "d")}


@dataclass(frozen=True)
class Product:
    """``d = a @ b + c``; layouts are those of a, b, c and d in memory."""

    opcode: str
    sizes: tuple[int, int, int]
    kinds: tuple[str, str, str, str]
    layouts: tuple[str, ...] = ("row", "col", "row", "row")
    flag: str = ""

    @property
    def shapes(self):
        m, n, k = self.sizes
        return (m, k), (k, n), (m, n), (m, n)

    def numbers(self, rng):
        """a, b and c; of a product that saturates, c has numbers near the ends."""
        found = []
        for shape, kind in zip(self.shapes[:3], self.kinds[:3], strict=True):
            largest = {"e5m2": 4, "s4": 7, "u4": 15}.get(kind, 9)  # it has all integers up to it
            numbers = rng.integers(0 if kind[0] == "u" else -largest, largest + 1, shape)
            if self.flag == "satfinite" and len(found) == 2:
                numbers = np.where(numbers > 0, 2**31 - 1 - numbers, -(2**31) - numbers)
            found.append(numbers)
        return found

    def bits_of(self, which, numbers):
        ordered = numbers if self.layouts[which] == "row" else numbers.T
        return np.ascontiguousarray(BITS[self.kinds[which]](ordered)).tobytes()

    def expected(self, numbers):
        a, b, c = numbers
        total = a @ b + c
        if self.flag == "satfinite":
            total = np.clip(total, -(2**31), 2**31 - 1)
        return self.bits_of(3, total)


def register_counts(product):
    """How many registers hold a, b, c and d, of their own type or of 32 bits."""
    found = []
    for shape, kind, is_sum in zip(product.shapes, product.kinds, (0, 0, 1, 1), strict=True):
        elements = shape[0] * shape[1] // 32
        if product.opcode == "wmma" and kind == "f16" and not is_sum:
            elements = 16
        found.append(int(elements * SIZES[kind]) // (8 if kind == "f64" else 4))
    return found


def source_of(product, at, out):
    """The section of a kernel: ``at`` has the bytes of a, b and c, ``out`` that of d."""
    counts, names, lines = register_counts(product), "abcd", []
    m, n, k = product.sizes
    types = [REGISTERS.get(kind, ("unsigned", "r")) for kind in product.kinds]
    for name, count, (kind, _) in zip(names, counts, types, strict=True):
        lines.append(f"{kind} {name}[{count}];")
    shape = f"m{m}n{n}k{k}"
    strides = [
        shape[layout == "row"]
        for shape, layout in zip(product.shapes, product.layouts, strict=True)
    ]

    def listed(first, count):
        return "{" + ", ".join(f"%{first + i}" for i in range(count)) + "}"

    def outputs(which):
        letter = types[which][1]
        return ", ".join(f'"={letter}"({names[which]}[{i}])' for i in range(counts[which]))

    def inputs(*several):
        return ", ".join(
            f'"{types[which][1]}"({names[which]}[{i}])'
            for which in several
            for i in range(counts[which])
        )

    for which in range(3):
        if product.opcode == "wmma":
            lines.append(
                f'asm volatile("wmma.load.{names[which]}.sync.aligned.{product.layouts[which]}.'
                f"{shape}.{product.kinds[which]} {listed(0, counts[which])}, [%{counts[which]}], "
                f'%{counts[which] + 1};" : {outputs(which)} : "l"(given + {at[which]}), '
                f'"r"({strides[which]}));'
            )
            continue
        rows, columns = product.shapes[which][:: -1 if which == 1 else 1]
        size = SIZES[product.kinds[which]]
        columns, size = (columns, size) if size >= 1 else (columns // 2, 1)
        in_lane = 2 if which == 2 else max(4 // size, 1)
        lines.append(
            f"hold<{rows}, {columns}, {in_lane}, {size}>({names[which]}, given + {at[which]});"
        )
    starts = np.cumsum([0, counts[3], counts[0], counts[1]]).tolist()
    operands = ", ".join(
        listed(start, count) for start, count in zip(starts, [counts[3], *counts[:3]], strict=True)
    )
    kinds = [product.kinds[each] for each in (3, 0, 1, 2)]
    if product.opcode == "wmma":
        if kinds[1] == "f16":
            kinds = [kinds[0], kinds[3]]
        name = f"wmma.mma.sync.aligned.{product.layouts[0]}.{product.layouts[1]}.{shape}"
        modifiers = [*kinds, *([product.flag] if product.flag else [])]
    else:
        name = f"mma.sync.aligned.{shape}.row.col"
        modifiers = [*([product.flag] if product.flag else []), *kinds]
    lines.append(
        f'asm volatile("{".".join([name, *modifiers])} {operands};" : {outputs(3)} : '
        f"{inputs(0, 1, 2)});"
    )
    if product.opcode == "wmma":
        lines.append(
            f'asm volatile("wmma.store.d.sync.aligned.{product.layouts[3]}.{shape}.'
            f'{product.kinds[3]} [%0], {listed(2, counts[3])}, %1;" :: "l"(taken + {out}), '
            f'"r"({strides[3]}), {inputs(3)} : "memory");'
        )
    else:
        lines.append(f"release<{m}, {n}, 2, {SIZES[product.kinds[3]]}>(d, taken + {out});")
    return "    {\n        " + "\n        ".join(lines) + "\n    }\n"


#: How ``mma`` holds a matrix: IN_LANE elements of BYTES in each block of eight rows.
HEAD = """
template <int ROWS, int COLUMNS, int IN_LANE, int BYTES, class Register, bool FROM>
__device__ void move(Register* registers, char* memory) {
    const int lane = threadIdx.x % 32;
    for (int at = 0; at < ROWS * COLUMNS * BYTES / 32; ++at) {
        const int element = at / BYTES, block = element / IN_LANE, high = ROWS / 8;
        const int row = block % high * 8 + lane / 4;
        const int column = block / high * 4 * IN_LANE + lane % 4 * IN_LANE + element % IN_LANE;
        char* byte = memory + (row * COLUMNS + column) * BYTES + at % BYTES;
        if (FROM) ((char*)registers)[at] = *byte; else *byte = ((char*)registers)[at];
    }
}
template <int ROWS, int COLUMNS, int IN_LANE, int BYTES, class Register>
__device__ void hold(Register* registers, const char* memory) {
    move<ROWS, COLUMNS, IN_LANE, BYTES, Register, true>(registers, (char*)memory);
}
template <int ROWS, int COLUMNS, int IN_LANE, int BYTES, class Register>
__device__ void release(Register* registers, char* memory) {
    move<ROWS, COLUMNS, IN_LANE, BYTES, Register, false>(registers, memory);
}
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    const char* given = (const char*)in;
    char* taken = (char*)out;
"""


def case_of(name, products):
    """A kernel with a section for each product; one warp runs it."""
    rng, given, taken, sections = np.random.default_rng(5), b"", b"", []
    for product in products:
        numbers, at = product.numbers(rng), []
        for which, each in enumerate(numbers):
            at.append(len(given))
            given += product.bits_of(which, each)
            given += bytes(-len(given) % 32)
        sections.append(source_of(product, at, len(taken)))
        taken += product.expected(numbers)
        taken += bytes(-len(taken) % 32)
    words = np.frombuffer(given, np.uint32)
    expected = np.frombuffer(taken, np.uint32)
    return CudaCase(
        name, HEAD + "".join(sections) + "}\n", 1, 32, len(expected), expected.tolist, words
    )


def _alike(kind, of_sum):
    return (kind, kind, of_sum, of_sum)


_OTHER = ("col", "row", "col", "row")
WMMA = [
    Product("wmma", (16, 16, 16), _alike("f16", "f32")),
    Product("wmma", (16, 16, 16), _alike("f16", "f16"), _OTHER),
    Product("wmma", (16, 16, 16), ("f16", "f16", "f16", "f32"), ("row", "row", "row", "col")),
    Product("wmma", (32, 8, 16), ("f16", "f16", "f32", "f16"), ("col", "col", "row", "col")),
    Product("wmma", (8, 32, 16), _alike("f16", "f16"), ("row", "row", "row", "row")),
    Product("wmma", (16, 16, 16), _alike("bf16", "f32"), _OTHER),
    Product("wmma", (32, 8, 16), _alike("bf16", "f32")),
    Product("wmma", (8, 32, 16), _alike("bf16", "f32"), _OTHER),
    Product("wmma", (16, 16, 16), _alike("s8", "s32"), flag="satfinite"),
    Product("wmma", (16, 16, 16), _alike("u8", "s32"), _OTHER),
    Product("wmma", (32, 8, 16), _alike("u8", "s32")),
    Product("wmma", (8, 32, 16), _alike("s8", "s32"), _OTHER),
    Product("wmma", (16, 16, 8), _alike("tf32", "f32")),
    Product("wmma", (16, 16, 8), _alike("tf32", "f32"), _OTHER),
    Product("wmma", (8, 8, 4), _alike("f64", "f64")),
    Product("wmma", (8, 8, 4), _alike("f64", "f64"), _OTHER),
]
MMA = [
    Product("mma", (16, 8, 8), _alike("f16", "f32")),
    Product("mma", (16, 8, 8), _alike("f16", "f16")),
    Product("mma", (16, 8, 16), _alike("f16", "f16")),
    Product("mma", (16, 8, 8), _alike("bf16", "f32")),
    Product("mma", (16, 8, 4), _alike("tf32", "f32")),
    Product("mma", (8, 8, 16), _alike("s8", "s32")),
    Product("mma", (16, 8, 16), ("s8", "u8", "s32", "s32")),
    Product("mma", (16, 8, 16), _alike("u8", "s32"), flag="satfinite"),
    Product("mma", (16, 8, 32), _alike("s8", "s32"), flag="satfinite"),
    Product("mma", (16, 8, 32), ("u8", "s8", "s32", "s32")),
    Product("mma", (8, 8, 4), _alike("f64", "f64")),
    Product("mma", (16, 8, 4), _alike("f64", "f64")),
    Product("mma", (16, 8, 8), _alike("f64", "f64")),
    Product("mma", (16, 8, 16), _alike("f64", "f64")),
    Product("mma", (16, 8, 32), _alike("e4m3", "f32")),
    Product("mma", (16, 8, 32), ("e5m2", "e4m3", "f32", "f32")),
]
MMA_OF_FOUR_BITS = [
    Product("mma", (8, 8, 32), _alike("s4", "s32")),
    Product("mma", (16, 8, 32), ("u4", "s4", "s32", "s32")),
    Product("mma", (16, 8, 64), _alike("u4", "s32"), flag="satfinite"),
    Product("mma", (16, 8, 64), ("s4", "u4", "s32", "s32")),
]
TENSOR_CORE_CASES = [
    case_of("products_by_wmma", WMMA),
    case_of("products_by_mma", MMA),
    case_of("products_of_four_bits", MMA_OF_FOUR_BITS),
]
