import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_batch_statistics import ExpandBatchStatistics
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal

OUTPUTS = ("y", "running_mean", "running_variance")


def feeds_of(*shape):
    channels = shape[1]
    vectors = {name: normal(channels) for name in ("scale", "bias", "mean")}
    return {"x": normal(*shape) * 3 + 1, **vectors, "variance": np.abs(normal(channels))}


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 4, 5)])
def test_statistics_are_those_of_the_batch(shape):
    feeds = feeds_of(*shape)
    options = {"training_mode": 1, "momentum": 0.75, "epsilon": 1e-3}
    model = node_model("BatchNormalization", feeds, outputs=OUTPUTS, opset=15, **options)
    got = outputs_of(ExpandBatchStatistics, model, feeds)
    x = np.moveaxis(feeds["x"], 1, -1).astype(np.float64)
    mean, variance = (f(x.reshape(-1, 3), axis=0) for f in (np.mean, np.var))
    normalized = (x - mean) / np.sqrt(variance + 1e-3) * feeds["scale"] + feeds["bias"]
    expected = [
        np.moveaxis(normalized, -1, 1),
        feeds["mean"] * 0.75 + mean * 0.25,
        feeds["variance"] * 0.75 + variance * 0.25,
    ]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("opset", [9, 15])
def test_what_does_not_train_is_no_match(opset):
    model = node_model("BatchNormalization", feeds_of(2, 3, 4), opset=opset)
    result = rewrite_model(model, [ExpandBatchStatistics])
    assert result.model == model
    assert result.refused == []


def test_other_types_are_left():
    feeds = {name: array.astype(np.float64) for name, array in feeds_of(2, 3, 4).items()}
    model = node_model("BatchNormalization", feeds, outputs=OUTPUTS, opset=15, training_mode=1)
    assert reason_against(ExpandBatchStatistics, model) == (
        "'x' is float64; expected float32, float16 or bfloat16"
    )
