"""Parsing PTX: modules, scopes, operands, basic blocks."""

import pytest

from pluginkit import ptx
from pluginkit.errors import KernelError
from pluginkit.ptx.code.basic_blocks import END, basic_blocks
from pluginkit.ptx.code.inline import expand
from pluginkit.ptx.code.liveness import live_registers
from pluginkit.ptx.demangle import demangled
from pluginkit.ptx.text.operands import operands
from pluginkit.ptx.text.parse import ParsedModule
from pluginkit.ptx.text.syntax import (
    Address,
    Immediate,
    Negated,
    Pair,
    Register,
    SourceLocation,
    Symbol,
    UnparsedOperands,
    Vector,
)

MODULE = """//
.version 8.5
.target sm_90
.address_size 64
.global .align 4 .u32 plain = 7;
.global .align 8 .b8 text[6] = {104, 101, 108, 108, 111, 0};
.const .align 4 .f32 table[2][2] = {{0f3F800000, 0f40000000}, {1.5, 2}};
.global .align 8 .u64 pointer = generic(text)+2;
.extern .shared .align 16 .b8 dynamic[];
/* a comment { with } braces; */
.visible .entry first(.param .u64 p0, .param .align 8 .b8 p1[24], .param .f32 p2)
.maxntid 64, 1, 1
{
    .reg .pred %p<3>;
    .reg .b32 %r<5>;
    .loc 1 10 0
    mov.u32 %r1, %tid.x; // { not a brace
    { .reg .b32 %r1; .reg .pred q;
      .loc 1 12 3, function_name $L__info_string0, inlined_at 1 20 5
      mov.b32 %r1, 5; setp.eq.b32 q, %r1, %r2; @q bra L;
      mov.b32 %r1, 6;
    L: add.u32 %r3, %r1, %r2; }
    .loc 1 0 0
    .pragma "used_bytes_mask 15";
    ld.global.v4.u32 {%r1, %r2, %r3, %r4},
        [%r1+-16];
L: @!%p1 bra
    L;
    ret;
}
.func (.param .b32 result) helper(.param .b32 x)
{
    .reg .b32 %r<3>;
    ld.param.u32 %r1, [x];
    add.u32 %r2, %r1, 1;
    st.param.b32 [result+0], %r2;
    ret;
}
.visible .entry second()
{
    .reg .b32 %r<3>;
    { .param .b32 param0; st.param.b32 [param0+0], %r1; .param .b32 retval0;
      call.uni (retval0), helper, (param0);
      ld.param.b32 %r2, [retval0+0]; }
    { .param .b32 param0; st.param.b32 [param0+0], %r2; .param .b32 retval0;
      call.uni (retval0), helper, (param0);
      ld.param.b32 %r2, [retval0+0]; }
    ret;
}
    .file 1 "folder {x}/kernel.cu"
"""


def test_a_module_has_its_kernels_and_variables():
    module = ParsedModule(MODULE)
    assert module.kernels == ["first", "second"]
    assert module.files == {1: "folder {x}/kernel.cu"}
    sizes = {name: variable.nbytes for name, variable in module.variables.items()}
    assert sizes == {"plain": 4, "text": 6, "table": 16, "pointer": 8, "dynamic": 0}
    assert module.variables["table"].values[2:] == (Immediate("1.5"), Immediate("2"))
    assert module.variables["pointer"].values == (Symbol("text", 2),)
    first = module.function("first")
    assert [parameter.nbytes for parameter in first.parameters] == [8, 24, 4]
    assert module.function("third") is None


def test_inner_scopes_hide_outer_names():
    function = ParsedModule(MODULE).function("first")
    inner = function.code[1].operands[0]
    assert inner != Register("%r1")
    assert function.registers[inner.name] == "b32"
    assert function.code[2].operands == (Register("q#1"), inner, Register("%r2"))
    assert function.code[3].operands == (Symbol("L#1"),)
    assert function.labels == {"L#1": 5, "L": 7}
    assert function.code[7].operands == (Symbol("L"),)
    assert function.code[7].guard == Negated(Register("%p1"))


def test_a_declaration_hides_an_outer_name_from_then_on():
    body = ".reg .b32 %r<3>; { add.s32 %r1, %r1, %r2; .reg .b32 %r<2>; add.s32 %r1, %r1, %r2; }"
    module = ParsedModule(f".version 8.5\n.visible .entry f()\n{{ {body} ret; }}")
    outer, inner, other = Register("%r1"), Register("%r1#1"), Register("%r2")
    code = module.function("f").code
    assert [one.operands for one in code] == [(outer, outer, other), (inner, inner, other), ()]


def test_instructions_know_their_lines():
    code = ParsedModule(MODULE).function("first").code
    assert code[0].location == SourceLocation(1, 10)
    assert code[1].location == SourceLocation(1, 12, SourceLocation(1, 20))
    assert code[6].location == code[5].location  # line 0 is no line
    assert (code[6].used_bytes, code[5].used_bytes, code[7].used_bytes) == (15, None, None)
    assert code[6].text == "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%r1+-16]"


def test_each_call_is_inlined():
    module = ParsedModule(MODULE)
    whole = expand(module, module.function("second"))
    assert [each.opcode for each in whole.code] == [
        *("st", "ld", "add", "st", "bra", "ld") * 2, "ret",
    ]  # fmt: skip
    names = [each.operands[0].base.name for each in whole.code if each.opcode == "st"]
    assert len(set(names)) == 4
    assert whole.code[4].operands == (Symbol("return@1"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%r1, 0x1F, -5", (Register("%r1"), Immediate("0x1F"), Immediate("-5"))),
        ("%f1, 0f3F800000", (Register("%f1"), Immediate("0f3F800000"))),
        ("[%rd1+-4]", (Address(Register("%rd1"), -4),)),
        ("[ %rd1 + 8 ]", (Address(Register("%rd1"), 8),)),
        ("[table+12]", (Address(Symbol("table"), 12),)),
        ("[64]", (Address(None, 64),)),
        ("{%r1, %r2}", (Vector((Register("%r1"), Register("%r2"))),)),
        ("%r1|%p1, !%p2", (Pair(Register("%r1"), Register("%p1")), Negated(Register("%p2")))),
        ("%tid.x, table+4", (Register("%tid.x"), Symbol("table", 4))),
        ("generic(text)+2", (Symbol("text", 2),)),
        ("[p, {%r1}]", (UnparsedOperands("[p, {%r1}]"),)),
        ("{%r1, %r2", (UnparsedOperands("{%r1, %r2"),)),
        ("_, %r1", (Register("_"), Register("%r1"))),
        ("", ()),
    ],
)
def test_operands(text, expected):
    assert operands(text) == expected


@pytest.mark.parametrize(
    "text",
    ["no PTX", ".version 8.5\n.entry k() { .reg .b32 %r<3>;"],
)
def test_other_text_than_ptx_is_refused(text):
    with pytest.raises(KernelError) as refused:
        ptx.parse(text)
    assert refused.value.code == "PK350"


def test_a_body_that_cannot_be_read_is_refused():
    text = ".version 8.5\n.entry k() { .reg .b32 %r<3>; 5 + 7; ret; }"
    with pytest.raises(KernelError, match="'5 \\+ 7' cannot be read") as refused:
        ptx.parse(text).launch("k", 1, 1, [], memory=ptx.Memory())
    assert refused.value.code == "PK350"


UNKNOWN = """.version 8.5
.target sm_90
.entry k(.param .u64 p)
{
    .reg .b32 %r<3>;
    .reg .b64 %rd<3>;
    .loc 2 41 7
    mov.u32 %r1, 1;
    INSTRUCTION
    ret;
}
.file 2 "some.cu"
"""


@pytest.mark.parametrize(
    "instruction",
    [
        "wgmma.fence.sync.aligned;",
        "add.sat.u64 %rd1, %rd1, %rd2, %rd2;",
        "tex.1d.v4.f32.s32 {%r1,%r1,%r1,%r1}, [p, {%r1}];",
        "mov.u32 %r2, %unknown_register;",
        "cvt.rn.satfinite.tf32.f32 %r2, %r1;",
        "add.rn.oob.f32 %r2, %r1, %r1;",
        "mov.u64 %rd1, no_symbol;",
        "call.uni outside, ();",
        "cp.reduce.async.bulk.commit_group;",
    ],
)
def test_an_unsupported_instruction_is_named_with_its_line(instruction):
    module = ptx.parse(UNKNOWN.replace("INSTRUCTION", instruction))
    with pytest.raises(ptx.PtxUnsupported) as unsupported:
        module.launch("k", 1, 1, [bytes(8)], memory=ptx.Memory())
    error = unsupported.value
    assert error.code == "PK351"
    assert isinstance(error, KernelError)
    assert "some.cu:41" in error.where
    assert instruction.rstrip(";").split()[0].split(".")[0] in error.where
    assert "kernel 'k' needs" in error.message


def test_unsupported_code_that_does_not_run_is_allowed():
    text = UNKNOWN.replace("INSTRUCTION", "bra end; wgmma.fence.sync.aligned; end:")
    result = ptx.parse(text).launch("k", 1, 1, [bytes(8)], memory=ptx.Memory())
    assert result.findings == []


LOOPS = """.version 8.5
.entry k()
{
    .reg .pred %p<9>;
    .reg .b32 %r<9>;
    mov.u32 %r1, 0;
    bra head;
after: add.u32 %r7, %r6, %r1;
    ret;
head: add.u32 %r2, %r1, 1;
    setp.gt.u32 %p1, %r2, 5;
    @%p1 bra after;
inner: add.u32 %r3, %r2, 1;
    setp.gt.u32 %p2, %r3, 9;
    @%p2 bra inner;
    mov.u32 %r1, %r2;
    bra head;
}
"""


def test_blocks_of_a_loop_are_adjacent_and_before_later_ones():
    module = ParsedModule(LOOPS)
    blocks = basic_blocks(expand(module, module.function("k")))
    firsts = [block.instructions[0].operands[0].name for block in blocks if block.instructions]
    assert firsts == ["%r1", "%r2", "%r3", "%r1", "%r7"]
    assert [block.loop is not None for block in blocks] == [False, True, True, True, False]
    assert blocks[-1].successors == (END,)


def test_registers_that_later_blocks_read_are_live():
    module = ParsedModule(LOOPS)
    blocks = basic_blocks(expand(module, module.function("k")))
    live = live_registers(blocks)
    assert live.before(0) == {"%r6"}
    assert live.before(1) == {"%r1", "%r6"}
    assert live.before(4) == {"%r1", "%r6"}


def test_a_guarded_instruction_reads_what_it_writes():
    code = ParsedModule(
        ".version 8.5\n.entry k() { .reg .b32 %r<3>; .reg .pred %p<2>;"
        "@%p1 add.u32 %r1, %r2, 1; st.global.u32 [%r1], %r2; }"
    ).function("k").code  # fmt: skip
    assert code[0].registers.read == {"%p1", "%r1", "%r2"}
    assert code[0].registers.written == {"%r1"}
    assert code[1].registers.written == set()


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("run", "run"),
        ("_Z8reversedPfPKfi", "reversed"),
        ("__local_depot0", "a local array"),
        ("_cudapy_smem_3", "a shared array"),
        ("_ZZ8reversedPfPKfiE4tile", "tile"),
        ("_ZZ5top_kIfLb1EEvE9histogram_0", "histogram"),
        ("_ZZN4test6kernelEvE4memo", "memo"),
        ("_ZN13numba_kernels5twiceB2v1B1xE5Array", "twice"),
        ("global_smem", "global_smem"),
    ],
)
def test_symbols_are_demangled(symbol, name):
    assert demangled(symbol) == name
