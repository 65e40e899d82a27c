"""Atomics on vectors, which compute capability 9.0 has: each element is updated for itself."""

import numpy as np

from pluginkit import ptx
from tests.unit.ptx.run_case import compiled

BLOCK = 64


def run(body, words):
    """Run a block of threads on words that the kernel updates; return them and the findings."""
    source = f'extern "C" __global__ void run(float* x, float* old) {{\n{body}\n}}'
    memory = ptx.Memory()
    x = memory.buffer("x", words, "inout")
    old = memory.buffer("old", np.zeros(4 * BLOCK, np.float32), "inout")
    result = ptx.parse(compiled(source)).launch("run", 1, BLOCK, [x, old], memory=memory)
    return x, old.array(np.float32), result.findings


def test_floats_are_added_in_fours_and_the_old_ones_returned():
    body = """
    const int i = threadIdx.x;
    const float4 before = atomicAdd(reinterpret_cast<float4*>(x) + i % 2,
                                    make_float4(1, 10 * i, -2, 0.5f));
    reinterpret_cast<float4*>(old)[i] = before;
    """
    x, old, findings = run(body, np.arange(8, dtype=np.float32))
    assert findings == []
    expected = np.arange(8, dtype=np.float32)
    for i in range(BLOCK):
        expected[i % 2 * 4 :][:4] += [1, 10 * i, -2, 0.5]
    np.testing.assert_array_equal(x.array(np.float32), expected)
    # Every thread finds another number of the additions of 1 done.
    for parity in range(2):
        first = old.reshape(BLOCK, 4)[parity::2, 0] - 4 * parity
        assert sorted(first) == list(range(BLOCK // 2))


def test_pairs_of_halves_are_added_in_fours():
    body = """
    unsigned pair = 0x40003C00;  // 1 and 2
    asm volatile("red.global.add.noftz.v4.f16x2 [%0], {%1, %1, %1, %2};"
                 :: "l"(x), "r"(pair), "r"(0u) : "memory");
    """
    x, _, findings = run(body, np.zeros(8, np.float16))
    assert findings == []
    assert x.array(np.float16).tolist() == [BLOCK, 2 * BLOCK] * 3 + [0, 0]


def test_a_vector_that_is_not_aligned_is_reported():
    body = """
    float* at = x + threadIdx.x;
    asm volatile("red.global.add.v2.f32 [%0], {%1, %1};" :: "l"(at), "f"(1.f) : "memory");
    """
    _, _, (finding,) = run(body, np.zeros(80, np.float32))
    assert (finding.kind, finding.threads) == ("misaligned", BLOCK // 2)
    assert "no multiple of 8" in finding.message
