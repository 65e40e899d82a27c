import numpy as np
import pytest

from pluginkit.graph_rewrites.drop_dropout import DropDropout
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import f32, node_model, normal


def model_of(x, ratio=0.0, trains=True, stored=("ratio", "trains"), **options):
    inputs = {"x": x, "ratio": f32(ratio), "trains": np.array(trains)}
    return node_model("Dropout", inputs, stored=stored, **options)


@pytest.mark.parametrize("outputs", [("y",), ("y", "mask")])
def test_what_drops_nothing_goes_away(outputs):
    x = normal(3, 4)
    got = outputs_of(DropDropout, model_of(x, outputs=outputs), {"x": x})
    np.testing.assert_array_equal(got[0], x)
    assert len(got) == len(outputs)
    assert all(mask.all() and mask.shape == x.shape and mask.dtype == bool for mask in got[1:])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"trains": False}, "TensorRT takes it: it does not train"),
        ({"ratio": 0.5}, "its ratio is not zero, or not stored in the model"),
        ({"stored": ("trains",)}, "its ratio is not zero, or not stored in the model"),
    ],
)
def test_what_it_cannot_or_need_not_do_is_left(options, reason):
    assert reason_against(DropDropout, model_of(normal(3), **options)).startswith(reason)


def test_a_node_without_a_ratio_is_left():
    model = node_model("Dropout", {"x": normal(3)}, opset=13)
    assert "it does not train" in reason_against(DropDropout, model)
