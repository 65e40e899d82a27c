import numpy as np
import onnx
import pytest

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
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of
from tests.graph_rewrites.ml_samples import ml_model
from tests.graph_rewrites.rewriting import reason_against, run
from tests.graph_rewrites.samples import f32, i64, normal

X = normal(5, 4)
NAN = float("nan")


@pytest.mark.parametrize("opset", [9, 17])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize(
    ("rewrite", "op_type", "attributes"),
    [
        (ExpandScaler, "Scaler", {"offset": [0.5, 1, -2, 0], "scale": [2.0, 0.5, 1, 3]}),
        (ExpandScaler, "Scaler", {"offset": [0.5], "scale": [2.0]}),
        (ExpandNormalizer, "Normalizer", {"norm": "L1"}),
        (ExpandNormalizer, "Normalizer", {"norm": "L2"}),
        (ExpandNormalizer, "Normalizer", {"norm": "MAX"}),
    ],
)
def test_numbers_are_scaled(rewrite, op_type, attributes, dtype, opset):
    x = (X * 3).astype(dtype)
    x[2] = 0
    model = ml_model(op_type, {"x": x}, dims={"x": ("n", 4)}, opset=opset, **attributes)
    assert_spelled_out(model, {"x": x}, [rewrite])


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_a_row_with_nan_is_normalized_to_nan(norm):
    x = X.copy()
    x[1, 2] = NAN
    model = ml_model("Normalizer", {"x": x}, dims={"x": ("n", 4)}, norm=norm)
    assert_spelled_out(model, {"x": x}, [ExpandNormalizer])


def test_numbers_become_bits():
    model = ml_model("Binarizer", {"x": X}, threshold=0.25)
    assert_spelled_out(model, {"x": X}, [ExpandBinarizer])


@pytest.mark.parametrize(
    ("x", "attributes"),
    [
        (f32(1, NAN, 3, NAN), {"replaced_value_float": NAN, "imputed_value_floats": [9.0]}),
        (f32(1, 2, 2, 4), {"replaced_value_float": 2.0, "imputed_value_floats": [9.0, 8, 7, 6]}),
        (i64(1, 2, 2, 4), {"replaced_value_int64": 2, "imputed_value_int64s": [9]}),
    ],
)
def test_values_are_imputed(x, attributes):
    rows = np.stack([x, x[::-1]])
    model = ml_model("Imputer", {"x": rows}, {"y": (x.dtype.name, 2)}, **attributes)
    assert_spelled_out(model, {"x": rows}, [ExpandImputer])


@pytest.mark.parametrize(
    ("x", "dtype", "version", "attributes"),
    [
        (i64(3, 1, 7), "int64", 2, {"keys_int64s": [1, 3], "values_int64s": [10, 30]}),
        (
            i64(3, 1, 7),
            "float32",
            2,
            {"keys_int64s": [1, 3], "values_floats": [0.5, 1.5], "default_float": -7.0},
        ),
        (
            f32(1, NAN, 2),
            "int64",
            2,
            {"keys_floats": [NAN, 1.0], "values_int64s": [4, 5], "default_int64": 9},
        ),
    ],
)
def test_labels_are_encoded(x, dtype, version, attributes):
    model = ml_model("LabelEncoder", {"x": x}, {"y": (dtype, 1)}, version=version, **attributes)
    assert_spelled_out(model, {"x": x}, [ExpandLabelEncoder])


def test_tensors_of_labels():
    tensors = {
        "keys_tensor": onnx.numpy_helper.from_array(i64(5, 6, 5)),
        "values_tensor": onnx.numpy_helper.from_array(f32(1, 2, 3)),
        "default_tensor": onnx.numpy_helper.from_array(np.array([-3], np.float32)),
    }
    x = i64(6, 5, 0).reshape(3, 1)
    model = ml_model("LabelEncoder", {"x": x}, version=4, **tensors)
    result = assert_spelled_out(model, {"x": x}, [ExpandLabelEncoder])
    assert "Gather" in {node.op_type for node in result.graph.node}
    tensors["keys_tensor"] = onnx.numpy_helper.from_array(f32(NAN, 6, 5))
    x = f32(6, NAN, 0)
    model = ml_model("LabelEncoder", {"x": x}, {"y": ("float32", 1)}, version=4, **tensors)
    assert_spelled_out(model, {"x": x}, [ExpandLabelEncoder])


def test_strings_are_left():
    attributes = {"keys_int64s": [1], "values_strings": ["a"]}
    inputs = {"x": i64(1, 2)}
    model = ml_model("LabelEncoder", inputs, {"y": ("int64", 1)}, **attributes)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    reason = "it encodes strings, which TensorRT has no tensors of"
    assert reason_against(ExpandLabelEncoder, model) == reason


@pytest.mark.parametrize("x", [i64(3, 1, 7), i64(3, 1, 7, 3).reshape(2, 2)])
def test_categories_become_columns(x):
    outputs = {"y": ("float32", x.ndim + 1)}
    model = ml_model("OneHotEncoder", {"x": x}, outputs, cats_int64s=[1, 3, 5], zeros=1)
    assert_spelled_out(model, {"x": x}, [ExpandOneHotEncoder])


@pytest.mark.parametrize("x", [X, X[0]])
def test_features_are_taken(x):
    inputs = {"x": x, "at": i64(2, 0, 2)}
    model = ml_model("ArrayFeatureExtractor", inputs, stored=["at"])
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandArrayFeatureExtractor])


def test_features_are_joined():
    inputs = {"a": X, "b": X[:, :2].astype(np.int64)}
    model = ml_model("FeatureVectorizer", inputs, inputdimensions=[4, 2])
    result = assert_spelled_out(
        ml_model("FeatureVectorizer", {"a": X, "b": X[:, :2]}, inputdimensions=[4, 2]),
        {"a": X, "b": X[:, :2]},
        [ExpandFeatureVectorizer],
    )
    assert result.graph.node[-1].op_type == "Concat"
    assert model.graph.node[0].op_type == "FeatureVectorizer"


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_classes_are_the_largest_scores(transform, classes, dtype):
    inputs = {"x": (X * 2).astype(dtype)}
    model = ml_model(
        "LinearClassifier",
        inputs,
        {"label": ("int64", 1), "scores": ("float32", 2)},
        dims={"x": ("n", 4)},
        coefficients=normal(classes * 4).tolist(),
        intercepts=normal(classes).tolist(),
        classlabels_ints=[7, 3, 5][:classes],
        multi_class=1,
        post_transform=transform,
    )
    assert_spelled_out(model, inputs, [ExpandLinearClassifier])


def test_string_labels_and_single_scores_are_left():
    outputs = {"label": ("int64", 1), "scores": ("float32", 2)}
    given = {"coefficients": normal(4).tolist(), "intercepts": [0.5]}
    model = ml_model("LinearClassifier", {"x": X}, outputs, classlabels_ints=[0, 1], **given)
    reason = "it has one score for two classes"
    assert reason_against(ExpandLinearClassifier, model) == reason
    model = ml_model("LinearClassifier", {"x": X}, outputs, classlabels_strings=["a", "b"], **given)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    reason = "its labels are strings, which TensorRT has no tensors of"
    assert reason_against(ExpandLinearClassifier, model) == reason


@pytest.mark.parametrize("targets", [1, 3])
def test_linear_regressions(targets):
    given = {"coefficients": normal(targets * 4).tolist(), "targets": targets}
    for more in ({}, {"intercepts": normal(targets).tolist()}):
        model = ml_model("LinearRegressor", {"x": X}, dims={"x": ("n", 4)}, **given, **more)
        assert_spelled_out(model, {"x": X}, [ExpandLinearRegressor])


@pytest.mark.parametrize(
    "given",
    [
        {"kernel_type": "LINEAR", "n_supports": 3},
        {"kernel_type": "LINEAR"},
        {"kernel_type": "RBF", "n_supports": 3},
        {"kernel_type": "POLY", "n_supports": 3},
        {"kernel_type": "SIGMOID", "n_supports": 3, "one_class": 1},
    ],
)
def test_support_vectors(given):
    count = given.get("n_supports", 0)
    vectors = {"support_vectors": normal(count * 4).tolist()} if count else {}
    model = ml_model(
        "SVMRegressor",
        {"x": X},
        dims={"x": ("n", 4)},
        coefficients=normal(count or 4).tolist(),
        rho=[0.3],
        kernel_params=[0.5, 1.25, 2.0],
        **vectors,
        **given,
    )
    assert_spelled_out(model, {"x": X}, [ExpandSvmRegressor])


@pytest.mark.parametrize(("ir_version", "opset"), [(7, 13), (10, 17)])
def test_a_model_without_operators_of_onnx_imports_them(ir_version, opset):
    x = normal(3, 4)
    model = ml_model("Binarizer", {"x": x}, threshold=0.0)
    own = [each for each in model.opset_import if each.domain == "ai.onnx.ml"]
    del model.opset_import[:]
    model.opset_import.extend(own)
    model.ir_version = ir_version
    result = rewrite_model(model, [ExpandBinarizer])
    assert {each.domain: each.version for each in result.model.opset_import}[""] == opset
    (got,) = run(result.model, {"x": x})
    np.testing.assert_array_equal(got, x > 0)
    left = rewrite_model(model, [])
    assert left.model == model
