"""Machine code of several kernels, compiled together and kept on disk."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from pluginkit.errors import KernelError
from pluginkit.kernels import machine_code as module
from pluginkit.kernels.machine_code import begin, machine_code, newest_known
from pluginkit.kernels.specialise import CudaSpecialisation

CODE = """
template <int N> __global__ void add(int* x) { static_assert(N < 9); *x += N; }
__global__ void copy(long long* x, int n) { x[0] = n; }
"""


def kernel(expression, code=CODE):
    return CudaSpecialisation(code, expression, (), None)


def test_kernels_of_a_source_are_one_program_and_are_kept(compiles):
    wanted = [kernel("add<1>"), kernel("copy"), kernel("copy", CODE + "// other")]
    made = machine_code(wanted, "90")
    assert sorted(compiles) == [["add<1>", "copy"], ["copy"]]
    assert [made[one].parameter_sizes for one in wanted] == [((8,),), ((8, 4),), ((8, 4),)]
    assert made[wanted[0]].cubin == made[wanted[1]].cubin
    compiles.clear()
    assert machine_code(wanted[1::-1], "90") == {one: made[one] for one in wanted[:2]}
    assert compiles == []
    machine_code([wanted[0], kernel("add<2>")], "90")
    machine_code(wanted[:1], "80")
    machine_code([replace(wanted[0], options=("-DX",))], "90")
    assert compiles == [["add<2>"], ["add<1>"], ["add<1>"]]


def test_the_kernel_at_fault_is_named(compiles):
    with pytest.raises(KernelError, match=r"PK320 kernel 'add<9>' does not compile for sm_90"):
        machine_code([kernel("add<1>"), kernel("add<9>")], "90")
    machine_code([kernel("add<1>")], "90")
    assert compiles == [["add<1>", "add<9>"], ["add<1>"], ["add<9>"]]  # and the other one is kept


def test_spare_processors_share_the_kernels_of_a_source(compiles, monkeypatch):
    monkeypatch.setattr(module, "_processors", lambda: 4)
    names = [f"add<{n}>" for n in range(1, 6)]
    made = machine_code([kernel("copy", CODE + "// other"), *map(kernel, names)], "90")
    assert len(made) == 6
    assert sorted(compiles) == [names[:3], names[3:], ["copy"]]


def test_what_has_begun_is_waited_for(compiles):
    begin([kernel("add<1>"), kernel("copy")], "90")
    begin([kernel("copy"), kernel("add<2>")], "90")
    for name in ("copy", "add<1>", "add<2>"):
        assert machine_code([kernel(name)], "90")[kernel(name)].cubin
    assert sorted(compiles) == [["add<1>", "copy"], ["add<2>"]]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_compiles_by_itself(compiles):
    machine_code([kernel("copy")], "90")  # makes the threads, which a fork does not have
    child = os.fork()
    if child == 0:
        os._exit(0 if machine_code([kernel("add<2>")], "90") else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_kernel_that_failed_early_fails_where_it_is_asked_for(compiles):
    begin([kernel("add<1>"), kernel("add<9>")], "90")
    assert machine_code([kernel("add<1>")], "90")
    with pytest.raises(KernelError, match="PK320 kernel 'add<9>' does not compile"):
        machine_code([kernel("add<9>")], "90")


def test_a_gpu_newer_than_the_compiler_gets_ptx(compiles):
    assert newest_known("90") == "90"
    newest = newest_known("999")
    assert int(newest) >= 120
    (code,) = machine_code([kernel("copy")], "999").values()
    assert f".target sm_{newest}".encode() in code.cubin
