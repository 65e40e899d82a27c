"""Findings at barriers, warp operations and loops whose threads wait for others in vain."""

import numpy as np
import pytest

from tests.unit.ptx.run_case import run_words

WORDS = np.arange(256, dtype=np.uint32)
HEAD = 'extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {\n'


def run(body, grid=1, block=64, seed=None):
    return run_words(f"{HEAD}{body}\n}}", grid, block, WORDS, 256, seed=seed)


def found(body, **options):
    return run(body, **options)[1].findings


def test_a_barrier_that_half_a_warp_never_reaches():
    body = "if (threadIdx.x % 2) {\n__syncthreads();\n}\nout[threadIdx.x] = 1;"
    (finding,) = found(body)
    assert (finding.kind, finding.line) == ("barrier", 3)
    assert finding.threads == 32


def test_threads_that_end_before_a_barrier():
    body = "if (threadIdx.x >= 50) return;\n__syncthreads();\nout[threadIdx.x] = 1;"
    (finding,) = found(body)
    assert (finding.kind, finding.line) == ("barrier", 3)
    assert "of their warp end" in finding.message
    assert found(body.replace("50", "32")) == []


def test_threads_that_wait_at_different_barriers():
    body = """if (threadIdx.x < 32) {
    __syncthreads();
    } else {
    __syncthreads();
    }"""
    (finding,) = found(body)
    assert finding.kind == "barrier"
    assert {finding.line, finding.other_line} == {3, 5}


def test_a_barrier_that_expects_more_threads_than_arrive():
    body = 'if (threadIdx.x < 32) asm volatile("bar.sync 1, 64;");\nout[threadIdx.x] = 1;'
    findings = found(body)
    assert [finding.kind for finding in findings] == ["barrier"]
    assert "barrier 1" in findings[0].message


def test_a_barrier_in_a_uniform_loop():
    body = """
    __shared__ unsigned tile[64];
    unsigned sum = 0;
    for (int k = 0; k < 5; ++k) {
        tile[threadIdx.x] = in[threadIdx.x + k];
        __syncthreads();
        sum += tile[(threadIdx.x + k) % 64];
        __syncthreads();
    }
    out[threadIdx.x] = sum;
    """
    words, result = run(body)
    assert result.findings == []
    expected = [sum((i + k) % 64 + k for k in range(5)) for i in range(64)]
    assert words[:64].tolist() == expected


def test_a_shuffle_in_divergent_code():
    body = """unsigned v = in[threadIdx.x];
    if (v % 2) v = __shfl_xor_sync(~0u, v, 2);
    __syncwarp();
    out[v] = v;
    """
    findings = found(body, block=32)
    assert "warp" in {finding.kind for finding in findings}
    (finding,) = (
        each for each in findings if each.kind == "warp" and "never reach" in each.message
    )
    assert finding.line == 3


def test_a_shuffle_from_a_lane_that_takes_no_part():
    body = "if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xFFFF, in[threadIdx.x], 20);"
    (finding,) = found(body, block=32)
    assert (finding.kind, finding.threads) == ("warp", 16)
    assert "lane 20" in finding.message


def test_a_shuffle_from_a_lane_of_another_mask():
    body = """
    unsigned mask = threadIdx.x < 16 ? 0xFFFFu : 0xFFFF0000u;
    out[threadIdx.x] = __shfl_sync(mask, in[threadIdx.x], threadIdx.x ^ DISTANCE);
    """
    words, result = run(body.replace("DISTANCE", "8"), block=32)
    assert result.findings == []
    assert words[:32].tolist() == [i ^ 8 for i in range(32)]
    (finding,) = found(body.replace("DISTANCE", "16"), block=32)
    assert (finding.kind, finding.threads) == ("warp", 32)


def test_threads_that_wait_for_others_let_them_run():
    body = """
    volatile unsigned* told = out;
    if (threadIdx.x > 0) return;
    unsigned before = 0;
    if (blockIdx.x > 0) { do { before = told[blockIdx.x - 1]; } while (before == 0); }
    for (int k = 0; k < 20; ++k) before += in[(before + k) % n];
    told[blockIdx.x] = before % 1000 + 1;
    """
    _, result = run(body, grid=30)
    assert result.findings == []
    assert result.steps < 6000


def test_a_mask_that_does_not_name_the_lane():
    (finding,) = found("__syncwarp(0xFFFF); out[threadIdx.x] = 1;", block=32)
    assert (finding.kind, finding.thread) == ("warp", (16, 0, 0))


def test_lanes_that_have_ended_are_not_waited_for():
    body = """
    if (threadIdx.x % 32 >= 20) return;
    __syncwarp();
    out[threadIdx.x] = __ballot_sync(0xFFFFFFFF, in[threadIdx.x] % 2);
    """
    words, result = run(body)
    assert result.findings == []
    assert words[:20].tolist() == [0xAAAAA] * 20


def test_a_block_whose_last_warp_is_not_whole():
    body = "out[threadIdx.x] = __shfl_sync(~0u, in[threadIdx.x], 7);"
    words, result = run(body, grid=3, block=40)
    assert result.findings == []
    assert words[:40].tolist() == [7] * 32 + [39] * 8


def test_a_flag_that_nobody_raises():
    body = "volatile unsigned* flag = out;\nif (threadIdx.x == 0) while (*flag == 0) {}"
    (finding,) = found(body)
    assert (finding.kind, finding.line) == ("deadlock", 3)


def test_a_loop_without_an_end_is_stopped():
    from pluginkit import ptx
    from tests.unit.ptx.run_case import compiled

    text = compiled(HEAD + "for (unsigned k = 1; k != 0; k += 2) out[k % 2] = k;}")
    memory = ptx.Memory()
    out = memory.buffer("out", np.zeros(2, np.uint32), "inout")
    given = memory.buffer("in", WORDS)
    result = ptx.parse(text).launch(
        "run", 1, 1, [out, given, np.int32(0)], memory=memory, steps=500
    )
    assert [finding.kind for finding in result.findings] == ["deadlock"]
    assert not result.ended
    assert result.steps == 500


@pytest.mark.parametrize(
    "loop", ["for (unsigned k = 3; k >= 0; k--) out[i] = k;", "while (true) {}"]
)
def test_a_loop_without_a_way_out_is_named_at_once(loop):
    (finding,) = found(f"int i = threadIdx.x;\nif (i > 7) {loop}\nout[i] = 1;")
    assert (finding.kind, finding.line, finding.threads) == ("deadlock", 3, 56)
    assert "no way out" in finding.message


def test_a_division_by_zero():
    (finding,) = found("out[threadIdx.x] = 100 / in[threadIdx.x] + 100 % in[threadIdx.x + 1];")
    assert (finding.kind, finding.thread, finding.threads) == ("division", (0, 0, 0), 1)


def test_a_guarded_division_by_zero_is_not_reported():
    assert found("unsigned d = in[threadIdx.x]; out[threadIdx.x] = d ? 100 / d : 7;") == []


def test_an_assertion():
    body = """
    if (in[threadIdx.x] == 3) __assertfail("x < 3", "f.cu", 12, "run", 1);
    out[threadIdx.x] = 1;
    """
    before = """
    extern "C" __device__ void __assertfail(
        const char*, const char*, unsigned, const char*, size_t
    );
    """
    _, result = run_words(f"{before}\n{HEAD}{body}\n}}", 1, 64, WORDS, 256)
    (finding,) = result.findings
    assert (finding.kind, finding.thread) == ("assertion", (3, 0, 0))
    assert "assert(x < 3)" in finding.message


def test_a_trap_ends_its_threads():
    words, result = run("if (threadIdx.x == 2) __trap();\nout[threadIdx.x] = 1;")
    (finding,) = result.findings
    assert (finding.kind, finding.thread) == ("trap", (2, 0, 0))
    assert words[:4].tolist() == [1, 1, 0, 1]


def test_printed_texts():
    body = """
    if (threadIdx.x < 2)
        printf("%d: %5.2f %s %llu %c%% %x\\n",
               (int)threadIdx.x - 1, 2.5, "text", 1ull << 40, 'q', 255);
    """
    before = 'extern "C" __device__ int printf(const char*, ...);'
    _, result = run_words(f"{before}\n{HEAD}{body}\n}}", 1, 32, WORDS, 256)
    assert result.findings == []
    tail = "  2.50 text 1099511627776 q% ff\n"
    assert result.printed == [f"-1:{tail}", f"0:{tail}"]


@pytest.mark.parametrize("seed", [None, 5])
def test_seeds_change_the_order_of_blocks_and_warps(seed):
    body = "out[atomicAdd(&out[255], 1u)] = blockIdx.x * 64 + threadIdx.x;"
    words, result = run(body, grid=3, seed=seed)
    assert result.findings == []
    assert sorted(words[:192].tolist()) == list(range(192))
    assert (words[:192].tolist() == list(range(192))) == (seed is None)


def test_a_product_of_matrices_that_half_a_warp_never_reaches():
    body = """
    float d[4] = {};
    const unsigned a = in[threadIdx.x];
    if (CONDITION) {
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
                     "{%4, %4, %4, %4}, {%4, %4}, {%5, %5, %5, %5};"
                     : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3]) : "r"(a), "f"(0.0f));
    }
    out[threadIdx.x] = __float_as_uint(d[0]);
    """
    assert found(body.replace("CONDITION", "threadIdx.x < 32")) == []
    findings = found(body.replace("CONDITION", "threadIdx.x % 2"))
    assert {finding.kind for finding in findings} == {"warp"}
    assert any("needs all 32 lanes" in finding.message for finding in findings)
    source = f"{HEAD}if (threadIdx.x % 2) return;\n{body}\n}}".replace("CONDITION", "true")
    (finding,) = run_words(source, 1, 64, WORDS, 256)[1].findings
    assert "needs all 32 lanes" in finding.message
