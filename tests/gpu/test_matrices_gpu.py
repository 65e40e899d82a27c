"""Products on tensor cores: how far a GPU's sums are from the exact ones, and the PTX machine's."""

import numpy as np
import pytest

from tests.unit.ptx.matrix_cases import (
    SOURCE,
    SOURCE_TF32,
    float16_bits,
    words_of,
    words_of_tf32,
)
from tests.unit.ptx.run_case import run_words

pytestmark = pytest.mark.gpu

#: The documentation of pluginkit.ptx repeats it: relative to the largest term of a sum.
DOCUMENTED = 2.0**-20


def on_gpu(source, words):
    import cupy

    out = cupy.zeros(256, np.uint32)
    run = cupy.RawModule(code=source, options=("--std=c++17",)).get_function("run")
    run((1,), (64,), (out, cupy.asarray(words), np.int32(len(words))))
    return out.get()


def tf32(numbers):
    bits = np.ascontiguousarray(numbers.astype(np.float32)).view(np.uint32)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)


def float16_words(a, b, c):
    return words_of(a, b, c, float16_bits)


#: The kernel, how many columns a has, what rounds numbers to the type, and what packs them.
TYPES = {
    "f16": (
        SOURCE.replace("TYPE", "f16"),
        16,
        lambda numbers: numbers.astype(np.float16),
        float16_words,
    ),
    "tf32": (SOURCE_TF32, 8, tf32, words_of_tf32),
}


@pytest.mark.parametrize("reach", [0, 8], ids=["alike", "far apart"])
@pytest.mark.parametrize("kind", TYPES)
def test_sums_are_within_their_documented_error(kind, reach):
    source, inner, rounded, packed = TYPES[kind]
    rng = np.random.default_rng(reach)

    def drawn(*shape):
        return rng.normal(size=shape) * 2.0 ** rng.integers(-reach, reach + 1, shape)

    for _ in range(20):
        a, b = rounded(drawn(2, 16, inner)), rounded(drawn(2, inner, 8))
        c = drawn(2, 16, 8).astype(np.float32)
        words = packed(a, b, c)
        terms = a.astype(np.float64)[..., None] * b.astype(np.float64)[:, None]
        largest = np.maximum(np.abs(terms).max(axis=2), np.abs(c))
        for run in (on_gpu, lambda *given: run_words(given[0], 1, 64, given[1], 256)[0]):
            got = run(source, words).view(np.float32).reshape(c.shape)
            assert (np.abs(got - (terms.sum(axis=2) + c)) <= DOCUMENTED * largest).all()
