"""Boosted trees of other libraries than scikit-learn, for exports.py, fitted to random numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

_OPSET = 15
_COLUMNS = 5
_Written = tuple[dict[str, Any], dict[str, Any]]


def boosters() -> dict[str, tuple[str, Callable[[Path], _Written]]]:
    """Return by name the library, and what writes a model and returns its inputs and description.

    A tenth of the numbers is missing.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, _COLUMNS)).astype(np.float32)
    target = np.abs(x @ rng.normal(size=_COLUMNS) + np.sin(x[:, 0])).astype(np.float32)
    labels = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5)
    codes = rng.integers(0, 12, x.shape).astype(np.float32)
    x = np.where(rng.random(x.shape) < 0.1, np.nan, x).astype(np.float32)
    categories = {"categorical_feature": [1, 2], "min_data_per_group": 2, "cat_smooth": 1}
    made: dict[str, tuple[str, Any, str, Any, dict[str, Any]]] = {
        "leafwise_classifier": ("lightgbm", _lightgbm, "LGBMClassifier", labels, {}),
        "leafwise_of_counts": (
            "lightgbm", _lightgbm, "LGBMRegressor", target, {"objective": "poisson"},
        ),
        "random_forest_of_boosters": (
            "lightgbm",
            _lightgbm,
            "LGBMClassifier",
            (labels > 0).astype(int),
            {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
        ),
        "depthwise_classifier": ("xgboost", _xgboost, "XGBClassifier", labels, {}),
        "depthwise_of_counts": (
            "xgboost", _xgboost, "XGBRegressor", target, {"objective": "count:poisson"},
        ),
        "depthwise_of_two_targets": (
            "xgboost", _xgboost, "XGBRegressor", np.stack([target, target**2], 1), {},
        ),
        "leafwise_of_names": (
            "lightgbm", _lightgbm, "LGBMClassifier", np.array(["low", "mid", "high"])[labels], {},
        ),
        "symmetric_classifier": ("catboost", _catboost, "CatBoostClassifier", labels, {}),
        "symmetric_regressor": ("catboost", _catboost, "CatBoostRegressor", target, {}),
    }  # fmt: skip
    found = {
        name: (library, partial(_write, library, fit, kind, options, x, wanted))
        for name, (library, fit, kind, wanted, options) in made.items()
    }
    found["leafwise_of_categories"] = (
        "lightgbm",
        partial(_write, "lightgbm", _lightgbm, "LGBMRegressor", categories, codes, target),
    )
    return found


def _write(
    library: str, fit: Any, kind: str, options: dict[str, Any], x: Any, wanted: Any, path: Path
) -> _Written:
    import onnx

    fit(kind, options, x, wanted, path)
    model = onnx.load(path)
    name = model.graph.input[0].name
    shape = ",".join(f"{rows}x{_COLUMNS}" for rows in (1, 8, 64))
    opset = next((each.version for each in model.opset_import if not each.domain), 1)
    description = {"exporter": library, "opset": opset, "is_random": False}
    return {name: x[:8]}, description | {"shapes": {name: shape}}


def _lightgbm(kind: str, options: dict[str, Any], x: Any, wanted: Any, path: Path) -> None:
    import lightgbm
    from onnxmltools import convert_lightgbm

    sizes = {"n_estimators": 5, "num_leaves": 7, "min_child_samples": 5}
    fitted = getattr(lightgbm, kind)(**sizes, verbose=-1, **options).fit(x, wanted)
    made = convert_lightgbm(fitted, initial_types=_rows(), zipmap=False, target_opset=_OPSET)
    path.write_bytes(made.SerializeToString())


def _xgboost(kind: str, options: dict[str, Any], x: Any, wanted: Any, path: Path) -> None:
    import xgboost
    from onnxmltools import convert_xgboost

    fitted = getattr(xgboost, kind)(n_estimators=5, max_depth=3, **options).fit(x, wanted)
    made = convert_xgboost(fitted, initial_types=_rows(), target_opset=_OPSET)
    path.write_bytes(made.SerializeToString())


def _catboost(kind: str, options: dict[str, Any], x: Any, wanted: Any, path: Path) -> None:
    import catboost

    quiet = {"verbose": False, "allow_writing_files": False}
    fitted = getattr(catboost, kind)(iterations=5, depth=3, **quiet, **options).fit(x, wanted)
    fitted.save_model(str(path), format="onnx")


def _rows() -> list[tuple[str, Any]]:
    from onnxmltools.convert.common.data_types import FloatTensorType

    return [("X", FloatTensorType([None, _COLUMNS]))]
