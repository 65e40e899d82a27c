import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_affine_grid import ExpandAffineGrid
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run
from tests.graph_rewrites.samples import i64, node_model, normal

THETA = np.array([[[1, 0, 0.5], [0, 2, 0]]], np.float32)


def test_the_grid_goes_from_corner_to_corner_or_from_pixel_to_pixel():
    feeds = {"theta": THETA, "size": i64(1, 1, 2, 3)}
    corners = node_model("AffineGrid", feeds, stored=["size"], opset=20, align_corners=1)
    (got,) = outputs_of(ExpandAffineGrid, corners, {"theta": THETA})
    xs, ys = [-0.5, 0.5, 1.5], [-2.0, 2.0]
    np.testing.assert_allclose(got[0], [[(x, y) for x in xs] for y in ys])
    pixels = node_model("AffineGrid", feeds, stored=["size"], opset=20)
    (got,) = outputs_of(ExpandAffineGrid, pixels, {"theta": THETA})
    xs, ys = [-2 / 3 + 0.5, 0.5, 2 / 3 + 0.5], [-1.0, 1.0]
    np.testing.assert_allclose(got[0], [[(x, y) for x in xs] for y in ys], rtol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "corners"), [((4, 7), 0), ((4, 7), 1), ((1, 3), 0), ((3, 2, 5), 1), ((3, 1, 5), 0)]
)
def test_a_size_that_is_computed(sizes, corners):
    count = len(sizes)
    theta = normal(2, count, count + 1)
    feeds = {"theta": theta, "size": i64(2, 1, *sizes)}
    model = node_model("AffineGrid", feeds, ranks={"y": count + 2}, opset=20, align_corners=corners)
    (got,) = outputs_of(ExpandAffineGrid, model, feeds)
    (expected,) = run(model, feeds)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    stored = node_model("AffineGrid", feeds, stored=["size"], opset=20, align_corners=corners)
    (got,) = outputs_of(ExpandAffineGrid, stored, {"theta": theta})
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_the_only_position_is_pytorchs():
    """ONNX Runtime has 1, and onnx's reference -1."""
    feeds = {"theta": THETA, "size": i64(1, 1, 1, 3)}
    for stored in ([], ["size"]):
        options = {"stored": stored, "ranks": {"y": 4}, "opset": 20, "align_corners": 1}
        model = node_model("AffineGrid", feeds, **options)
        given = {name: each for name, each in feeds.items() if name not in stored}
        (got,) = outputs_of(ExpandAffineGrid, model, given)
        np.testing.assert_allclose(got[0, 0], [(x, 0) for x in (-0.5, 0.5, 1.5)], atol=1e-6)


def test_a_size_of_unknown_length_is_left():
    feeds = {"theta": THETA, "size": i64(1, 1, 2, 3)}
    model = node_model("AffineGrid", feeds, ranks={"y": 4}, opset=20, dims={"size": (None,)})
    reason = "the number of its dimensions is not known"
    assert reason_against(ExpandAffineGrid, model) == reason
