"""Findings about memory that a kernel must not access, or that is not yet written."""

import numpy as np
import pytest

from pluginkit import ptx
from tests.unit.ptx.run_case import compiled, run_words

WORDS = np.arange(1, 257, dtype=np.uint32)


def kernel(body, before=""):
    head = 'extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {'
    return f"{before}\n{head}\n{body}\n}}"


def found(body, *, grid=1, block=64, words=WORDS, out_words=64, role="output", before=""):
    _, result = run_words(kernel(body, before), grid, block, words, out_words, role=role)
    return result.findings


def only(findings):
    (finding,) = findings
    return finding


def test_a_read_past_the_end_is_reported_with_its_line():
    finding = only(found("int i = threadIdx.x; out[i] = in[i + 4];", words=WORDS[:64]))
    assert (finding.kind, finding.buffer, finding.offset) == ("out_of_bounds", "in", 256)
    assert (finding.block, finding.thread, finding.threads) == ((0, 0, 0), (60, 0, 0), 4)
    assert finding.file.endswith("case.cu")
    assert finding.line == 3
    assert finding.kernel == "run"
    assert "4 past its end; it has 256 bytes" in finding.message
    assert "ld.global" in finding.instruction
    assert f"{finding.file}:3" in str(finding)


def test_a_write_before_the_start_is_reported():
    finding = only(found("out[(int)threadIdx.x - 1] = 1; out[63] = 1;"))
    assert (finding.kind, finding.buffer, finding.offset) == ("out_of_bounds", "out", -4)
    assert "4 bytes before its start" in finding.message


def test_a_write_outside_changes_nothing():
    memory = ptx.Memory()
    before = memory.buffer("before", np.full(64, 7, np.uint32), "inout")
    out = memory.buffer("out", 256, "output")
    after = memory.buffer("after", np.full(64, 7, np.uint32), "inout")
    text = compiled(kernel("out[(int)threadIdx.x * n] = 1;"))
    result = ptx.parse(text).launch("run", 1, 64, [out, before, np.int32(1 << 24)], memory=memory)
    assert only(result.findings).buffer == "out"
    for buffer in (before, after):
        assert (buffer.array(np.uint32) == 7).all()


@pytest.mark.parametrize("distance", [1 << 20, 1 << 30, (1 << 33) - 64, -(1 << 33)])
def test_a_large_overrun_is_reported_for_the_buffer_of_its_pointer(distance):
    finding = only(found(f"out[threadIdx.x] = in[threadIdx.x + {distance}ll];"))
    assert (finding.kind, finding.buffer, finding.offset) == ("out_of_bounds", "in", 4 * distance)


def test_a_null_pointer_is_reported():
    finding = only(
        found("in = (const unsigned*)(size_t)(n - 256); out[threadIdx.x] = in[threadIdx.x];")
    )
    assert finding.kind == "out_of_bounds"
    assert "null pointer" in finding.message
    assert finding.buffer is None


def test_a_read_past_an_array_in_shared_memory():
    body = """
    __shared__ unsigned first[64], second[64];
    int i = threadIdx.x;
    first[i] = in[i]; second[i] = in[i + 64];
    __syncthreads();
    out[i] = first[i + in[0]] + second[63 - i];
    """
    finding = only(found(body))
    assert (finding.kind, finding.offset, finding.thread) == ("out_of_bounds", 256, (63, 0, 0))
    assert "first" in finding.buffer


def test_a_read_past_an_array_in_local_memory():
    body = """
    unsigned own[4];
    for (int k = 0; k < 4; ++k) own[k] = in[k + threadIdx.x];
    out[threadIdx.x] = own[in[threadIdx.x] % 5];
    """
    finding = only(found(body))
    assert (finding.kind, finding.offset) == ("out_of_bounds", 16)


def test_dynamic_shared_memory_has_the_size_of_the_launch():
    body = "int i = threadIdx.x; tile[i] = in[i]; __syncthreads(); out[i] = tile[i ^ 1];"
    source = kernel(body, "extern __shared__ unsigned tile[];")
    _, result = run_words(source, 1, 64, WORDS, 64, shared_bytes=256)
    assert result.findings == []
    _, result = run_words(source, 1, 64, WORDS, 64, shared_bytes=252)
    assert {finding.kind for finding in result.findings} == {"out_of_bounds"}


def test_a_vector_at_an_odd_address_is_misaligned():
    body = "reinterpret_cast<uint2*>(out)[threadIdx.x] = *(const uint2*)(in + threadIdx.x);"
    findings = found(body, out_words=128)
    finding = findings[0]
    assert (finding.kind, finding.buffer, finding.offset, finding.threads) == (
        "misaligned", "in", 4, 32,
    )  # fmt: skip


def test_an_output_that_is_read_first_is_uninitialised():
    finding = only(found("out[threadIdx.x] += in[threadIdx.x];"))
    assert (finding.kind, finding.buffer, finding.offset) == ("uninitialised", "out", 0)
    assert found("out[threadIdx.x] += in[threadIdx.x];", role="inout") == []


def test_shared_memory_is_uninitialised_in_each_block():
    body = """
    __shared__ unsigned tile[65];
    int i = threadIdx.x;
    if (i > 0 || blockIdx.x > 0) tile[i] = in[i];
    __syncthreads();
    out[blockIdx.x * 64 + i] = tile[63 - i];
    """
    finding = only(found(body, grid=3, out_words=192))
    assert (finding.kind, finding.block, finding.thread, finding.threads) == (
        "uninitialised", (0, 0, 0), (63, 0, 0), 1,
    )  # fmt: skip


def test_one_byte_of_a_word_is_enough_to_be_uninitialised():
    body = """
    unsigned char* bytes = reinterpret_cast<unsigned char*>(out);
    for (int k = 0; k < 4; ++k) if (k != 2 || threadIdx.x != 5) bytes[threadIdx.x * 4 + k] = k;
    __syncthreads();
    out[threadIdx.x] = out[threadIdx.x] + 1;
    """
    finding = only(found(body))
    assert (finding.kind, finding.offset, finding.threads) == ("uninitialised", 20, 1)


def test_a_write_to_an_input_is_reported():
    finding = only(found("((unsigned*)in)[threadIdx.x] = 3; out[threadIdx.x] = 1;"))
    assert (finding.kind, finding.buffer) == ("input_written", "in")
    finding = only(found("atomicAdd((unsigned*)in + threadIdx.x, 3); out[threadIdx.x] = 1;"))
    assert (finding.kind, finding.buffer) == ("input_written", "in")


def test_unwritten_bytes_are_listed():
    memory = ptx.Memory()
    given = memory.buffer("in", WORDS)
    out = memory.buffer("out", 256, "output")
    assert len(out.unwritten()) == 256
    text = compiled(kernel("if (threadIdx.x != 9) out[threadIdx.x] = in[threadIdx.x];"))
    result = ptx.parse(text).launch("run", 1, 64, [out, given, np.int32(64)], memory=memory)
    assert result.findings == []
    assert out.unwritten().tolist() == [36, 37, 38, 39]
    assert out.array(np.uint32)[9] == 0xA5A5A5A5
    out.fill(0, 36, 38)
    assert out.unwritten().tolist() == [38, 39]
    out.copy_from(given, 4, 36)
    assert out.unwritten().tolist() == []
    assert given.unwritten().tolist() == []


CAS_ON_BYTES = """
__device__ void add_to_byte(unsigned char* at, unsigned char more) {
    unsigned* word = (unsigned*)((size_t)at & ~3ull);
    int shift = 8 * ((size_t)at & 3);
    unsigned seen = *word, expected;
    do {
        expected = seen;
        unsigned byte = (expected >> shift) + more & 255;
        unsigned wanted = expected & ~(255u << shift) | byte << shift;
        seen = atomicCAS(word, expected, wanted ^ WRONG);
    } while (seen != expected);
}
"""


@pytest.mark.parametrize("wrong", [False, True])
def test_a_swap_of_the_word_around_the_last_byte_keeps_the_others(wrong):
    body = "for (int k = 0; k < 3; ++k) add_to_byte((unsigned char*)out + threadIdx.x % 5, 1);"
    before = f"#define WRONG {0x40000000 if wrong else 0}u\n" + CAS_ON_BYTES
    memory = ptx.Memory()
    given = memory.buffer("in", WORDS)
    out = memory.buffer("out", np.zeros(5, np.uint8), "inout")
    result = ptx.parse(compiled(kernel(body, before))).launch(
        "run", 1, 10, [out, given, np.int32(0)], memory=memory, steps=3000
    )
    if wrong:
        assert "out_of_bounds" in {finding.kind for finding in result.findings}
    else:
        assert result.findings == []
        assert out.bytes.tolist() == [6] * 5


def test_asynchronous_copies_arrive_at_the_wait():
    copy = """
    __shared__ alignas(16) unsigned tile[64];
    int i = threadIdx.x;
    unsigned at = (unsigned)__cvta_generic_to_shared(tile + i);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(at), "l"(in + i));
    asm volatile("cp.async.commit_group;");
    WAIT
    __syncthreads();
    out[i] = tile[63 - i];
    """
    wait = 'asm volatile("cp.async.wait_group 0;");'
    words, result = run_words(kernel(copy.replace("WAIT", wait)), 1, 64, WORDS, 64, role="output")
    assert result.findings == []
    assert words.tolist() == WORDS[:64][::-1].tolist()
    for forgotten in ("", 'asm volatile("cp.async.wait_group 1;");'):
        finding = only(found(copy.replace("WAIT", forgotten)))
        assert finding.kind == "race"
        assert "nothing has waited for that copy" in finding.message
