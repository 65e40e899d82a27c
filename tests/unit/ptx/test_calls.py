"""Calls through pointers, virtual functions and recursion, which are inlined."""

import numpy as np
import pytest

from pluginkit.errors import KernelError
from pluginkit.ptx.code import inline
from tests.unit.ptx.run_case import run_words

WORDS = np.arange(96, dtype=np.uint32)

POINTERS = """
typedef unsigned (*F)(unsigned);
__device__ __noinline__ unsigned more(unsigned v) { return v + 1; }
__device__ __noinline__ unsigned twice(unsigned v) { return v * 2; }
__device__ F chosen[2] = {more, twice};
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    int i = threadIdx.x;
    out[i] = chosen[in[i] % 2](in[i]);
}
"""

VIRTUAL = """
struct Shape { __device__ virtual unsigned of(unsigned v) const = 0; };
struct Square : Shape { __device__ unsigned of(unsigned v) const override { return v * v; } };
struct Plus : Shape {
    unsigned by;
    __device__ Plus(unsigned b) : by(b) {}
    __device__ unsigned of(unsigned v) const override { return v + by; }
};
__device__ __noinline__ unsigned of(const Shape& shape, unsigned v) { return shape.of(v); }
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    Square square;
    Plus plus(7);
    int i = threadIdx.x;
    out[i] = of(i % 2 ? (const Shape&)square : (const Shape&)plus, in[i]);
}
"""

RECURSIVE = """
__device__ __noinline__ unsigned fibonacci(unsigned n) {
    unsigned kept[2] = {n, n};
    if (n < 2) return kept[n & 1];
    return fibonacci(n - 1) + fibonacci(n - 2) + kept[n % 2] - n;
}
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    out[threadIdx.x] = fibonacci(in[threadIdx.x] % DEPTH);
}
"""

UNKNOWN = """
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    out[0] = ((unsigned (*)(unsigned))(size_t)in[n - 1])(1u);
}
"""


def test_a_table_of_functions() -> None:
    words, result = run_words(POINTERS, 1, 96, WORDS, 96)
    assert result.findings == []
    assert words.tolist() == np.where(WORDS % 2, WORDS * 2, WORDS + 1).tolist()


def test_virtual_functions() -> None:
    words, result = run_words(VIRTUAL, 1, 96, WORDS, 96)
    assert result.findings == []
    assert words.tolist() == np.where(WORDS % 2, WORDS**2, WORDS + 7).tolist()


def test_a_mistake_in_a_function_called_through_a_pointer_has_its_line() -> None:
    source = POINTERS.replace("return v + 1;", "return v / (v - 4);")
    _, result = run_words(source, 1, 96, WORDS, 96)
    (finding,) = result.findings
    assert (finding.kind, finding.line, finding.threads) == ("division", 3, 1)


@pytest.mark.slow
def test_recursion() -> None:
    words, result = run_words(RECURSIVE.replace("DEPTH", "8"), 1, 96, WORDS, 96)
    assert result.findings == []
    assert words.tolist() == [(0, 1, 1, 2, 3, 5, 8, 13)[word % 8] for word in WORDS]


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        (RECURSIVE.replace("DEPTH", "9"), "a deeper recursion of 'fibonacci'"),
        (UNKNOWN, "a call through a pointer to an unknown function"),
    ],
)
def test_what_cannot_be_inlined_is_not_run_and_says_where(source, needs, monkeypatch) -> None:
    monkeypatch.setattr(inline, "_COPIES", 64)  # of a function that calls itself twice: 6 deep
    with pytest.raises(KernelError, match="PK351") as caught:
        run_words(source, 1, 96, WORDS, 96)
    assert needs in str(caught.value)
    assert "case.cu:" in str(caught.value)
