"""Asynchronous copies as authors write them, right and with a mistake."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pluginkit import ptx
from tests.unit.ptx.run_case import compiled
from tests.unit.ptx.test_authors_kernels import options

SOURCE = Path(__file__).parent / "authors" / "asynchronous.cu"
IN = np.random.default_rng(7).integers(0, 1 << 20, 1024).astype(np.uint32)

pytestmark = pytest.mark.slow  # the headers take NVRTC seconds


@cache
def module(change: tuple[str, str] | None = None) -> ptx.PtxModule:
    source = SOURCE.read_text()
    if change is not None:
        assert source.count(change[0]) == 1
        source = source.replace(*change)
    return ptx.parse(compiled(source, options()))


def run(kernel, change=None, *, seed=None):
    memory = ptx.Memory()
    given = memory.buffer("in", IN)
    out = memory.buffer("out", np.zeros(128, np.uint32), "inout")
    block = 256 if kernel == "by_barriers" else 128
    result = module(change).launch(
        kernel, 1, block, [out, given, np.int32(len(IN))], memory=memory, seed=seed
    )
    return out.array(np.uint32), list(map(str, result.findings))


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize(
    "kernel",
    ["by_pipeline", "by_barriers", "by_bulk_copies", "by_groups", "by_groups_of_two_warps"],
)
def test_tiles_come_by_asynchronous_copies(kernel, seed):
    words, findings = run(kernel, seed=seed)
    assert findings == []
    assert words.tolist() == IN.reshape(8, 128)[:, ::-1].sum(0).tolist()


def test_a_pipeline_without_a_wait():
    _, findings = run("by_pipeline", ("        pipeline.consumer_wait();\n", ""))
    assert "race at" in findings[0]
    assert "nothing has waited for that copy" in findings[0]


def test_a_pipeline_without_a_release():
    _, findings = run("by_pipeline", ("        pipeline.consumer_release();\n", ""))
    assert "never completes: 0 of 128 arrivals came" in findings[0]
