import numpy as np

from pluginkit.graph_rewrites.expand_affine_grid import ExpandAffineGrid
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import i64, node_model

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


def test_a_size_that_is_computed_is_left():
    model = node_model(
        "AffineGrid", {"theta": THETA, "size": i64(1, 1, 2, 3)}, ranks={"y": 4}, opset=20
    )
    assert reason_against(ExpandAffineGrid, model) == "its size is not stored in the model"
