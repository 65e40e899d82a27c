import numpy as np
import pytest

from pluginkit.graph_rewrites.spread_sizes import SpreadSizes
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against, rewritten
from tests.graph_rewrites.samples import f32, i64, node_model, normal


def resize_model(x, dims, *, scales=None, sizes=None, **attributes):
    inputs = {"x": x, "roi": None, "scales": scales, "sizes": sizes}
    while inputs[[*inputs][-1]] is None:
        inputs.popitem()
    stored = [name for name in ("scales", "sizes") if inputs.get(name) is not None]
    options = {"dims": {"x": dims}, "ranks": {"y": x.ndim}, **attributes}
    return node_model("Resize", inputs, stored=stored, opset=19, **options)


@pytest.mark.parametrize(("axes", "sizes"), [([2, 3], [9, 5]), ([-1, 1], [5, 6]), ([3], [2])])
def test_the_other_axes_keep_their_sizes(axes, sizes):
    x = normal(2, 3, 4, 7)
    model = resize_model(x, ["n", 3, 4, "w"], sizes=i64(*sizes).reshape(-1), axes=axes)
    (got,) = outputs_of(SpreadSizes, model, {"x": x})
    np.testing.assert_array_equal(got, run_onnxruntime(model, {"x": x})["y"])
    resize = rewritten(SpreadSizes, model).graph.node[-1]
    assert not any(attribute.name == "axes" for attribute in resize.attribute)


@pytest.mark.parametrize(
    ("dims", "options", "reason"),
    [
        (["n", 3, 4, 4], {"scales": f32(2, 2), "axes": [2, 3]}, "it has no axes with sizes"),
        ([1, 3, 4, 4], {"sizes": i64(8, 8), "axes": [2, 3]}, "no axis is dynamic"),
        (
            ["n", 3, 4, 4],
            {"sizes": i64(8, 9), "axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
            "it keeps the ratio",
        ),
        (
            ["n", 3, 4, 4],
            {
                "sizes": i64(8, 9),
                "axes": [2, 3],
                "coordinate_transformation_mode": "tf_crop_and_resize",
            },
            "its region has borders of the same axes",
        ),
    ],
)
def test_what_it_need_not_do_is_left(dims, options, reason):
    assert reason in reason_against(SpreadSizes, resize_model(normal(1, 3, 4, 4), dims, **options))
