"""Mistakes with tensor cores: what fragments hold, where they lie, and who takes part."""

import numpy as np
import pytest

from pluginkit import ptx
from tests.unit.ptx.run_case import run_words
from tests.unit.ptx.tensor_core_cases import Product, case_of

#: Multiplies two 16 x 16 matrices of float16, through shared memory.
KERNEL = """
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    __shared__ __align__(32) unsigned tile[136];
    const int lane = threadIdx.x % 32;
    unsigned a[8], b[8];
    float c[8];
    FILL
    for (int i = threadIdx.x; i < 128; i += blockDim.x) tile[i] = in[i];
    MEET
    if (WHO) {
        asm volatile("wmma.load.a.sync.aligned.row.m16n16k16.f16 "
            "{%0, %1, %2, %3, %4, %5, %6, %7}, [%8], %9;"
            : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3]), "=r"(a[4]), "=r"(a[5]),
              "=r"(a[6]), "=r"(a[7]) : "l"(FROM), "r"(STRIDE) : "memory");
        asm volatile("wmma.load.b.sync.aligned.row.m16n16k16.global.f16 "
            "{%0, %1, %2, %3, %4, %5, %6, %7}, [%8], 16;"
            : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3]), "=r"(b[4]), "=r"(b[5]),
              "=r"(b[6]), "=r"(b[7]) : "l"(in + 128));
        for (int k = 0; k < n / 256; ++k)
            asm volatile("wmma.mma.sync.aligned.row.row.m16n16k16.f32.f32 "
                "{%0, %1, %2, %3, %4, %5, %6, %7}, {%8, %9, %10, %11, %12, %13, %14, %15}, "
                "{%16, %17, %18, %19, %20, %21, %22, %23}, {%0, %1, %2, %3, %4, %5, %6, %7};"
                : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]),
                  "+f"(c[6]), "+f"(c[7])
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(a[4]), "r"(a[5]), "r"(a[6]),
                  "r"(a[7]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(b[4]), "r"(b[5]),
                  "r"(b[6]), "r"(b[7]));
        asm volatile("wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%0], "
            "{%1, %2, %3, %4, %5, %6, %7, %8}, 16;" :: "l"(out), "f"(c[0]), "f"(c[1]), "f"(c[2]),
            "f"(c[3]), "f"(c[4]), "f"(c[5]), "f"(c[6]), "f"(c[7]) : "memory");
    }
}
"""
SOUND = {
    "FILL": "for (float& each : c) each = 0.0f;",
    "MEET": "__syncthreads();",
    "WHO": "threadIdx.x < 32",
    "FROM": "tile",
    "STRIDE": "16",
}
RNG = np.random.default_rng(3)
A, B = (RNG.integers(-9, 10, (16, 16)) for _ in range(2))
WORDS = np.concatenate([each.astype(np.float16).reshape(-1) for each in (A, B)]).view(np.uint32)

#: What is wrong, and the kind and a part of the message of what is found.
WRONG = {
    "a fragment that nothing fills": (
        {"FILL": ""}, "uninitialised", "what a product of matrices adds follows from a variable",
    ),
    "a tile that other lanes have not finished": ({"MEET": ""}, "race", "tile"),
    "the stride of another matrix": ({"STRIDE": "24"}, "out_of_bounds", "past its end"),
    "an odd stride": ({"STRIDE": "17"}, "misaligned", "a stride in bytes that is no"),
    "a row of a wider tile": ({"FROM": "tile + 4"}, "misaligned", "no multiple of 32"),
    "addresses of single lanes": (
        {"FROM": "tile + lane % 2 * 8"}, "warp", "lanes of a warp give different addresses",
    ),
    "half a warp": ({"WHO": "threadIdx.x < 16"}, "warp", ""),
}  # fmt: skip


def run(changes, threads=64):
    source = KERNEL
    for name, text in (SOUND | changes).items():
        source = source.replace(name, text)
    return run_words(source, 1, threads, WORDS, 256)


def test_a_sound_kernel_multiplies():
    words, result = run({})
    assert result.findings == []
    assert words.view(np.float32).reshape(16, 16).tolist() == (A @ B).tolist()


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named(name):
    changes, kind, message = WRONG[name]
    _, result = run(changes)
    assert any(each.kind == kind and message in each.message for each in result.findings)


def test_a_fragment_that_is_stored_without_a_value_is_named():
    _, result = run({"FILL": "n = 0;"})
    assert [each.kind for each in result.findings] == ["uninitialised"]
    assert "the value that is written follows" in result.findings[0].message


def test_a_fragment_may_have_its_first_value_in_a_branch_that_always_runs():
    words, result = run({"FILL": "if (n >= 256)" + SOUND["FILL"]})
    assert result.findings == []
    assert words.view(np.float32).reshape(16, 16).tolist() == (A @ B).tolist()


def test_lanes_without_a_use_may_leave_factors_undefined():
    case = case_of("half", [Product("mma", (16, 8, 8), ("f16", "f16", "f32", "f32"))])
    source = case.source.replace("hold<16, 8, 2, 2>(a", "if (n < 0) hold<16, 8, 2, 2>(a")
    assert source != case.source
    _, result = run_words(source, 1, 32, case.words, case.out_words)
    assert result.findings == []


@pytest.mark.parametrize(
    "instruction",
    [
        "mma.sync.aligned.m8n8k4.row.col.f32.bf16.bf16.f32",
        "mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
        "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.s8.f32",
        "mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e2m1.e2m1.f32",
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.bf16.f32",
        "mma.sync.aligned.m16n8k16.row.col.f16.bf16.bf16.f16",
        "mma.sync.aligned.m8n8k32.row.col.s32.s4.s8.s32",
        "wmma.mma.xor.popc.sync.aligned.row.col.m8n8k128.s32.b1.b1.s32",
        "wmma.mma.sync.aligned.row.col.m16n16k8.f32.f32",
    ],
)
def test_other_products_are_not_run(instruction):
    text = f"""
    .version 8.5
    .target sm_90
    .address_size 64
    .visible .entry product()
    {{
        .reg .b32 %r<9>;
        .reg .f32 %f<9>;
        {instruction} {{%f1, %f2}}, {{%r1, %r2}}, {{%r3}}, {{%f1, %f2}};
        ret;
    }}
    """
    with pytest.raises(ptx.PtxUnsupported, match="needs the instruction"):
        ptx.parse(text).launch("product", 1, 32, [], memory=ptx.Memory())
