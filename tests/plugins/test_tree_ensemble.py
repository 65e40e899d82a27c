import numpy as np
import pytest

from pluginkit import float32, int32
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError, TensorError
from pluginkit.plugins.tree_ensemble import TreeEnsemble, launches
from pluginkit.plugins.tree_ensemble.cases import DrawnTrees
from pluginkit.plugins.tree_ensemble.packing import BranchNode, LeafNode, pack_trees
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of

CASES = {case.name: case for case in TreeEnsemble.cases()}
NAN = float("nan")


def arrays_of(nodes, roots, n_targets=1):
    packed = pack_trees(nodes, roots, n_targets)
    return [packed.nodes, packed.roots, packed.weights, packed.targets]


def reference(inputs, **attributes):
    given = [each for each in inputs if each is not None]
    names = ("x", "nodes", "roots", "weights", "targets")[: len(given)]
    (scores,) = calls.run_reference(TreeEnsemble(**attributes).with_inputs(*names), given)
    return scores


def on_machine(inputs, **attributes):
    run = run_kernels(TreeEnsemble(**attributes), inputs)
    assert not run.findings
    return run.outputs[0]


def walked(x, packed, n_targets):
    """Sum the weights sample by sample, node by node."""
    nodes, roots, weights, targets = packed
    scores = np.zeros((len(x), n_targets), np.float32)
    compare = [np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal]
    for row, sample in zip(scores, x, strict=True):
        for root in roots:
            code, bits, first, last = nodes[root]
            while code % 8 != 6:
                value, threshold = sample[code // 16], np.int32(bits).view(np.float32)
                is_true = compare[code % 8](value, threshold) or (code & 8 and np.isnan(value))
                code, bits, first, last = nodes[first if is_true else last]
            for at in range(first, last):
                row[at - first if targets is None else targets[at]] += weights[at]
    return scores


@pytest.mark.parametrize("name", ["boosted", "sparse", "every_kind", "one_sample", "only_leaves"])
def test_the_reference_walks_as_a_loop_does(name):
    case = CASES[name]
    x, *packed = case.inputs
    wanted = walked(x, packed, case.attributes["n_targets"])
    np.testing.assert_array_equal(reference(case.inputs, **case.attributes), wanted)


@pytest.mark.parametrize("name", ["forest", "sparse", "every_kind", "least", "many_targets"])
def test_the_kernel_computes_the_reference(name):
    case = CASES[name]
    got, wanted = (each(case.inputs, **case.attributes) for each in (on_machine, reference))
    np.testing.assert_array_equal(got, wanted)


STUMP = [BranchNode("LT", 0, 1.5, (1, 2), True), LeafNode([(0, 10)]), LeafNode([(0, 20)])]


@pytest.mark.parametrize("compute", [reference, on_machine])
def test_a_stump(compute):
    x = np.array([[1], [1.5], [NAN], [np.inf]], np.float32)
    scores = compute([x, *arrays_of(STUMP, [0])], n_targets=1)
    assert scores.ravel().tolist() == [10, 20, 10, 20]


@pytest.mark.parametrize("compute", [reference, on_machine])
def test_denormals_are_not_zero(compute):
    x = np.array([[1e-40], [0], [-1e-40]], np.float32)
    nodes = [BranchNode("LEQ", 0, 0.0, (1, 2)), LeafNode([(0, -1e-40)]), LeafNode([(0, -2e-40)])]
    scores = compute([x, *arrays_of(nodes, [0])], n_targets=1, unscored=1.0)
    np.testing.assert_array_equal(scores.ravel(), np.float32([-2e-40, -1e-40, -1e-40]))


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("weight", [0.0, -0.0, NAN, np.inf])
@pytest.mark.parametrize("compute", [reference, on_machine])
def test_a_weight_of_any_value_is_there(compute, weight, aggregate):
    x = np.zeros((1, 1), np.float32)
    nodes = [LeafNode([(0, weight)]), LeafNode([])]
    scores = compute([x, *arrays_of(nodes, [0, 1])], n_targets=1, unscored=7.0, aggregate=aggregate)
    np.testing.assert_array_equal(scores.ravel(), [weight])


@pytest.mark.parametrize("compute", [reference, on_machine])
def test_several_parents_share_a_child(compute):
    nodes = [BranchNode("EQ", 0, 1, (2, 1)), BranchNode("EQ", 0, 3, (2, 3))]
    nodes += [LeafNode([(0, 1)]), LeafNode([(0, 0)])]
    x = np.arange(5, dtype=np.float32).reshape(-1, 1)
    scores = compute([x, *arrays_of(nodes, [0])], n_targets=1)
    assert scores.ravel().tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("compute", [reference, on_machine])
@pytest.mark.parametrize(
    "broken",
    [
        BranchNode("LT", 0, 1.5, (0, 2)),
        BranchNode("LT", 0, 1.5, (99, 2)),
        BranchNode("LT", 0, 1.5, (-5, 2)),
        BranchNode("LT", 7, 1.5, (1, 2)),
    ],
    ids=["circle", "beyond", "negative", "feature"],
)
def test_a_walk_that_leads_nowhere_ends_without_a_leaf(compute, broken):
    x = np.zeros((3, 1), np.float32)
    inputs = [x, *arrays_of([broken, *STUMP[1:]], [0])]
    assert compute(inputs, n_targets=1, unscored=-7.0).ravel().tolist() == [-7] * 3


@pytest.mark.parametrize("compute", [reference, on_machine])
def test_weights_and_targets_out_of_range_are_skipped(compute):
    inputs = [np.zeros((2, 1), np.float32), *arrays_of(STUMP, [0]), None][:5]
    inputs[1][1] = 6, 0, -3, 99
    inputs[4] = np.array([5, -1], np.int32)
    assert compute(inputs, n_targets=1).tolist() == [[0], [0]]


def test_the_batch_does_not_change_a_sample():
    case = CASES["boosted"]
    x, *packed = case.inputs
    many = np.tile(x, (40, 1))
    whole = on_machine([many, *packed], **case.attributes)
    np.testing.assert_array_equal(whole, np.tile(on_machine(case.inputs, n_targets=1), (40, 1)))


def launch_for(samples, features=3, nodes=9, trees=2, targets=1):
    plugin = TreeEnsemble(n_targets=targets).with_inputs("x", "nodes", "roots", "weights")
    shapes = [(samples, features), (nodes, 4), (trees,), (5,)]
    inputs = calls.describe_inputs(plugin, shapes, [float32, int32, int32, float32])
    (scores,) = calls.describe_outputs(plugin, inputs)
    x, nodes, roots, weights = inputs[:4]
    return launches.launch_of(plugin, x, nodes, roots, weights, None, scores)


@pytest.mark.parametrize(
    ("samples", "targets", "block"),
    [(1, 1, 1), (1023, 1, 1), (1024, 1, 2), (10**6, 1, 64), (10**6, 10, 16), (10**6, 300, 1)],
)
def test_blocks_take_more_samples_where_there_are_many(samples, targets, block):
    assert launch_for(samples, trees=20, targets=targets).grid[0] == -(-samples // block)


def test_a_sample_of_one_tree_has_a_thread():
    launch = launch_for(10**6, trees=1)
    assert launch.kernel is TreeEnsemble.alone_kernel
    assert launch.grid == -(-(10**6) // launch.block)
    assert launch_for(10**6, trees=1, targets=16).kernel is TreeEnsemble.alone_kernel
    assert launch_for(10**6, trees=4, targets=17).kernel is TreeEnsemble.alone_kernel
    assert launch_for(2**14 - 1, trees=1, targets=16).kernel is TreeEnsemble.alone_kernel
    assert launch_for(2**14 - 1, trees=1, targets=17).kernel is TreeEnsemble.kernel
    assert launch_for(10**6, trees=5, targets=2).kernel is TreeEnsemble.kernel
    assert launch_for(10**6, trees=16).kernel is TreeEnsemble.alone_kernel
    assert launch_for(69_631, trees=2).kernel is TreeEnsemble.kernel
    assert launch_for(69_632, nodes=254, trees=2).kernel is TreeEnsemble.alone_kernel
    assert launch_for(69_632, nodes=512, trees=2).kernel is TreeEnsemble.kernel
    assert launch_for(69_632, nodes=9, trees=17).kernel is TreeEnsemble.kernel


def test_a_score_has_a_thread_where_few_are_those_of_one_tree_or_of_few_nodes():
    assert launch_for(100, nodes=513, trees=1, targets=5).grid == -(-500 // 64)
    few = launch_for(100, nodes=8, trees=2, targets=5)
    assert (few.kernel, few.grid, few.block) == (TreeEnsemble.alone_kernel, 2, 256)
    assert launch_for(100, nodes=9, trees=2, targets=5).kernel is TreeEnsemble.kernel
    assert launch_for(2**15, nodes=513, trees=1, targets=5).grid == 2**15 // 64
    many = launch_for(2**16, nodes=8, trees=2)
    assert many.grid == 2**16 // 256
    assert few.constants["LOOKS_AHEAD"]
    assert not many.constants["LOOKS_AHEAD"]


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize(("trees", "few"), [(1, 2**15), (2, 2**15), (1, 0)])
def test_threads_share_the_scores_of_a_sample(trees, few, aggregate, monkeypatch):
    monkeypatch.setattr(launches, "_FEW_SCORES", few)
    leaves = [LeafNode([(target, 10 * leaf + target) for target in range(3)]) for leaf in (1, 2)]
    stump = [BranchNode("LT", 0, 0.5, (1, 2)), *leaves]
    other = [BranchNode("LT", 0, -0.5, (4, 5)), *leaves]
    inputs = [np.linspace(-1, 1, 70, dtype=np.float32).reshape(-1, 1)]
    inputs += arrays_of([*stump, *other], [0, 3][:trees], 3)
    given = {"n_targets": 3, "aggregate": aggregate}
    np.testing.assert_array_equal(on_machine(inputs, **given), reference(inputs, **given))


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize(("trees", "targets"), [(0, 3), (2, 3), (3, 5), (4, 45)])
def test_a_warp_writes_the_scores_of_few_trees(trees, targets, aggregate, monkeypatch):
    monkeypatch.setattr(launches, "_FEW_SCORES", 0)
    monkeypatch.setattr(launches, "_MANY_WALKS", 1)
    nodes, rng = [], np.random.default_rng(targets)
    for tree in range(trees):
        nodes += [BranchNode("LT", 0, tree / 2 - 0.8, (len(nodes) + 1, len(nodes) + 2))]
        nodes += [LeafNode(list(enumerate(rng.integers(-9, 9, targets) / 4))) for _ in range(2)]
    inputs = [np.linspace(-1, 1, 70, dtype=np.float32).reshape(-1, 1)]
    inputs += arrays_of(nodes, 3 * np.arange(trees), targets)
    if trees > 1:
        inputs[1][1, 3] -= 1  # the last target of a leaf has no weight
    given = {"n_targets": targets, "aggregate": aggregate, "unscored": 7.0}
    np.testing.assert_array_equal(on_machine(inputs, **given), reference(inputs, **given))


@pytest.mark.parametrize(("trees", "threads"), [(257, 512), (513, 1024)])
def test_many_trees_of_one_sample_have_many_threads(trees, threads):
    assert launch_for(1, trees=trees).block == threads


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_a_thread_walks_through_several_trees(aggregate, monkeypatch):
    monkeypatch.setattr(launches, "_FEW_TREES", 99)
    monkeypatch.setattr(launches, "_MANY_SAMPLES", 1)
    for name in ("boosted", "one_sample", "stump"):
        inputs = CASES[name].inputs
        given = {"n_targets": 1, "aggregate": aggregate, "unscored": 5.0}
        np.testing.assert_array_equal(on_machine(inputs, **given), reference(inputs, **given))


@pytest.mark.parametrize(("trees", "block"), [(2, 128), (3, 64), (4, 64), (999, 64)])
def test_blocks_take_more_samples_where_there_are_few_trees(trees, block):
    assert launch_for(10**5, nodes=9999, trees=trees).grid[0] == -(-(10**5) // block)


@pytest.mark.parametrize(
    ("features", "trees", "copied"), [(64, 2, True), (65, 2, False), (9216, 999, True)]
)
def test_features_are_copied_where_trees_read_many_of_them(features, trees, copied):
    assert launch_for(9, features, trees=trees).constants["COPIED"] is copied


def test_more_features_than_shared_memory_has_are_not_copied():
    launch = launch_for(10**6, 9217, trees=9999)
    assert not launch.constants["COPIED"]
    assert launch.grid[0] == 10**6 // 64


@pytest.mark.parametrize("samples", [1, 10**4, 10**6])
@pytest.mark.parametrize("targets", [1, 7, 300])
@pytest.mark.parametrize("features", [3, 36, 320, 9216])
@pytest.mark.parametrize("trees", [1, 2, 5000])
def test_shared_memory_is_what_every_architecture_has(samples, targets, features, trees):
    assert launch_for(samples, features, 9, trees, targets).shared_bytes <= 2**16


@pytest.mark.parametrize("samples", [5, 1100])
@pytest.mark.parametrize("targets", [1, 3])
def test_features_that_are_not_copied_are_read_from_x(samples, targets):
    rng = np.random.default_rng(6)
    drawn = DrawnTrees(trees=2, depth=4, features=65, targets=targets)
    inputs = [rng.normal(size=(samples, 65)).astype(np.float32), *drawn.pack(rng)]
    np.testing.assert_array_equal(
        *(each(inputs, n_targets=targets) for each in (on_machine, reference))
    )


def test_errors():
    with pytest.raises(AttributeValueError, match="PK104"):
        TreeEnsemble(n_targets=0)
    inputs = [np.zeros((2, 1), np.float32), *arrays_of(STUMP, [0])[:3]]
    with pytest.raises(TensorError, match="TreeEnsemble/features: x .* expected 3 features"):
        reference(inputs, n_targets=1, features=3)
    with pytest.raises(TensorError, match="TreeEnsemble/shapes: .* expected one target each"):
        reference([*inputs, np.zeros(3, np.int32)], n_targets=1)


@architectures
def test_every_kernel_compiles(arch):
    plugins = [
        TreeEnsemble(n_targets=1, aggregate=each) for each in ("SUM", "AVERAGE", "MIN", "MAX")
    ]
    assert_kernels_compile(specialisations_of(plugins), arch)
