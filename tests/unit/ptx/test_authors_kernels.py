"""Kernels as authors write them: results are right, and there are no findings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from pluginkit import ptx
from pluginkit.errors import KernelError
from pluginkit.kernels.cuda_packages import need
from tests.unit.ptx.run_case import compiled

SOURCE = Path(__file__).parent / "authors" / "kernels.cu"
IN = np.random.default_rng(7).integers(0, 1 << 20, 1000).astype(np.uint32)
SMALL = (IN & 0xFF).astype(np.uint32)


def options() -> list[bytes]:
    folder = need("cuda.pathfinder").find_nvidia_header_directory("cudart")
    return [f"-I{folder}".encode(), f"-I{folder}/cccl".encode()]


@cache
def module() -> ptx.PtxModule:
    return ptx.parse(compiled(SOURCE.read_text(), options()))


def run(kernel, grid, block, words, out_words, *, shared_bytes=0, seed=None, **how):
    memory = ptx.Memory()
    given = memory.buffer("in", words)
    out = memory.buffer("out", np.zeros(out_words, np.uint32), "inout")
    result = module().launch(
        kernel, grid, block, [out, given, np.int32(len(words))], memory=memory,
        shared_bytes=shared_bytes, seed=seed, **how,
    )  # fmt: skip
    assert list(map(str, result.findings)) == []
    return out.array(np.uint32), result


ORDERS = pytest.mark.parametrize("seed", [None, 0, 1])


@pytest.mark.slow
@ORDERS
def test_a_reduction_by_cooperative_groups(seed):
    out, _ = run("groups_reduce", 8, 128, SMALL, 8, seed=seed)
    padded = np.zeros(1024, np.uint32)
    padded[:1000] = SMALL
    assert out.tolist() == padded.reshape(8, 128).sum(1).tolist()


@pytest.mark.slow
def test_a_scan_by_cooperative_groups():
    out, _ = run("groups_scan", 8, 128, SMALL, 1000)
    assert out.tolist() == SMALL.reshape(-1, 8).cumsum(1).ravel().tolist()


@ORDERS
def test_warp_aggregated_atomics(seed):
    out, _ = run("aggregated", 4, 256, IN, 1001, seed=seed)
    wanted = sorted(IN[IN % 3 == 0].tolist())
    assert out[0] == len(wanted)
    assert sorted(out[1 : 1 + len(wanted)].tolist()) == wanted


def test_a_scan_of_a_block():
    out, _ = run("block_scan", 1, 128, SMALL[:120], 120)
    assert out.tolist() == (SMALL[:120].cumsum() - SMALL[:120]).tolist()


def test_a_product_on_tensor_cores():
    a, b = np.random.default_rng(2).integers(-9, 10, (2, 32, 32))
    words = np.stack([a, b.T]).astype(np.float16).reshape(-1).view(np.uint32)
    out, _ = run("tensor_cores", 1, 128, words, 1024)
    assert (out.view(np.float32).reshape(32, 32) * 2).tolist() == (a @ b).tolist()


def test_numbers_of_eight_bits():
    x = np.random.default_rng(4).normal(size=(2, 64)).astype(np.float32) * 100
    out, _ = run("eight_bits", 1, 64, x.view(np.uint32).reshape(-1), 64)
    halves = [each.astype(np.float16).astype(ml_dtypes.float8_e4m3fn) for each in x]
    sums = sum(half.astype(np.float32) for half in halves)
    assert out.view(np.float32).tolist() == sums.tolist()


def test_functions_of_halves():
    x = np.random.default_rng(6).normal(size=128).astype(np.float16) * 4
    x[[0, 32]] = np.nan, 0.5
    out, _ = run("logistic_of_halves", 1, 64, x.view(np.uint32), 64)
    expected = 1 / (1 + np.exp(-x.astype(np.float32)))
    expected[0] = 0
    assert np.allclose(out.view(np.float16).astype(np.float32), expected, rtol=2**-9, atol=0)


def test_packed_integers():
    words = np.random.default_rng(8).integers(0, 2**32, 128, dtype=np.uint32)
    out, _ = run("packed_integers", 1, 64, words, 128)
    a, b = words[:64], words[64:]
    greater = np.maximum(a.view(np.int16), b.view(np.int16)).view(np.uint32)
    assert out[::2].tolist() == greater.tolist()
    far = np.abs(a.view(np.uint8).astype(int) - b.view(np.uint8)).reshape(64, 4).sum(1)
    assert out[1::2].tolist() == far.tolist()


def test_a_sort_in_two_dynamic_arrays():
    out, _ = run("sort_pairs", 1, 256, IN[:250], 500, shared_bytes=256 * 6)
    assert out[:250].tolist() == sorted(IN[:250].tolist())
    assert (IN[out[250:]] == out[:250]).all()


def test_constant_memory_and_functions():
    out, _ = run("constants", 4, 256, IN, 1000)
    assert (out == np.array([3, 1, 4, 1])[IN & 3] + (IN >> 2)).all()


def test_functions_that_call_functions():
    out, _ = run("ranges", 1, 128, IN, 250)
    assert (out[::2] == IN.reshape(-1, 8).min(1)).all()
    assert (out[1::2] == IN.reshape(-1, 8).max(1)).all()


@ORDERS
def test_a_maximum_by_compare_and_swap(seed):
    out, _ = run("largest", 4, 256, IN, 1, seed=seed)
    assert out.view(np.float32)[0] == IN.max() * np.float32(0.5)


def test_packed_halves():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    out, _ = run("packed", 4, 256, SMALL, 4000)
    got, x = out.view(np.float32).reshape(-1, 4), SMALL.astype(np.float32)
    half = np.stack([x * 0.25, x * -0.5], 1).astype(np.float16).astype(np.float64)
    wanted = np.maximum((half * 1.5 + [1, 2]).astype(np.float16), 0)
    assert (got[:, :2] == wanted).all()
    bf16 = np.stack([x * 0.25, x * -0.5], 1).astype(ml_dtypes.bfloat16)
    assert (got[:, 2:] == ((bf16 + bf16) * ml_dtypes.bfloat16(3)).astype(np.float32)).all()


def test_lanes_that_match():
    out, _ = run("matched", 1, 32, IN[:32], 7)
    keys, words = IN[:32] % 5, IN[:32].astype(np.int64)
    assert out[:5].tolist() == [int(words[keys == key].sum()) for key in range(5)]
    assert out[5] == sum(1 << lane for lane in range(32) if words[lane] % 2 == 0)
    assert out[6] == IN[0]


@ORDERS
def test_atomic_refs(seed):
    out, _ = run("atomic_refs", 4, 256, SMALL, 1, seed=seed)
    assert out[0] == SMALL.sum()


@ORDERS
@pytest.mark.parametrize("kernel", ["locked", "locked_by_ref"])
def test_a_lock(kernel, seed):
    out, _ = run(kernel, 8, 32, SMALL[:8], 2, seed=seed)
    assert out.tolist() == [SMALL[:8].sum(), 0]


def test_a_pipeline_of_asynchronous_copies():
    out, _ = run("pipelined", 1, 64, SMALL[:320], 64)
    assert (out == SMALL[:320].reshape(5, 64).sum(0)[::-1]).all()


@ORDERS
def test_a_grid_wide_barrier(seed):
    out, _ = run("grid_in_step", 4, 64, SMALL[:256], 514, seed=seed, is_cooperative=True)
    assert (out[258:] == 2 * SMALL[:256][::-1]).all()


def test_blocks_wait_for_later_ones_only_if_all_run_at_once():
    memory = ptx.Memory()
    given = memory.buffer("in", SMALL[:256])
    out = memory.buffer("out", np.zeros(514, np.uint32), "inout")
    args = [out, given, np.int32(256)]
    result = module().launch("grid_in_step", 4, 64, args, memory=memory)
    assert [finding.kind for finding in result.findings] == ["deadlock"]
    assert "no thread of this or an earlier block does" in str(result.findings[0])


def test_printf():
    _, result = run("printing", 1, 32, IN, 32)
    assert result.printed == [f"1000 of {IN[1]}:  1.50 text c -5%\n"]


def test_further_instructions():
    out, _ = run("assorted", 4, 256, IN, 1000)
    assert out.tolist() == [_assorted(int(value)) for value in IN]


def _assorted(value: int) -> int:
    match value % 7:
        case 0:
            parts = [0] * 8
            for k in range(8):
                parts[k * 5 & 7] = value >> 4 * k & 15
            return sum(part << 4 * k for k, part in enumerate(parts))
        case 1:
            return int(f"{value:032b}"[::-1], 2)
        case 2:
            return value.bit_count() * 1000 + 32 - value.bit_length()
        case 3:
            return (value * 1000003 << 20) // (value + 7) & 0xFFFFFFFF
        case 4:
            both = value.to_bytes(4, "little") + (0x01020304).to_bytes(4, "little")
            return int.from_bytes([both[0x5142 >> 4 * k & 7] for k in range(4)], "little")
        case 5:
            shift = value & 31
            return ((value ^ 0xFFFFFFFF) << shift | value >> 32 - shift) & 0xFFFFFFFF
        case _:
            return value * 0x9E3779B9 >> 32


NOT_RUN = {
    "a copy by a tensor map": (
        "",
        "__shared__ __align__(128) unsigned tile[64]; __shared__ unsigned long long b;"
        "unsigned a = (unsigned)__cvta_generic_to_shared(tile);"
        'asm volatile("cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::bytes"'
        '" [%0], [%1, {%2}], [%3];" :: "r"(a), "l"(in), "r"(0), '
        '"r"((unsigned)__cvta_generic_to_shared(&b)));',
        "cp.async.bulk.tensor.1d",
    ),
    "a cluster": (
        "",
        'asm volatile("barrier.cluster.arrive.aligned;"); '
        'asm volatile("barrier.cluster.wait.aligned;");',
        "barrier.cluster.arrive",
    ),
    "a texture": (
        "",
        "out[0] = tex1Dfetch<int>((cudaTextureObject_t)in, 0);",
        "tex.1d.v4.s32.s32",
    ),
    "a type of 4 bits": (
        "",
        'unsigned short r; asm("{ .reg .b8 two; cvt.rn.satfinite.e2m1x2.f32 two, %1, %2; "'
        '"cvt.u16.u8 %0, two; }" : "=h"(r) : "f"((float)n), "f"(2.0f)); out[0] = r;',
        "cvt.rn.satfinite.e2m1x2.f32",
    ),
}


@pytest.mark.parametrize("name", NOT_RUN)
def test_an_unsupported_instruction_is_named(name):
    before, body, instruction = NOT_RUN[name]
    head = 'extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {\n'
    text = compiled(f"{before}{head}{body}\n}}", options())
    memory = ptx.Memory()
    out, given = memory.buffer("out", 1024, "output"), memory.buffer("in", IN)
    with pytest.raises(KernelError, match="PK351") as caught:
        ptx.parse(text).launch("run", 1, 32, [out, given, np.int32(1)], memory=memory)
    assert instruction in str(caught.value)
    assert "case.cu:" in str(caught.value)


@pytest.mark.slow
def test_a_finding_inside_a_toolkits_function_is_at_the_authors_line():
    text = compiled(
        """
        #include <cooperative_groups.h>
        #include <cooperative_groups/memcpy_async.h>
        #include <cuda/atomic>
        __device__ void add(unsigned* to, unsigned value) {
            cuda::atomic_ref<unsigned, cuda::thread_scope_device> sum(*to);
            sum.fetch_add(value, cuda::memory_order_relaxed);
        }
        extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
            add(out + threadIdx.x, in[0]);
        }
        """,
        options(),
    )
    memory = ptx.Memory()
    out, given = memory.buffer("out", 64, "inout"), memory.buffer("in", IN)
    result = ptx.parse(text).launch("run", 1, 32, [out, given, np.int32(1)], memory=memory)
    (finding,) = result.findings
    assert (Path(str(finding.file)).name, finding.line) == ("case.cu", 7)
