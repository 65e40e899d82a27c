"""Estimators of scikit-learn that people export, for exports.py, fitted to random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np


def estimators() -> dict[str, tuple[Any, Any]]:
    """Return fitted estimators by name, each with a batch of 8 rows for it."""
    from sklearn import (
        calibration,
        cluster,
        compose,
        cross_decomposition,
        decomposition,
        discriminant_analysis,
        ensemble,
        gaussian_process,
        impute,
        linear_model,
        mixture,
        multiclass,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        random_projection,
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
        "ada_boost": ensemble.AdaBoostClassifier(n_estimators=3, random_state=0),
        "bagging": ensemble.BaggingClassifier(n_estimators=3, random_state=0),
        "extra_trees": ensemble.ExtraTreesClassifier(**forest),
        "voting": ensemble.VotingClassifier(
            [("a", linear_model.LogisticRegression()), ("b", naive_bayes.GaussianNB())],
            voting="soft",
            flatten_transform=False,
        ),
        "stacking": ensemble.StackingClassifier(
            [("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier())], cv=2
        ),
        "one_against_rest": multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
        "calibrated": calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2),
        "gradient_descent": linear_model.SGDClassifier(loss="log_loss", random_state=0),
        "discriminant": discriminant_analysis.LinearDiscriminantAnalysis(),
        "quadratic_discriminant": discriminant_analysis.QuadraticDiscriminantAnalysis(),
        "bernoulli_nb": naive_bayes.BernoulliNB(),
        "network_classifier": neural_network.MLPClassifier((8,), max_iter=50, random_state=0),
    }
    regressors = {
        "svr": svm.SVR(),
        "forest_regressor": ensemble.RandomForestRegressor(**forest),
        "process_regressor": gaussian_process.GaussianProcessRegressor(),
        "boosted_regressor": ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0),
        "poisson_regressor": linear_model.TweedieRegressor(power=0),
        "elastic_net": linear_model.ElasticNet(0.01),
        "nu_svr": svm.NuSVR(kernel="poly"),
        "network_regressor": neural_network.MLPRegressor(
            hidden_layer_sizes=(8,), max_iter=50, random_state=0
        ),
        "partial_least_squares": cross_decomposition.PLSRegression(2),
        "quantile_regressor": linear_model.QuantileRegressor(alpha=0.01),
        "neighbors_regressor": neighbors.KNeighborsRegressor(3),
        "polynomial_ridge": scaled(preprocessing.PolynomialFeatures(2), linear_model.Ridge()),
    }
    transformers = {
        "pca": decomposition.PCA(3),
        "isolation_forest": ensemble.IsolationForest(n_estimators=5, random_state=0),
        "one_class_svm": svm.OneClassSVM(),
        "local_outlier_factor": neighbors.LocalOutlierFactor(5, novelty=True),
        "gaussian_mixture": mixture.GaussianMixture(2, random_state=0),
        "kernel_pca": decomposition.KernelPCA(3, kernel="rbf"),
        "truncated_svd": decomposition.TruncatedSVD(3, random_state=0),
        "neighbors_imputer": impute.KNNImputer(),
        "power_transformer": preprocessing.PowerTransformer(),
        "quantile_transformer": preprocessing.QuantileTransformer(n_quantiles=9),
        "robust_scaler": preprocessing.RobustScaler(),
        "binarizer": preprocessing.Binarizer(threshold=0.2),
        "random_projection": random_projection.GaussianRandomProjection(3, random_state=0),
        "mini_batch_k_means": cluster.MiniBatchKMeans(3, n_init=2, random_state=0),
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
    words = np.array([["red", "small"], ["blue", "large"], ["green", "small"]] * 4)
    words_encoder = preprocessing.OneHotEncoder(handle_unknown="ignore")
    fitted["one_hot_of_words"] = (words_encoder.fit(words), words)
    fitted["ordinals_of_words"] = (preprocessing.OrdinalEncoder().fit(words), words)
    fitted["ordinals_of_codes"] = (preprocessing.OrdinalEncoder().fit(codes), codes)
    several = ensemble.RandomForestRegressor(**forest).fit(x, np.stack([target, target**2], 1))
    fitted["forest_of_two_targets"] = (several, x)
    binary = ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0)
    fitted["boosted_of_two_classes"] = (binary.fit(x, (labels > 0).astype(int)), x)
    named = linear_model.LogisticRegression().fit(x, np.array(["low", "mid", "high"])[labels])
    fitted["logistic_of_names"] = (named, x)
    names = np.array(["low", "mid", "high"])
    forest_of_names = ensemble.RandomForestClassifier(**forest).fit(x, names[labels])
    fitted["forest_of_names"] = (forest_of_names, x)
    neighbors_of_names = neighbors.KNeighborsClassifier(3).fit(x, names[labels])
    fitted["neighbors_of_names"] = (neighbors_of_names, x)
    both_words = scaled(preprocessing.OneHotEncoder(), linear_model.LogisticRegression())
    fitted["words_and_logistic"] = (both_words.fit(words, words[:, 0]), words)
    filled = scaled(impute.SimpleImputer(), ensemble.RandomForestClassifier(**forest))
    fitted["imputer_and_forest"] = (filled.fit(holes, labels), holes)
    return {name: (each, rows[:8]) for name, (each, rows) in fitted.items()}
