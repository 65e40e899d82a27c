"""Launches that may begin before earlier ones have ended, and what they have to wait for."""

import numpy as np
import pytest

from pluginkit import ptx
from tests.unit.ptx.run_case import compiled

WAIT = 'asm volatile("griddepcontrol.wait;" ::: "memory");'
LET_NEXT_BEGIN = 'asm volatile("griddepcontrol.launch_dependents;");'
COUNT = 64


def findings(*kernels, overlaps=True):
    """Run kernels on buffers a, b and c in turn, of which all but the first may overlap."""
    memory = ptx.Memory()
    buffers = [memory.buffer(name, np.arange(COUNT, dtype=np.int32), "inout") for name in "abc"]
    found = []
    for number, (parameters, body) in enumerate(kernels):
        source = f'extern "C" __global__ void run({parameters}) {{ int i = threadIdx.x; {body} }}'
        found += ptx.parse(compiled(source)).launch(
            "run", 2, COUNT, buffers, memory=memory, overlaps=overlaps and number > 0
        ).findings  # fmt: skip
    return found


PLAIN = "int* a, int* b, int* c"
WRITES_A = (PLAIN, "a[i] = 3;")
READS_B = (PLAIN, "a[i] = b[i] + 1;")

EARLY = {
    "a read": (WRITES_A, (PLAIN, f"int v = a[63 - i]; {WAIT} c[i] = v;")),
    "a read of some bytes": (WRITES_A, (PLAIN, f"int v = ((char*)a)[3 * i]; {WAIT} c[i] = v;")),
    "a vector": (WRITES_A, (PLAIN, f"int4 v = ((int4*)a)[i / 4]; {WAIT} c[i] = v.x + v.w;")),
    "a write": (READS_B, (PLAIN, f"b[i] = 5; {WAIT}")),
    "an atomic": (WRITES_A, (PLAIN, f"atomicAdd(a + i, 1); {WAIT}")),
    "no wait": (WRITES_A, (PLAIN, "c[i] = a[i];")),
    "the wait of another warp": (
        WRITES_A,
        (PLAIN, f"if (i < 32) {{ {WAIT} }} c[i] = a[i];"),
    ),
    "the launch before the last": (
        WRITES_A, (PLAIN, f"{LET_NEXT_BEGIN} {WAIT}"), (PLAIN, f"c[i] = a[i]; {WAIT}"),
    ),
    "a load that the compiler may move": (
        WRITES_A, ("const int* __restrict__ a, int* b, int* c", f"{WAIT} c[i] = __ldg(a + i);"),
    ),
}  # fmt: skip

SOUND = {
    "a read": (WRITES_A, (PLAIN, f"{WAIT} c[i] = a[63 - i];")),
    "a write": (READS_B, (PLAIN, f"{WAIT} b[i] = 5;")),
    "an early read of what is only read": (READS_B, (PLAIN, f"int v = b[i]; {WAIT} c[i] = v;")),
    "other bytes": (
        (PLAIN, "if (i < 32) a[i] = 3;"),
        (PLAIN, f"int v = i < 32 ? 0 : a[i]; {WAIT} c[i] = v;"),
    ),
    "one thread waits for its block": (
        WRITES_A, (PLAIN, f"if (i == 0) {{ {WAIT} }} __syncthreads(); c[i] = a[i];"),
    ),
    "the launch before the last, which the last one waited for": (
        WRITES_A, (PLAIN, f"{WAIT} {LET_NEXT_BEGIN}"), (PLAIN, f"c[i] = a[i]; {WAIT}"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EARLY)
def test_an_access_before_the_wait_is_a_race(case):
    found = findings(*EARLY[case])
    assert {one.kind for one in found} == {"race"}
    assert all("griddepcontrol.wait" in one.message and one.line for one in found)
    buffer = "b" if case == "a write" else "a"
    assert {one.buffer for one in found} == {buffer}


@pytest.mark.parametrize("case", EARLY)
def test_a_launch_that_does_not_overlap_waits_for_all(case):
    assert findings(*EARLY[case], overlaps=False) == []


@pytest.mark.parametrize("case", SOUND)
def test_an_access_after_the_wait_is_sound(case):
    assert [str(one) for one in findings(*SOUND[case])] == []
