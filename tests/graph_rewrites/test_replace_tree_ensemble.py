import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.expand_linear_models import ExpandLinearRegressor
from pluginkit.graph_rewrites.replace_tree_ensemble import (
    ReplaceTreeEnsemble,
    ReplaceTreeEnsembleClassifier,
    ReplaceTreeEnsembleRegressor,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.graph_rewrites.trees import (
    FEATURES,
    MODES,
    DrawnTrees,
    classifier,
    ensemble,
    ml_model,
    regressor,
    samples,
    tensor,
)

REWRITES = [
    ReplaceTreeEnsemble,
    ReplaceTreeEnsembleClassifier,
    ReplaceTreeEnsembleRegressor,
]
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")
AGGREGATES = ("SUM", "AVERAGE", "MIN", "MAX")


def rng_of(*key):
    return np.random.default_rng(sum(map(ord, repr(key))))


def rewrite(model):
    return rewrite_model(model, REWRITES)


def assert_equal(model, x, tmp_path, atol=2e-6):
    """The rewritten model gives what ONNX Runtime gives; a second application changes nothing."""
    result = rewrite(model)
    assert len(result.applied) == 1, result.refused
    expected = run_onnxruntime(model, {"x": x})
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)
    assert list(got) == list(expected)
    for name, wanted in expected.items():
        assert got[name].dtype == wanted.dtype
        np.testing.assert_allclose(got[name], wanted, atol=atol, rtol=1e-5, err_msg=name)
    again = rewrite(result.model)
    assert (again.model, again.applied) == (result.model, [])
    return result.model


def reason_against(model):
    result = rewrite(model)
    assert result.model == model
    return next(each.reason for each in result.refused if each.node == "node")


@pytest.mark.parametrize("mode", [*MODES, "all"])
def test_every_mode_and_nan(mode, tmp_path):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        trees = DrawnTrees(rng, depth=4, modes=MODES if mode == "all" else [mode])
        assert_equal(regressor(trees), samples(rng), tmp_path)


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("n_targets", [1, 3])
def test_regressors(n_targets, aggregate, tmp_path):
    for transform, base in itertools.product(TRANSFORMS, ([], [0.25, -0.5, 0.125])):
        rng = rng_of(n_targets, aggregate, transform, base)
        trees = DrawnTrees(rng, targets=range(n_targets), low=0, trees=3)
        given = {"base_values": base[:n_targets]} if base else {}
        model = regressor(
            trees, n_targets, aggregate_function=aggregate, post_transform=transform, **given
        )
        # ONNX Runtime's float32 and TensorRT's differ where PROBIT's curve is steep
        assert_equal(model, samples(rng), tmp_path, atol=1e-4 if transform == "PROBIT" else 2e-6)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_targets_without_a_weight(aggregate, tmp_path):
    rng = rng_of(aggregate)
    trees = DrawnTrees(rng, targets=range(4), share=0.3, trees=2)
    assert_equal(regressor(trees, 4, aggregate_function=aggregate), samples(rng), tmp_path)
    # ONNX Runtime adds base values to targets with a weight only
    based = regressor(trees, 4, aggregate_function=aggregate, base_values=[0.5, 0, 1, -1])
    assert "where base values are not added" in reason_against(based)
    # xgboost's converter writes the trees of all targets for the first
    first = DrawnTrees(rng, targets=range(1), trees=2)
    assert_equal(regressor(first, 2, base_values=[0.5, 1.0]), samples(rng), tmp_path)


def test_a_weight_that_a_leaf_repeats_counts_once(tmp_path):
    """scikit-learn's exporter numbers leaves by a regressor with such weights."""
    given = DrawnTrees(np.random.default_rng(0)).attributes("target")
    names = [name for name in given if name.startswith("target_")]
    repeated = {name: [each for each in given[name] for _ in range(3)] for name in names}
    outputs = {"y": (TensorProto.FLOAT, [None, 1])}
    model = ml_model("TreeEnsembleRegressor", {**given, **repeated, "n_targets": 1}, outputs)
    assert_equal(model, samples(np.random.default_rng(1)), tmp_path)


def test_children_that_several_parents_share(tmp_path):
    """x = 1 or x = 2 leads to a branch on another feature, as LightGBM's sets of categories do."""
    given = {
        "nodes_treeids": [0] * 6,
        "nodes_nodeids": [*range(6)],
        "nodes_modes": ["BRANCH_EQ", "BRANCH_EQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_featureids": [0, 0, 0, 1, 0, 0],
        "nodes_values": [1.0, 2.0, 0.0, 0.5, 0.0, 0.0],
        "nodes_truenodeids": [3, 3, 0, 4, 0, 0],
        "nodes_falsenodeids": [1, 2, 0, 5, 0, 0],
        "n_targets": 1,
        "target_treeids": [0] * 3,
        "target_nodeids": [2, 4, 5],
        "target_ids": [0] * 3,
        "target_weights": [0.25, 2.0, -1.0],
    }
    model = ml_model("TreeEnsembleRegressor", given, {"y": (TensorProto.FLOAT, [None, 1])})
    x = np.zeros((6, FEATURES), np.float32)
    x[:, :2] = [[1, 0], [1, 1], [2, 0], [2, 1], [3, 0], [np.nan, 1]]
    assert_equal(model, x, tmp_path)
    result = rewrite(model)
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got[:, 0], [2, -1, 2, -1, 0.25, 0.25])


@pytest.mark.parametrize("low", [-1, 0])
@pytest.mark.parametrize("targets", [(0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_two_classes(transform, targets, low, tmp_path):
    """ONNX Runtime has rules of its own for them."""
    for base in ([], [0.25]):
        rng = rng_of(transform, targets, low, base)
        trees = DrawnTrees(rng, targets=targets, low=low, trees=2)
        given = {"base_values": base} if base else {}
        model = classifier(trees, [20, 30], post_transform=transform, **given)
        if targets == (0,) and transform == "PROBIT":
            assert "PROBIT does not transform" in reason_against(model)
        else:
            is_steep = transform == "PROBIT"
            assert_equal(model, samples(rng), tmp_path, atol=1e-4 if is_steep else 2e-6)


@pytest.mark.parametrize("transform", TRANSFORMS[:4])
def test_three_classes(transform, tmp_path):
    for base in ([], [0.25, -0.5, 0.125]):
        rng = rng_of(transform, base)
        trees = DrawnTrees(rng, targets=range(3))
        given = {"base_values": base} if base else {}
        model = classifier(trees, [7, -1, 3], post_transform=transform, **given)
        assert_equal(model, samples(rng), tmp_path)


@pytest.mark.parametrize("low", [-1, 0])
@pytest.mark.parametrize("base", [[], [-0.25, 0.5, 0.0, 0.125]], ids=str)
def test_classes_without_a_weight_are_not_chosen(base, low, tmp_path):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        # one tree gives every sample a weight of some class: without any there is no label
        trees = DrawnTrees(rng, targets=range(4), share=0.6, low=low, trees=4)
        given = {"base_values": base} if base else {}
        assert_equal(classifier(trees, [4, 5, 6, 7], **given), samples(rng), tmp_path)


def test_labels_that_are_strings(tmp_path):
    rng = np.random.default_rng(0)
    model = classifier(DrawnTrees(rng, targets=range(3)), ["a", "b", "c"])
    assert "its labels are strings" in reason_against(model)
    del model.graph.output[0]
    rewritten = assert_equal(model, samples(rng), tmp_path)
    assert "ArgMax" not in [node.op_type for node in rewritten.graph.node]


@pytest.mark.parametrize("aggregate", range(4))
@pytest.mark.parametrize("transform", [0, 3])
def test_version_five(aggregate, transform, tmp_path):
    model = ensemble(aggregate_function=aggregate, post_transform=transform)
    rewritten = assert_equal(model, samples(np.random.default_rng(5), 200), tmp_path)
    (nodes,) = [each for each in rewritten.graph.initializer if each.name.endswith("nodes")]
    # the sets of 3 and of 1 are chains, and a leaf that two nodes share is stored once
    assert nodes.dims == [3 + 1 + 1 + 1 + 5, 4]


@pytest.mark.parametrize("tracks", [0, 1])
def test_nan_in_a_set(tracks, tmp_path):
    model = ensemble(nodes_missing_value_tracks_true=[tracks] * 4)
    assert_equal(model, samples(np.random.default_rng(5), 200), tmp_path)


@pytest.mark.parametrize("elem_type", [TensorProto.INT64, TensorProto.INT32, TensorProto.DOUBLE])
def test_inputs_of_other_types(elem_type, tmp_path):
    rng = np.random.default_rng(9)
    model = classifier(DrawnTrees(rng, targets=range(3)), [5, 6, 7])
    model.graph.input[0].type.tensor_type.elem_type = elem_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(elem_type)
    assert_equal(model, rng.integers(-3, 4, (20, FEATURES)).astype(dtype), tmp_path)


def test_no_samples(tmp_path):
    rng = np.random.default_rng(9)
    model = regressor(DrawnTrees(rng))
    result = rewrite(model)
    x = np.zeros((0, FEATURES), np.float32)
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)
    assert got["y"].shape == (0, 1)


def changed(**attributes):
    given = DrawnTrees(np.random.default_rng(0)).attributes("target") | attributes
    return ml_model("TreeEnsembleRegressor", given, {"y": (TensorProto.FLOAT, [None, 1])})


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (changed(nodes_featureids=[4] * 75), "it reads feature 4 of 4"),
        (changed(nodes_featureids=[-1] * 75), "it reads feature -1"),
        (changed(nodes_modes=["BRANCH_XOR"] * 75), "its mode 'BRANCH_XOR' is not known"),
        (changed(nodes_values=[0.5]), "its attributes nodes_... have different lengths"),
        (changed(nodes_truenodeids=[0] * 75), "node (0, 0) is below itself"),
        (changed(nodes_falsenodeids=[999] * 75), "there is no node (0, 999), which is a child"),
        (changed(nodes_treeids=[0, 1] * 37 + [0]), "the nodes of a tree are not together"),
        (changed(target_ids=[1] * 40), "it has weights for target 1 of 1"),
        (changed(base_values=[0.5, 1.0]), "it has 2 base values for 1 targets"),
        (changed(aggregate_function="MEDIAN"), "its aggregate 'MEDIAN' is not known"),
        (changed(post_transform="SQRT"), "its transformation 'SQRT' is not known"),
        (changed(target_nodeids=[3] * 40, target_treeids=[0] * 40), "has not one weight"),
        (ensemble(leaf_targetids=[0, 1, 2, 1, 0]), "it has weights for target 2 of 2"),
        (ensemble(membership_values=tensor([1.0])), "it has 1 sets of members for 2 nodes"),
        (ensemble(nodes_trueleafs=[1, 1, 1, 1], nodes_truenodeids=[9, 0, 2, 3]), "no leaf 9"),
        (ensemble(post_transform=1), "is one in ONNX, and another in ONNX Runtime"),
        (ensemble(n_targets=0), "its targets, aggregate or transformation are not known"),
    ],
    ids=lambda each: each.replace(" ", "-") if isinstance(each, str) else "",
)
def test_what_describes_no_trees_is_left_with_the_reason(model, reason):
    assert reason in reason_against(model)


@pytest.mark.parametrize(
    ("labels", "given", "reason"),
    [
        ([3], {}, "it has 1 classes"),
        ([3, 4, 5], {"base_values": [1.0]}, "it has 1 base values for 3 classes"),
        ([3, 4], {"base_values": [1.0, 2.0]}, "it has 2 base values for 2 classes"),
        ([3, 4], {"post_transform": "TANH"}, "its transformation 'TANH' is not known"),
    ],
    ids=str,
)
def test_classes_that_are_left_with_the_reason(labels, given, reason):
    model = classifier(DrawnTrees(np.random.default_rng(0)), labels, **given)
    assert reason_against(model) == reason


def test_two_classes_of_which_a_leaf_lacks_one():
    trees = DrawnTrees(np.random.default_rng(0), targets=(0, 1), share=0.5, trees=2)
    assert "without a weight of a class" in reason_against(classifier(trees, [0, 1]))


def test_what_reads_the_scores_of_trees_is_rewritten_too():
    # onnx infers no scores for version 1: they get a type from the plugin, as in a stack
    model = classifier(DrawnTrees(np.random.default_rng(0), targets=range(3)), [1, 2, 3])
    model.opset_import[1].version = 1
    linear = {"coefficients": [0.5, 2.0, -1.0], "targets": 1}
    model.graph.node.append(onnx.helper.make_node("Abs", ["scores"], ["sizes"]))
    model.graph.node.append(
        onnx.helper.make_node("LinearRegressor", ["sizes"], ["z"], domain="ai.onnx.ml", **linear)
    )
    model.graph.output[1].CopyFrom(
        onnx.helper.make_tensor_value_info("z", TensorProto.FLOAT, [None, 1])
    )
    result = rewrite_model(model, [ExpandLinearRegressor, *REWRITES])
    assert [each.rewrite for each in result.applied] == [
        *("ReplaceTreeEnsembleClassifier", "ExpandLinearRegressor")
    ]


def test_an_input_of_unknown_rank():
    model = regressor(DrawnTrees(np.random.default_rng(0)))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert reason_against(model) == "the rank of its input is unknown, or not 2"


@pytest.mark.trt
@pytest.mark.parametrize("kind", ["classifier", "regressor", "ensemble"])
def test_a_real_build_takes_it(kind, tmp_path):
    rng = np.random.default_rng(1)
    model = {
        "classifier": lambda: classifier(DrawnTrees(rng, targets=range(3)), [1, 2, 3]),
        "regressor": lambda: regressor(DrawnTrees(rng), post_transform="PROBIT"),
        "ensemble": ensemble,
    }[kind]()
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"x": f"1x{FEATURES},16x{FEATURES},64x{FEATURES}"},
        rewrites=REWRITES,
    )
    assert [record.name for record in built.manifest.plugins] == ["TreeEnsemble_PK"]
