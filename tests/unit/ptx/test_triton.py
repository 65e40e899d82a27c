"""PTX that Triton compiles: see triton/compile_kernels.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pluginkit import ptx

FOLDER = Path(__file__).parent / "triton"
ROWS = np.random.default_rng(3).standard_normal((5, 100)).astype(np.float32)
THREADS = 128  # 4 warps


def run(kernel, grid, y, inputs, scalars=(), shared_bytes=0, y_bytes=None):
    """Return the output and the findings; Triton appends pointers to scratch memory."""
    module = ptx.parse((FOLDER / f"{kernel}.ptx").read_text())
    memory = ptx.Memory()
    out = memory.buffer("y", y, "inout")
    given = [memory.buffer(f"x{i}", array) for i, array in enumerate(inputs)]
    args = [out, *given, *scalars]
    args += [np.uint64(0)] * (len(module.parameter_sizes(kernel)) - len(args))
    result = module.launch(kernel, grid, THREADS, args, memory=memory, shared_bytes=shared_bytes)
    return out.array(y.dtype).reshape(y.shape), result.findings


def test_a_softmax():
    got, findings = run("softmax", 5, np.zeros_like(ROWS), [ROWS], [np.int32(100)], 16)
    power = np.exp(ROWS - ROWS.max(1, keepdims=True))
    assert not findings
    np.testing.assert_allclose(got, power / power.sum(1, keepdims=True), 1e-5)


def test_a_histogram():
    values = np.random.default_rng(3).integers(0, 16, 1000).astype(np.int32)
    got, findings = run("histogram", 4, np.zeros(16, np.int32), [values], [np.int32(1000)])
    assert not findings
    assert got.tolist() == np.bincount(values, minlength=16).tolist()


def test_a_running_sum():
    got, findings = run("running_sum", 5, np.zeros_like(ROWS), [ROWS], [np.int32(100)], 32)
    assert not findings
    np.testing.assert_allclose(got, ROWS.cumsum(1), 1e-4, 1e-4)


def test_a_sort():
    got, findings = run("ordered", 5, np.zeros_like(ROWS), [ROWS], [np.int32(100)], 512)
    assert not findings
    np.testing.assert_array_equal(got, np.sort(ROWS, 1))


def test_a_row_too_many_is_found_at_the_authors_line():
    _, findings = run("softmax", 6, np.zeros_like(ROWS), [ROWS], [np.int32(100)], 16)
    lines = (FOLDER / "kernels.py").read_text().splitlines()
    assert {finding.kind for finding in findings} == {"out_of_bounds"}
    assert {Path(str(finding.file)).name for finding in findings} == {"kernels.py"}
    assert "tl.load(x + row" in lines[findings[0].line - 1]


def test_a_product_on_tensor_cores():
    a, b = np.random.default_rng(3).standard_normal((2, 16, 16)).astype(np.float16)
    got, findings = run("product", 1, np.zeros((16, 16), np.float32), [a, b], (), 1024)
    assert not findings
    np.testing.assert_allclose(got, a.astype(np.float64) @ b.astype(np.float64), 1e-6, 1e-6)
