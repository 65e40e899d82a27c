import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_svm_classifier import ExpandSvmClassifier
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.ml_samples import svm_classifier
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import normal


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize(
    ("classes", "is_coupled"), [(2, True), (2, False), (3, True), (3, False), (5, True)]
)
def test_classes_and_chances_are_those_of_onnxruntime(classes, is_coupled, kernel):
    x = normal(200, 4)
    model = svm_classifier(classes, is_coupled, kernel_type=kernel)
    got = outputs_of(ExpandSvmClassifier, model, {"x": x})
    expected = list(run_onnxruntime(model, {"x": x}).values())
    assert len(np.unique(expected[0])) > 1
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"post_transform": "LOGISTIC"}, "its scores are transformed"),
        (
            {"prob_a": [1.0], "prob_b": [1.0]},
            "it has not a prob_a and a prob_b for each pair of classes",
        ),
        ({"rho": [1.0]}, "it has not a rho for each pair of classes"),
        ({"coefficients": [1.0]}, "its coefficients are not as many for each support vector"),
    ],
    ids=str,
)
def test_what_is_missing_is_a_reason(options, reason):
    assert reason_against(ExpandSvmClassifier, svm_classifier(3, True, **options)) == reason


def test_two_classes_without_a_negative_weight_are_left():
    model = svm_classifier(2, False, coefficients=[0.5] * 4)
    assert reason_against(ExpandSvmClassifier, model) == "it has two classes, and no weight below 0"
