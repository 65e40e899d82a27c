from collections import Counter

import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_tf_idf import ExpandTfIdf
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model

POOL = [(2,), (3,), (5,), (4,), (5, 6), (7, 8), (6, 7), (3, 3)]
OUTPUTS = [0, 1, 2, 3, 5, 4, 6, 8]


def vectorizer(x, mode="TF", lengths=(1, 2), skips=2, weights=()):
    return node_model(
        "TfIdfVectorizer",
        {"x": x},
        opset=9,
        mode=mode,
        min_gram_length=lengths[0],
        max_gram_length=lengths[1],
        max_skip_count=skips,
        ngram_counts=[0, 4],
        ngram_indexes=OUTPUTS,
        pool_int64s=[token for gram in POOL for token in gram],
        **({"weights": list(weights)} if weights else {}),
    )


def counted(row, lengths, skips):
    """By walking over the row."""
    counts = Counter()
    for n in range(lengths[0], lengths[1] + 1):
        for step in range(1, skips + 2 if n > 1 else 2):
            for start in range(len(row) - (n - 1) * step):
                counts[tuple(row[start : start + (n - 1) * step + 1 : step])] += 1
    result = np.zeros(9)
    for gram, output in zip(POOL, OUTPUTS, strict=True):
        result[output] = counts[gram] if lengths[0] <= len(gram) <= lengths[1] else 0
    return result


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("lengths", [(1, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("skips", [0, 1, 3])
def test_counts_are_those_of_a_walk(dtype, lengths, skips):
    x = np.random.default_rng(3).integers(2, 9, (4, 12)).astype(dtype)
    (got,) = outputs_of(ExpandTfIdf, vectorizer(x, lengths=lengths, skips=skips), {"x": x})
    expected = [counted(row, lengths, skips) for row in x.tolist()]
    assert np.any(expected)
    np.testing.assert_array_equal(got, expected)


def test_weights_go_to_their_n_grams():
    x = np.array([3, 3, 5, 6, 7, 8, 8], np.int64)
    weights = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    counts = counted(x.tolist(), (1, 2), 2)
    spread = np.zeros(9)
    spread[OUTPUTS] = weights
    for mode, expected in [("IDF", (counts > 0) * spread), ("TFIDF", counts * spread)]:
        model = vectorizer(x, mode, weights=weights)
        np.testing.assert_array_equal(outputs_of(ExpandTfIdf, model, {"x": x})[0], expected)


def test_a_sequence_too_short_for_any_counts_nothing():
    x = np.array([[5], [6]], np.int64)
    (got,) = outputs_of(ExpandTfIdf, vectorizer(x, lengths=(2, 2)), {"x": x})
    np.testing.assert_array_equal(got, np.zeros((2, 9)))


def test_unknown_lengths_are_left():
    x = np.array([[5, 6]], np.int64)
    model = vectorizer(x)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "n"
    assert reason_against(ExpandTfIdf, model) == "the length of its sequences is unknown"
