import pytest

from pluginkit.onnx.inference.dimension_names import names_in, range_of, range_of_factor

KNOWN = {"n": (1, 4, 8), "m": (2, 3, 5), "_k": (1, 1, 1)}


@pytest.mark.parametrize(
    ("dimension", "names", "extent"),
    [
        ("2*n", {"n"}, (2, 8, 16)),
        ("n * 2", {"n"}, (2, 8, 16)),
        ("n*m", {"n", "m"}, (2, 12, 40)),
        ("n + m", {"n", "m"}, (3, 7, 13)),
        ("n - 1", {"n"}, (0, 3, 7)),
        ("2*(n + m) - 3", {"n", "m"}, (3, 11, 23)),
        ("n//2", {"n"}, (0, 2, 4)),
        (" 3*_k ", {"_k"}, (3, 3, 3)),
        ("n*unknown", {"n", "unknown"}, None),
        ("n//0", {"n"}, None),
        ("n - 5", {"n"}, None),
        ("0-n", set(), None),
        ("n", set(), None),
        ("batch size", set(), None),
        ("sequence-length", set(), None),
        ("n**2", set(), None),
        ("2.5*n", set(), None),
        ("f(n)*2", set(), None),
        ("größe", set(), None),
        ("", set(), None),
        ("?", set(), None),
    ],
)
def test_expressions_have_the_ranges_of_their_names(dimension, names, extent):
    assert names_in(dimension) == names
    assert range_of(dimension, KNOWN) == extent


@pytest.mark.parametrize(
    ("dimension", "extent", "factor"),
    [
        ("2*n", (2, 8, 16), ("n", (1, 4, 8))),
        ("n*3", (3, 3, 9), ("n", (1, 1, 3))),
        ("2*n", (2, 7, 16), None),
        ("0*n", (0, 0, 0), None),
        ("n + 2", (3, 4, 5), None),
        ("n*m", (2, 4, 8), None),
        ("n", (2, 4, 8), None),
    ],
)
def test_a_products_range_gives_that_of_its_factor(dimension, extent, factor):
    assert range_of_factor(dimension, extent) == factor
