"""Estimators of scikit-learn that people export, for exports.py, fitted to random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np


def estimators() -> dict[str, tuple[Any, Any]]:
    """Return fitted estimators by name, each with a batch of 8 rows for it."""
    from sklearn import (
        cluster,
        compose,
        decomposition,
        ensemble,
        impute,
        linear_model,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        svm,
        tree,
    )

    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5)).astype(np.float32)
    labels = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5)
    target = x @ rng.normal(size=5) + np.sin(x[:, 0])
    codes = rng.integers(0, 4, (80, 3)).astype(np.float32)
    scaled = pipeline.make_pipeline
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore")
    mixed = compose.ColumnTransformer(
        [("scaled", preprocessing.StandardScaler(), [0, 1, 2, 3, 4]), ("codes", encoder, [5, 6, 7])]
    )
    holes = np.where(rng.random(x.shape) < 0.1, np.nan, x).astype(np.float32)
    both = np.concatenate([x, codes], axis=1)
    forest = {"n_estimators": 5, "max_depth": 4, "random_state": 0}
    classifiers = {
        "scaler_and_logistic": scaled(
            preprocessing.StandardScaler(), linear_model.LogisticRegression()
        ),
        "forest_classifier": ensemble.RandomForestClassifier(**forest),
        "boosted_classifier": ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
        "tree_classifier": tree.DecisionTreeClassifier(max_depth=4, random_state=0),
        "svc": svm.SVC(probability=True, random_state=0),
        "svc_without_chances": svm.SVC(),
        "linear_svc": svm.LinearSVC(),
        "gaussian_nb": naive_bayes.GaussianNB(),
        "neighbors_classifier": neighbors.KNeighborsClassifier(3),
        "network_classifier": neural_network.MLPClassifier((8,), max_iter=50, random_state=0),
    }
    regressors = {
        "svr": svm.SVR(),
        "forest_regressor": ensemble.RandomForestRegressor(**forest),
        "neighbors_regressor": neighbors.KNeighborsRegressor(3),
        "polynomial_ridge": scaled(preprocessing.PolynomialFeatures(2), linear_model.Ridge()),
    }
    transformers = {
        "pca": decomposition.PCA(3),
        "k_means": cluster.KMeans(3, n_init=2, random_state=0),
        "min_max_and_normalizer": scaled(preprocessing.MinMaxScaler(), preprocessing.Normalizer()),
        "power_of_quantiles": preprocessing.KBinsDiscretizer(4, encode="onehot-dense"),
    }
    fitted = {name: (each.fit(x, labels), x) for name, each in classifiers.items()}
    fitted |= {name: (each.fit(x, target), x) for name, each in regressors.items()}
    fitted |= {name: (each.fit(x), x) for name, each in transformers.items()}
    fitted["svc_of_two_classes"] = (svm.SVC().fit(x, (labels > 0).astype(int)), x)
    last = linear_model.LogisticRegression()
    fitted["columns_and_logistic"] = (scaled(mixed, last).fit(both, labels), both)
    filled = scaled(impute.SimpleImputer(), ensemble.RandomForestClassifier(**forest))
    fitted["imputer_and_forest"] = (filled.fit(holes, labels), holes)
    return {name: (each, rows[:8]) for name, (each, rows) in fitted.items()}
