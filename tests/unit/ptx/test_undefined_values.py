"""Variables without a first value: found where what follows from them is written."""

import numpy as np
import pytest

from tests.unit.ptx.run_case import run_words

WORDS = np.arange(64, dtype=np.uint32)

KERNEL = """
extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {
    __shared__ unsigned sums[32];
    int t = threadIdx.x;
    unsigned sum;
    BODY
}
"""
SUM = "for (int k = t; k < n; k += 32) sum += in[k];\n"
WRONG = {
    "stored": SUM + "out[t] = sum;",
    "after a shuffle": SUM + "sum += __shfl_xor_sync(~0u, sum, 1);\nout[t] = sum;",
    "through shared memory": SUM + "sums[t] = sum; __syncthreads();\nout[t] = sums[31 - t];",
    "added by an atomic": SUM + "atomicAdd(out + t, sum);",
    "in some threads": "if (t >= 8) sum = in[t];\nout[t] = sum;",
    "from an array": """unsigned parts[2];
        for (int k = t; k < n; k += 32) { parts[0] += in[k]; parts[1] ^= in[k]; }
        out[t] = parts[0] + parts[1];""",
}
RIGHT = {
    "set": f"sum = 0; {SUM} out[t] = sum;",
    "set where it is used": "if (t < n / 4) sum = in[t];\nsum *= 2;\nout[t] = t < n / 4 ? sum : 7;",
    "stored and not loaded": "if (t < n / 4) sum = in[t];\nsums[t] = sum + 1; __syncthreads();\n"
    "out[t] = t < n / 4 ? sums[t] : 7;",
    "beside a constant": "if (t < n / 4) sum = in[t];\n"
    "if (t < 16) reinterpret_cast<uint2*>(sums)[t] = {7, sum};\n"
    "__syncthreads(); out[t] = sums[t & ~1];",
    "written over": "if (t < 8) sum = in[t];\nsums[t] = sum; __syncwarp(); sums[t] = t;\n"
    "__syncwarp(); out[t] = sums[31 - t];",
}


def lines(body: str) -> str:
    return KERNEL.replace("BODY", body)


@pytest.mark.parametrize("name", WRONG)
def test_a_value_that_follows_from_nothing_is_reported_where_it_is_written(name) -> None:
    source = lines(WRONG[name])
    _, result = run_words(source, 1, 32, WORDS, 32)
    (finding,) = result.findings
    assert finding.kind == "uninitialised"
    assert "variable that nothing has set" in finding.message
    line = source.splitlines()[finding.line - 1]
    assert "out" in line, line
    assert finding.threads == (8 if name == "in some threads" else 32)
    if name != "in some threads":  # the store is the first to read it
        read = source.splitlines()[finding.other_line - 1]
        assert "sum +=" in read or "parts" in read


@pytest.mark.parametrize("name", RIGHT)
def test_what_nobody_uses_is_not_reported(name) -> None:
    _, result = run_words(lines(RIGHT[name]), 1, 32, WORDS, 32)
    assert result.findings == [], list(map(str, result.findings))


def test_an_unset_register_is_no_zero() -> None:
    out, _ = run_words(lines(WRONG["stored"]), 1, 32, WORDS, 32)
    assert not (out == WORDS[:32] + WORDS[32:]).any()
