"""Launches: arguments, buffers, steps, results."""

import numpy as np
import pytest

from pluginkit import ptx
from pluginkit.errors import KernelError
from tests.unit.ptx.run_case import compiled

SCALE = """
struct Sizes { long long rows; int columns; };
extern "C" __global__ void scale(float* y, const float* x, Sizes sizes, float factor) {
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < sizes.rows * sizes.columns;
         i += gridDim.x * blockDim.x) y[i] = x[i] * factor;
}
"""


@pytest.fixture(scope="module")
def module():
    return ptx.parse(compiled(SCALE))


def sizes(rows, columns):
    return np.array([(rows, columns)], np.dtype([("r", "i8"), ("c", "i4")], align=True)).tobytes()


def buffers(count):
    memory = ptx.Memory()
    x = memory.buffer("x", np.arange(count, dtype=np.float32))
    return memory, x, memory.buffer("y", 4 * count, "output")


def test_a_launch_reads_and_writes_numpy_arrays(module):
    memory, x, y = buffers(60)
    assert module.kernels == ["scale"]
    assert module.parameter_sizes("scale") == (8, 8, 16, 4)
    arguments = [y, x, sizes(6, 10), np.float32(3)]
    result = module.launch("scale", (2,), (16,), arguments, memory=memory)
    assert result.findings == []
    assert result.ended
    assert result.steps > 1
    np.testing.assert_array_equal(y.array(np.float32, (6, 10)), 3 * np.arange(60).reshape(6, 10))
    assert y.unwritten().size == 0


def test_an_address_in_a_buffer_is_an_argument(module):
    memory, x, y = buffers(60)
    arguments = [y + 40, x + 8, sizes(1, 10), np.float32(2)]
    assert module.launch("scale", 1, 16, arguments, memory=memory).findings == []
    np.testing.assert_array_equal(y.array(np.float32)[10:20], 2 * np.arange(2, 12))
    assert len(y.unwritten()) == 200


@pytest.mark.parametrize(
    ("kernel", "arguments", "expected"),
    [
        ("other", [], "'other' is not in the PTX; expected one of scale"),
        ("scale", [np.int32(1)], r"arguments have \[4\] bytes; expected \[8, 8, 16, 4\]"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(module, kernel, arguments, expected):
    with pytest.raises(KernelError, match=expected) as refused:
        module.launch(kernel, 1, 1, arguments, memory=ptx.Memory())
    assert refused.value.code == "PK352"


def test_clocks_go_on_from_launch_to_launch():
    source = 'extern "C" __global__ void clock_of(long long* y) { *y = clock64(); }'
    module, memory = ptx.parse(compiled(source)), ptx.Memory()
    y, found = memory.buffer("y", 8, "output"), []
    for _ in range(3):
        module.launch("clock_of", 1, 1, [y], memory=memory)
        found.append(int(y.array(np.int64)[0]))
    assert sorted({*found}) == found


def test_the_names_of_buffers_are_unique():
    memory = ptx.Memory()
    memory.buffer("x", 4, "output")
    with pytest.raises(KernelError, match="'x' is there already") as refused:
        memory.buffer("x", 4, "output")
    assert refused.value.code == "PK352"


COUNTING = """.version 8.5
.target sm_90
.entry count(.param .u64 out)
{
    .reg .pred %p1;
    .reg .b32 %r<4>;
    .reg .b64 %rd<3>;
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, 0;
again:
    add.u32 %r2, %r2, %r1;
    add.u32 %r1, %r1, 1;
    setp.lt.u32 %p1, %r1, 4;
    @%p1 bra again;
    mov.u32 %r3, %tid.x;
    ld.param.u64 %rd1, [out];
    mad.wide.u32 %rd2, %r3, 4, %rd1;
    st.global.u32 [%rd2], %r2;
    ret;
}
"""


def test_an_address_leads_back_to_its_buffer():
    memory, x, y = buffers(60)
    for buffer, offset in ((x, 0), (x, 240), (y, 8)):
        found = memory.buffer_at(buffer.address + offset)
        assert (found.buffer, found.offset) == (buffer, offset)
    with pytest.raises(KernelError, match="0x5 is no address") as refused:
        memory.buffer_at(5)
    assert refused.value.code == "PK352"


def test_a_buffer_is_written_and_poisoned_between_launches():
    memory = ptx.Memory()
    y = memory.buffer("y", 8, "workspace", poison=0x11)
    y.write(b"\1\2\3", 2)
    assert y.bytes.tolist() == [0x11, 0x11, 1, 2, 3, 0x11, 0x11, 0x11]
    assert y.unwritten().tolist() == [0, 1, 5, 6, 7]
    y.poison(0x22)
    assert y.array(np.uint8).tolist() == [0x22] * 8
    assert len(y.unwritten()) == 8


def test_a_launch_can_be_stepped_and_registers_read():
    memory = ptx.Memory()
    out = memory.buffer("out", 16, "output")
    launch = ptx.parse(COUNTING).start("count", 1, 4, [out], memory=memory)
    assert launch.register("%r1") is None
    seen = []
    while launch.step():
        values = launch.register("%r2")
        if values is not None:
            seen.append(values.tolist())
    assert seen == [
        [0, 0, 0, 0],  # before the loop
        [0, 1, 2, 3],  # once around; thread 3 leaves
        [1, 3, 5, 3],
        [3, 6, 5, 3],
        [6, 6, 5, 3],
        [6, 6, 5, 3],  # all of them after it
    ]
    assert launch.result.steps == 6
    assert not launch.step()
    assert launch.register("%r2") is None
    assert out.array(np.uint32).tolist() == [6, 6, 5, 3]


def test_more_blocks_than_are_resident_run_in_waves(module):
    count = 400_000
    memory, x, y = buffers(count)
    arguments = [y, x, sizes(1, count), np.float32(1)]
    result = module.launch("scale", -(-count // 256), 256, arguments, memory=memory)
    assert result.findings == []
    np.testing.assert_array_equal(y.array(np.float32), x.array(np.float32))


def test_blocks_of_three_dimensions():
    source = """
    extern "C" __global__ void run(unsigned* out) {
        unsigned thread = threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z;
        unsigned block = blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z;
        unsigned place = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        unsigned number = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        out[number * 24 + place] = thread + 1000 * block;
    }
    """
    memory = ptx.Memory()
    out = memory.buffer("out", 4 * 24 * 8, "output")
    result = ptx.parse(compiled(source)).launch("run", (2, 2, 2), (4, 3, 2), [out], memory=memory)
    assert result.findings == []
    expected = [
        tx + 10 * ty + 100 * tz + 1000 * (bx + 10 * by + 100 * bz)
        for bz in range(2) for by in range(2) for bx in range(2)
        for tz in range(2) for ty in range(3) for tx in range(4)
    ]  # fmt: skip
    assert out.array(np.uint32).tolist() == expected


def test_a_parameter_may_be_read_by_its_address():
    source = """
    struct Weights { unsigned w[12]; };
    extern "C" __global__ void run(unsigned* out, Weights weights, const unsigned* in) {
        out[threadIdx.x] = weights.w[in[threadIdx.x] % 12];
    }
    """
    text = compiled(source)
    memory = ptx.Memory()
    given = memory.buffer("in", np.arange(32, dtype=np.uint32) * 7)
    out = memory.buffer("out", 128, "output")
    for first in (100, 500):
        weights = np.arange(first, first + 12, dtype=np.uint32).tobytes()
        result = ptx.parse(text).launch("run", 1, 32, [out, weights, given], memory=memory)
        assert result.findings == []
        assert out.array(np.uint32).tolist() == [first + i * 7 % 12 for i in range(32)]


CARRIES = """.version 8.5
.target sm_90
.entry run(.param .u64 out)
{
    .reg .b32 %r<9>;
    .reg .b64 %rd1;
    .reg .pred %p<3>;
    mov.u32 %r1, 0xFFFFFFFF;
    setp.eq.u32 %p1, %r1, 0;
    add.cc.u32 %r2, %r1, 1;
    addc.cc.u32 %r3, %r1, 0;
    addc.u32 %r4, 5, 0;
    sub.cc.u32 %r5, 0, 1;
    @%p1 sub.cc.u32 %r6, 1, 0;
    subc.u32 %r6, 7, 0;
    mad.lo.cc.u32 %r7, %r1, %r1, %r1;
    madc.hi.u32 %r8, %r1, %r1, 0;
    ld.param.u64 %rd1, [out];
    st.global.v4.u32 [%rd1], {%r2, %r3, %r4, %r5};
    st.global.u32 [%rd1+16], %r6;
    st.global.v2.u32 [%rd1+24], {%r7, %r8};
    ret;
}
"""


def test_carries_go_from_one_instruction_to_the_next():
    memory = ptx.Memory()
    out = memory.buffer("out", np.zeros(8, np.uint32), "inout")
    ptx.parse(CARRIES).launch("run", 1, 1, [out], memory=memory)
    ones = 0xFFFFFFFF
    product = ones * ones
    low = (product % 2**32) + ones
    high = (product >> 32) + (low >> 32)
    assert out.array(np.uint32).tolist() == [0, 0, 6, ones, 6, 0, low % 2**32, high]


def test_variables_of_a_module_live_as_long_as_the_memory():
    source = """
    __device__ unsigned counter = 5;
    __constant__ float weights[3] = {0.5f, 1.5f, 2.5f};
    extern "C" __global__ void run(float* out) {
        out[threadIdx.x] = weights[threadIdx.x] + atomicAdd(&counter, 1u) * 0;
        if (threadIdx.x == 0) out[3] = *(volatile unsigned*)&counter;
    }
    """
    module, memory = ptx.parse(compiled(source)), ptx.Memory()
    out = memory.buffer("out", 16, "output")
    for launches in (1, 2):
        assert module.launch("run", 1, 3, [out], memory=memory).findings == []
        assert out.array(np.float32).tolist() == [0.5, 1.5, 2.5, 5 + 3 * launches]


def test_numba_kernels_run():
    from numba import cuda, types

    def add_one(out, given):
        place = cuda.grid(1)
        if place < out.size:
            out[place] = given[place] + 1

    array = types.Array(types.float64, 1, "C")
    text, _ = cuda.compile_ptx(add_one, (array, array), cc=(9, 0), device=False, lineinfo=True)
    memory = ptx.Memory()
    given = memory.buffer("given", np.arange(70.0))
    out = memory.buffer("out", 560, "output")

    def fields(buffer):
        numbers = [np.int64(n) for n in (0, 0, 70, 8)]
        return [*numbers, buffer, np.int64(70), np.int64(8)]

    module = ptx.parse(text)
    (kernel,) = module.kernels
    result = module.launch(kernel, 3, 32, [*fields(out), *fields(given)], memory=memory)
    assert result.findings == []
    np.testing.assert_array_equal(out.array(np.float64), np.arange(70.0) + 1)


TRITON = """//
// Generated by LLVM NVPTX Back-End
//
.version 8.4
.target sm_90a
.address_size 64
	// .globl	add_kernel
.extern .shared .align 16 .b8 global_smem[];
.visible .entry add_kernel(
	.param .u64 .ptr .global .align 1 add_kernel_param_0,
	.param .u64 .ptr .global .align 1 add_kernel_param_1,
	.param .u32 add_kernel_param_2
)
.reqntid 32, 1, 1
{
	.reg .pred 	%p<5>;
	.reg .b32 	%r<20>;
	.reg .f32 	%f<5>;
	.reg .b64 	%rd<8>;
	.loc	1 5 0
$L__func_begin0:
	ld.param.u64 	%rd4, [add_kernel_param_0];
	ld.param.u64 	%rd5, [add_kernel_param_1];
$L__tmp0:
	.loc	1 8 24
	// begin inline asm
	mov.u32 %r1, %ctaid.x;
	// end inline asm
	ld.param.u32 	%r13, [add_kernel_param_2];
	mov.u32 	%r14, %tid.x;
	shl.b32 	%r15, %r14, 1;
	shl.b32 	%r16, %r1, 6;
	or.b32  	%r17, %r16, %r15;
	setp.lt.s32 	%p1, %r17, %r13;
	mul.wide.s32 	%rd6, %r17, 4;
	add.s64 	%rd1, %rd4, %rd6;
	add.s64 	%rd2, %rd5, %rd6;
	// begin inline asm
	mov.u32 %r2, 0x0;
	mov.u32 %r3, 0x0;
	@%p1 ld.global.v2.b32 { %r2, %r3 }, [ %rd1 + 0 ];
	// end inline asm
	mov.b32 	%f1, %r2;
	mov.b32 	%f2, %r3;
	add.f32 	%f3, %f1, %f1;
	add.f32 	%f4, %f2, %f2;
	mov.b32 	%r7, %f3;
	mov.b32 	%r8, %f4;
	shl.b32 	%r18, %r14, 3;
	mov.u32 	%r19, global_smem;
	add.s32 	%r9, %r19, %r18;
	@%p1 st.shared.v2.b32 [ %r9 + 0 ], { %r7, %r8 };
	bar.sync 	0;
	@%p1 ld.shared.v2.b32 { %r10, %r11 }, [ %r9 + 0 ];
	// begin inline asm
	@%p1 st.global.v2.b32 [ %rd2 + 0 ], { %r10, %r11 };
	// end inline asm
	ret;
$L__tmp1:
$L__func_end0:
}
	.file	1 "/home/user/add.py"
	.section	.debug_abbrev
	{
.b8 1
.b8 17
	}
	.section	.debug_info
	{
.b32 100
.b64 $L__func_begin0
	}
	.section	.debug_macinfo	{	}
"""


def test_ptx_in_the_style_of_triton():
    memory = ptx.Memory()
    x = memory.buffer("x", np.arange(100, dtype=np.float32))
    y = memory.buffer("y", 400, "output")
    module = ptx.parse(TRITON)
    result = module.launch(
        "add_kernel", 2, 32, [x, y, np.int32(100)], memory=memory, shared_bytes=256
    )
    assert result.findings == []
    np.testing.assert_array_equal(y.array(np.float32), 2 * np.arange(100))
    result = module.launch(
        "add_kernel", 2, 32, [x, y, np.int32(102)], memory=memory, shared_bytes=256
    )
    assert {(each.kind, each.buffer) for each in result.findings} >= {
        ("out_of_bounds", "x"), ("out_of_bounds", "y"),
    }  # fmt: skip
    assert result.findings[0].file == "/home/user/add.py"


def test_variables_that_a_kernel_does_not_use_take_no_memory():
    many = "\n".join(f".global .align 4 .u32 unused_{number} = 7;" for number in range(3000))
    text = COUNTING.replace(".entry", f"{many}\n.entry")
    memory = ptx.Memory()
    out = memory.buffer("out", 16, "output")
    assert ptx.parse(text).launch("count", 1, 4, [out], memory=memory).findings == []
    assert out.array(np.uint32).tolist() == [6, 6, 5, 3]
