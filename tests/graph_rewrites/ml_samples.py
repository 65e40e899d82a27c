"""Models of one operator of ai.onnx.ml, with inputs, for the rewrites of them."""

from __future__ import annotations

import numpy as np
import onnx

from pluginkit.graph_rewrites.expand_linear_models import (
    ExpandLinearClassifier,
    ExpandLinearRegressor,
    ExpandSvmRegressor,
)
from pluginkit.graph_rewrites.expand_scalers import (
    ExpandArrayFeatureExtractor,
    ExpandBinarizer,
    ExpandFeatureVectorizer,
    ExpandImputer,
    ExpandLabelEncoder,
    ExpandNormalizer,
    ExpandOneHotEncoder,
    ExpandScaler,
)
from pluginkit.graph_rewrites.expand_svm_classifier import ExpandSvmClassifier
from pluginkit.onnx.rewriting.rewrite import Rewrite
from tests.graph_rewrites.microsoft import Inputs, feeds_of, microsoft_model
from tests.graph_rewrites.samples import Sample, i64, normal


def ml_model(
    op_type: str,
    inputs: Inputs,
    outputs: dict[str, tuple[str, int]] | None = None,
    *,
    version: int = 3,
    **options: object,
) -> onnx.ModelProto:
    """A model of one node of ai.onnx.ml; ``options`` as for microsoft_model."""
    outputs = outputs or {"y": ("float32", 2)}
    model = microsoft_model(op_type, inputs, outputs, domain="ai.onnx.ml", **options)
    model.opset_import.add(domain="ai.onnx.ml", version=version)
    return model


def _samples() -> dict[str, Sample]:
    x, weights = normal(5, 4), normal(12).tolist()
    categories = i64(3, 1, 7)
    class_outputs = {"label": ("int64", 1), "scores": ("float32", 2)}
    cases: list[tuple[type[Rewrite], str, Inputs, dict[str, object]]] = [
        (ExpandScaler, "Scaler", {"x": x}, {"offset": [0.5], "scale": [2.0]}),
        (ExpandNormalizer, "Normalizer", {"x": x}, {"norm": "L2"}),
        (ExpandBinarizer, "Binarizer", {"x": x}, {"threshold": 0.25}),
        (
            ExpandImputer,
            "Imputer",
            {"x": x},
            {"replaced_value_float": float("nan"), "imputed_value_floats": [1.0, 2.0, 3.0, 4.0]},
        ),
        (
            ExpandLabelEncoder,
            "LabelEncoder",
            {"x": categories},
            {
                "keys_int64s": [1, 3],
                "values_int64s": [4, 5],
                "outputs": {"y": ("int64", 1)},
                "version": 2,
            },
        ),
        (
            ExpandOneHotEncoder,
            "OneHotEncoder",
            {"x": categories},
            {"cats_int64s": [1, 3, 5], "zeros": 1},
        ),
        (
            ExpandArrayFeatureExtractor,
            "ArrayFeatureExtractor",
            {"x": x, "at": i64(2, 0)},
            {"stored": ["at"]},
        ),
        (
            ExpandFeatureVectorizer,
            "FeatureVectorizer",
            {"a": x, "b": x[:, :2]},
            {"inputdimensions": [4, 2]},
        ),
        (
            ExpandLinearClassifier,
            "LinearClassifier",
            {"x": x},
            {
                "coefficients": weights,
                "intercepts": [0.5, 1.0, -1.0],
                "classlabels_ints": [3, 1, 2],
                "post_transform": "SOFTMAX",
                "outputs": class_outputs,
            },
        ),
        (
            ExpandLinearRegressor,
            "LinearRegressor",
            {"x": x},
            {"coefficients": weights, "targets": 3},
        ),
        (
            ExpandSvmRegressor,
            "SVMRegressor",
            {"x": x},
            {
                "coefficients": [0.5, -1.0, 2.0],
                "support_vectors": weights,
                "n_supports": 3,
                "rho": [0.25],
                "kernel_type": "RBF",
                "kernel_params": [0.5, 0.0, 0.0],
            },
        ),
    ]
    found = {}
    for rewrite, op_type, inputs, options in cases:
        dims = {"x": ("n", 4)} if np.ndim(inputs.get("x")) == 2 else {}
        model = ml_model(op_type, inputs, dims=dims, **options)
        found[f"ml {op_type}"] = Sample(rewrite, model, feeds_of(model, inputs))
    for name, classes, is_coupled in (
        ("ml SVMClassifier of two", 2, False),
        ("ml SVMClassifier of two, coupled", 2, True),
        ("ml SVMClassifier", 4, False),
        ("ml SVMClassifier, coupled", 4, True),
    ):
        model = svm_classifier(classes, is_coupled)
        found[name] = Sample(ExpandSvmClassifier, model, {"x": x})
    return found


def svm_classifier(classes: int, is_coupled: bool, **options: object) -> onnx.ModelProto:
    """A model of an SVMClassifier with two support vectors of each class."""
    pairs, vectors = classes * (classes - 1) // 2, 2 * classes
    chances = {"prob_a": [-1.5] * pairs, "prob_b": np.linspace(-0.2, 0.2, pairs).tolist()}
    given = {
        "classlabels_ints": list(range(10, 10 + classes)),
        "coefficients": np.sin(np.arange(vectors * (classes - 1)) + 1.0).tolist(),
        "support_vectors": np.cos(np.arange(vectors * 4) * 2.0).tolist(),
        "vectors_per_class": [2] * classes,
        "rho": np.linspace(-0.3, 0.4, pairs).tolist(),
        "kernel_type": "RBF",
        "kernel_params": [0.3, 0.0, 3.0],
        **(chances if is_coupled else {}),
        **options,
    }
    given = {name: value for name, value in given.items() if value is not None}
    outputs = {"label": ("int64", 1), "scores": ("float32", 2)}
    x = np.zeros((5, 4), np.float32)
    return ml_model("SVMClassifier", {"x": x}, outputs, version=1, dims={"x": ("n", 4)}, **given)


ML_SAMPLES = _samples()
