"""Races in shared and global memory, and correct kernels that resemble them."""

import numpy as np
import pytest

from tests.unit.ptx.run_case import run_words

WORDS = np.arange(1, 1025, dtype=np.uint32)
HEAD = 'extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {\n'


def findings(body, grid=1, block=64, out_words=1024, before="", seed=None):
    source = f"{before}\n{HEAD}{body}\n}}"
    _, result = run_words(source, grid, block, WORDS, out_words, seed=seed)
    return result.findings


def kinds(*args, **options):
    return {finding.kind for finding in findings(*args, **options)}


TILE = "__shared__ unsigned tile[128]; int i = threadIdx.x;\n"

SHARED = {
    "a read after a write": (
        TILE + "tile[i] = in[i]; BARRIER out[i] = tile[63 - i];",
        "__syncthreads();",
    ),
    "a write after a read": (
        TILE + "tile[i] = in[i]; __syncthreads(); unsigned v = tile[63 - i]; BARRIER "
        "tile[i] = v * 2; __syncthreads(); out[i] = tile[i ^ 1];",
        "__syncthreads();",
    ),
    "a write after a write": (
        TILE + "tile[i] = in[i]; BARRIER tile[63 - i] = i; __syncthreads(); out[i] = tile[i];",
        "__syncthreads();",
    ),
    "the second of two readers": (
        TILE + "tile[i] = in[i]; __syncthreads(); unsigned v = tile[i / 2]; BARRIER "
        "if (i % 2 == 0) tile[i / 2] = v + 1; __syncthreads(); out[i] = tile[i] + v;",
        "__syncthreads();",
    ),
    "the first of two readers": (
        TILE + "tile[i] = in[i]; __syncthreads(); unsigned v = tile[i / 2]; BARRIER "
        "if (i % 2 == 1) tile[i / 2] = v + 1; __syncthreads(); out[i] = tile[i] + v;",
        "__syncthreads();",
    ),
    "neighbours in a warp": (
        TILE + "tile[i] = in[i]; BARRIER out[i] = tile[i ^ 1];",
        "__syncwarp();",
    ),
    "halves of a warp": (
        TILE + "tile[i] = in[i]; if (i % 32 < 16) { BARRIER out[i] = tile[i ^ 1]; }",
        "__syncwarp(0xFFFF);",
    ),
    "an atomic and a read": (
        TILE + "if (i < 2) tile[i] = 0; __syncthreads(); atomicAdd(&tile[i % 2], in[i]); "
        "BARRIER out[i] = tile[i % 2];",
        "__syncthreads();",
    ),
    "a numbered barrier": (
        TILE + 'if (i < 32) { tile[i] = in[i]; BARRIER } else { BARRIER out[i] = tile[i - 32]; }',
        'asm volatile("bar.sync 3, 64;" ::: "memory");',
    ),
    "an arrival": (
        TILE + 'if (i < 32) { tile[i] = in[i]; BARRIER } else { '
        'asm volatile("bar.sync 3, 64;" ::: "memory"); out[i] = tile[i - 32]; }',
        'asm volatile("bar.arrive 3, 64;" ::: "memory");',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_a_barrier_prevents_a_race(name):
    body, barrier = SHARED[name]
    assert kinds(body.replace("BARRIER", barrier)) == set()
    assert kinds(body.replace("BARRIER", "")) & {"race", "barrier"}


def test_a_barrier_orders_only_the_threads_that_take_part():
    body = """
    __shared__ unsigned tile[96];
    int i = threadIdx.x;
    tile[i] = in[i];
    if (i < 64) asm volatile("bar.sync 1, 64;" ::: "memory");
    if (i < 32) out[i] = tile[i + DISTANCE];
    """
    assert kinds(body.replace("DISTANCE", "32"), block=96) == set()
    assert kinds(body.replace("DISTANCE", "64"), block=96) == {"race"}


def test_a_warp_barrier_orders_only_the_lanes_of_its_mask():
    body = """
    __shared__ unsigned tile[32];
    int i = threadIdx.x;
    tile[i] = in[i];
    __syncwarp(i < 16 ? 0xFFFFu : 0xFFFF0000u);
    out[i] = tile[i ^ DISTANCE];
    """
    assert kinds(body.replace("DISTANCE", "8"), block=32) == set()
    assert kinds(body.replace("DISTANCE", "16"), block=32) == {"race"}


def test_a_race_names_both_lines_and_both_threads():
    body = TILE + "tile[i] = in[i];\nout[i] =\n tile[63 - i];"
    (finding,) = findings(body)
    assert (finding.kind, finding.line, finding.other_line) == ("race", 6, 4)
    assert finding.thread == (0, 0, 0)
    assert "(63, 0, 0)" in finding.message
    assert (finding.block, finding.threads, finding.offset) == ((0, 0, 0), 64, 252)


def test_bytes_of_one_word_do_not_race():
    body = """
    __shared__ unsigned char bytes[64];
    int i = threadIdx.x;
    bytes[i] = in[i];
    __syncthreads();
    out[i] = reinterpret_cast<unsigned*>(bytes)[i / 4];
    """
    assert kinds(body) == set()


def test_a_word_races_with_one_of_its_bytes():
    body = """
    __shared__ unsigned tile[64];
    int i = threadIdx.x;
    tile[i] = in[i];
    __syncthreads();
    if (i < 32) tile[i] = i; else ((unsigned char*)tile)[(i - 32) * 4 + 3] = 9;
    __syncthreads();
    out[i] = tile[i];
    """
    assert kinds(body) == {"race"}


def test_writes_of_equal_values_do_not_race():
    assert kinds("out[threadIdx.x / 8] = in[5];") == set()
    assert kinds("out[threadIdx.x / 8] = in[5]; out[0] = in[5];", grid=3) == set()
    assert kinds("out[threadIdx.x / 8] = in[threadIdx.x];") == {"race"}


def test_blocks_race_in_global_memory():
    body = "int i = blockIdx.x * 64 + threadIdx.x; out[i] = in[i]; out[512 + i] = out[i ^ 64];"
    assert kinds(body, grid=4) == {"race"}
    assert kinds("int i = blockIdx.x * 64 + threadIdx.x; out[i] = in[i ^ 64];", grid=4) == set()


def test_a_barrier_does_not_order_blocks():
    body = """
    int i = blockIdx.x * 64 + threadIdx.x;
    if (blockIdx.x == 0) out[i] = in[i];
    __syncthreads();
    if (blockIdx.x == 1) out[i + 64] = out[threadIdx.x];
    """
    assert kinds(body, grid=2) == {"race"}


def test_volatile_accesses_do_not_race_with_each_other():
    body = """
    volatile unsigned* flag = out;
    if (threadIdx.x == 0) *flag = 1; else out[1 + threadIdx.x] = READ;
    """
    assert kinds(body.replace("READ", "*flag")) == set()
    assert kinds(body.replace("READ", "out[0]")) == {"race"}


LAST_BLOCK = """
    __shared__ bool is_last;
    int i = blockIdx.x * 64 + threadIdx.x;
    out[1 + i] = in[i];
    FENCE
    __syncthreads();
    if (threadIdx.x == 0) is_last = atomicAdd(out, 1u) == gridDim.x - 1;
    __syncthreads();
    if (is_last) {
        unsigned sum = 0;
        for (int b = 0; b < gridDim.x; ++b) sum += out[1 + b * 64 + threadIdx.x];
        out[1 + i] = sum;
    }
"""


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_the_last_block_sees_fenced_writes(seed):
    right = LAST_BLOCK.replace("FENCE", "__threadfence();")
    assert kinds(right, grid=5, seed=seed) == set()
    for forgotten in ("", "__threadfence_block();"):
        assert kinds(LAST_BLOCK.replace("FENCE", forgotten), grid=5, seed=seed) == {"race"}


def test_a_fence_after_a_barrier_covers_the_block():
    body = LAST_BLOCK.replace("FENCE", "").replace(
        "if (threadIdx.x == 0) is_last", "if (threadIdx.x == 0) __threadfence(), is_last"
    )
    assert kinds(body, grid=5) == set()


def test_a_fence_before_a_barrier_covers_only_its_thread():
    body = LAST_BLOCK.replace("FENCE", "if (threadIdx.x == 0) __threadfence();")
    assert kinds(body, grid=5) == {"race"}


FLAG = """
    volatile unsigned* flag = out;
    if (blockIdx.x == 0) {
        if (threadIdx.x == 0) { out[1] = in[7]; RELEASE; *flag = 1; }
    } else if (threadIdx.x == 0) {
        while (*flag == 0) {}
        ACQUIRE;
        out[2] = out[1];
    }
"""


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(
    ("release", "acquire", "expected"),
    [("__threadfence()", "__threadfence()", set()), ("", "__threadfence()", {"race"}),
     ("__threadfence()", "", {"race"})],
)  # fmt: skip
def test_a_flag_needs_a_fence_on_both_sides(release, acquire, expected, seed):
    body = FLAG.replace("RELEASE", release).replace("ACQUIRE", acquire)
    assert kinds(body, grid=2, seed=seed) == expected


def test_causality_is_transitive_through_flags():
    body = """
    volatile unsigned* flags = out;
    int b = blockIdx.x;
    if (threadIdx.x == 0) {
        if (b > 0) { while (flags[b - 1] == 0) {} __threadfence(); }
        out[100 + b] = in[b];
        if (b == 3) out[200] = out[100] + out[101] + out[102];
        __threadfence();
        flags[b] = 1;
    }
    """
    assert kinds(body, grid=4) == set()


def test_acquire_and_release_need_no_fence():
    body = """
    if (threadIdx.x) return;
    if (blockIdx.x == 0) {
        out[1] = in[7];
        asm volatile("st.release.gpu.global.u32 [%0], 1;" :: "l"(out) : "memory");
    } else {
        unsigned seen;
        do {
            asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(out) : "memory");
        } while (seen == 0);
        out[2] = out[1];
    }
    """
    assert kinds(body, grid=2) == set()
    assert kinds(body.replace("release", "relaxed"), grid=2) == {"race"}


def test_a_lock_prevents_races():
    body = """
    if (threadIdx.x % 32) return;
    while (atomicCAS(out, 0u, 1u) != 0u) {}
    __threadfence();
    out[1] = out[1] * 3 + 1;
    __threadfence();
    atomicExch(out, 0u);
    """
    assert kinds(body, grid=3) == set()
    assert kinds(body.replace("__threadfence();", ""), grid=3) == {"race"}


def test_launches_are_ordered():
    from pluginkit import ptx
    from tests.unit.ptx.run_case import compiled

    text = compiled(HEAD + "out[(threadIdx.x + n) % 64] = in[threadIdx.x];}")
    memory = ptx.Memory()
    given, out = memory.buffer("in", WORDS), memory.buffer("out", 256, "output")
    module = ptx.parse(text)
    for shift in range(3):
        arguments = [out, given, np.int32(shift)]
        assert module.launch("run", 1, 64, arguments, memory=memory).findings == []


SCOPES = """
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    ADD(out + OFFSET, in[i]);
}
"""


@pytest.mark.parametrize(
    ("add", "offset", "races"),
    [
        ("atomicAdd_block", "0", True),
        ("atomicAdd_block", "blockIdx.x", False),
        ("atomicAdd", "0", False),
    ],
)
@pytest.mark.parametrize("seed", [None, 0])
def test_atomics_of_a_block_do_not_reach_other_blocks(add, offset, races, seed) -> None:
    source = SCOPES.replace("ADD", add).replace("OFFSET", offset)
    _, result = run_words(source, 4, 32, range(128), 4, seed=seed)
    assert {finding.kind for finding in result.findings} == ({"race"} if races else set())


READ_ONLY = """
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    unsigned t = threadIdx.x, before = __ldg(out + t);
    BEFORE
    __syncthreads();
    out[t] = in[t] + READ;
}
"""


@pytest.mark.parametrize(
    ("before", "read", "races"),
    [
        ("out[t] = in[t];", "__ldg(out + 63 - t)", True),
        ("out[t] = in[t];", "before", False),
        ("", "__ldg(in + 63 - t)", False),
    ],
)
def test_what_a_launch_writes_may_not_be_read_as_read_only(before, read, races) -> None:
    source = READ_ONLY.replace("BEFORE", before).replace("READ", read)
    _, result = run_words(source, 1, 64, range(64), 64)
    found = [finding for finding in result.findings if "read-only cache" in finding.message]
    assert bool(found) == races
