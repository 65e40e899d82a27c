"""MelWeightMatrix of stored numbers is the matrix of ONNX Runtime."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.store_mel_weights import StoreMelWeights
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run
from tests.graph_rewrites.samples import node_model

NUMBERS = {"mels": 8, "length": 16, "rate": 8192, "low": 0.0, "high": 4096.0}


def mel_model(*, stored=tuple(NUMBERS), output_datatype=onnx.TensorProto.FLOAT, **numbers):
    inputs = {
        name: np.array(number, np.int64 if name in ("mels", "length", "rate") else np.float32)
        for name, number in (NUMBERS | numbers).items()
    }
    return node_model(
        "MelWeightMatrix",
        inputs,
        stored=stored,
        output_datatype=output_datatype,
    )


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"mels": 40, "length": 400, "rate": 16000, "low": 20.0, "high": 7600.0},
        {"mels": 80, "length": 33, "rate": 22050, "high": 8000.0},  # several bands in one row
        {"mels": 1, "length": 1023, "low": 300.5, "high": 3000.25},
    ],
)
def test_the_matrix_is_that_of_onnx_runtime(numbers):
    model = mel_model(**numbers)
    (got,) = outputs_of(StoreMelWeights, model, {})
    np.testing.assert_array_equal(got, run(model, {})[0])


def test_other_types_are_cast():
    (got,) = outputs_of(StoreMelWeights, mel_model(output_datatype=onnx.TensorProto.FLOAT16), {})
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, run(mel_model(), {})[0].astype(np.float16))


def test_what_is_left():
    reason = reason_against(StoreMelWeights, mel_model(stored=("mels", "length", "rate", "low")))
    assert reason.startswith("an input is not stored in the model")
    reason = reason_against(StoreMelWeights, mel_model(high=5000.0))
    assert reason.endswith("its frequencies are not below half the rate")
    reason = reason_against(StoreMelWeights, mel_model(mels=2**22))
    assert reason == "its matrix would have 37748736 elements; expected up to 16777216"
