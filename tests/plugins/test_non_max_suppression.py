import numpy as np
import pytest
from onnx import TensorProto, helper

from pluginkit import float32, int64
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError, TensorError
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.onnx.running.run_model import run_onnxruntime
from pluginkit.plugins.non_max_suppression import NonMaxSuppression, launches
from tests.onnx_node_tests import node_tests
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of

PORTS = ("boxes", "scores", "max_output_boxes_per_class", "iou_threshold", "score_threshold")


def inputs_of(boxes, scores, most=None, iou=None, score=None):
    numbers = [(most, np.int64), (iou, np.float32), (score, np.float32)]
    arrays = [np.asarray(boxes, np.float32), np.asarray(scores, np.float32)]
    return arrays + [None if one is None else np.array([one], dtype) for one, dtype in numbers]


def plugin_for(inputs, **attributes):
    present = [name for name, one in zip(PORTS, inputs, strict=True) if one is not None]
    return NonMaxSuppression(**attributes).with_inputs(*present)


def reference(inputs, **attributes):
    arrays = [one for one in inputs if one is not None]
    return calls.run_reference(plugin_for(inputs, **attributes), arrays)


def on_machine(inputs, **attributes):
    run = run_kernels(NonMaxSuppression(**attributes), inputs)
    assert not run.findings
    return run.outputs


def in_onnxruntime(inputs, center_point_box=0):
    given = [(name, one) for name, one in zip(PORTS, inputs, strict=True) if one is not None]
    node = helper.make_node(
        "NonMaxSuppression",
        [name if one is not None else "" for name, one in zip(PORTS, inputs, strict=True)],
        ["y"],
        center_point_box=center_point_box,
    )
    elem_types = {name: TensorProto.FLOAT for name, _ in given}
    elem_types["max_output_boxes_per_class"] = TensorProto.INT64
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, elem_types[name], one.shape) for name, one in given],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [None, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    return run_onnxruntime(model, dict(given))["y"]


def draw(kind, seed):
    """Inputs that are likely to go wrong in a way of their own."""
    rng = np.random.default_rng(seed)
    batches, classes, count = rng.integers(1, 3), rng.integers(1, 3), rng.integers(1, 40)
    boxes = rng.normal(size=(batches, count, 4)) * 3
    if kind == "whole":  # overlaps equal thresholds, boxes have no area
        boxes = rng.integers(-3, 4, boxes.shape)
    elif kind in ("nan", "inf"):
        boxes[rng.random(boxes.shape) < 0.1] = np.float32(kind)
    elif kind == "huge":
        boxes *= 10.0 ** rng.integers(-22, 22)
    scores = rng.integers(0, 8, (batches, classes, count)) / 8
    iou = rng.choice([0, 1 / 4, 1 / 3, 1 / 2, 1, rng.random()])
    return inputs_of(boxes, scores, rng.choice([-2, 0, 3, 100]), iou, rng.choice([0, 0.5, -1]))


@pytest.mark.parametrize("is_center", [0, 1])
@pytest.mark.parametrize("kind", ["whole", "real", "nan", "inf", "huge"])
def test_the_reference_is_what_onnxruntime_computes(kind, is_center):
    for seed in range(60):
        inputs = draw(kind, seed)
        (got, count) = reference(inputs, center_point_box=is_center)
        assert got.shape == (int(count), 3)
        np.testing.assert_array_equal(got, in_onnxruntime(inputs, is_center))


@pytest.mark.parametrize("is_center", [0, 1])
@pytest.mark.parametrize("kind", ["whole", "real", "nan", "inf", "huge"])
def test_the_kernels_compute_the_reference(kind, is_center):
    for seed in range(2):
        inputs = draw(kind, seed)
        inputs[2][:] = 100
        for got, wanted in zip(
            on_machine(inputs, center_point_box=is_center),
            reference(inputs, center_point_box=is_center),
            strict=True,
        ):
            np.testing.assert_array_equal(got, wanted)


def test_the_tests_that_come_with_onnx_agree():
    tests = node_tests("NonMaxSuppression")
    assert len(tests) >= 9
    for test in tests:
        (node,) = test.model.graph.node
        attributes = {each.name: each.i for each in node.attribute}
        for arrays, (expected,) in test.data_sets:
            given = dict(zip(filter(None, node.input), arrays, strict=True))
            inputs = [given.get(name) for name in PORTS]
            np.testing.assert_array_equal(reference(inputs, **attributes)[0], expected)


def several_chunks(monkeypatch):
    """Take chunks of 64 and then 128 boxes."""
    monkeypatch.setattr(launches, "_FIRST_CHUNK", 64)
    monkeypatch.setattr(launches, "_CHUNKS", {128: 2**31})


@pytest.mark.parametrize(
    ("spread", "most"),
    [(0, 1000), (1, 1000), (6, 1000), (40, 1000), (1e6, 1000), (6, 20), (1e6, 64), (1e6, 65)],
)
def test_boxes_of_several_chunks(spread, most, monkeypatch):
    """All overlap, hardly any does, and some end in the middle of a chunk."""
    several_chunks(monkeypatch)
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, spread, (1, 410, 2))
    boxes = np.concatenate([boxes, boxes + rng.uniform(1, 3, boxes.shape)], axis=2)
    inputs = inputs_of(boxes, rng.permutation(410).reshape(1, 1, -1), most, 0.4)
    assert len(list(launches.NonMaxSuppressionProblem(1, 1, 410, 410).chunks())) == 4
    for got, wanted in zip(on_machine(inputs), reference(inputs), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.slow
def test_more_boxes_than_a_slice_are_chosen_before(monkeypatch):
    several_chunks(monkeypatch)
    monkeypatch.setattr(launches, "_FIRST_CHUNK", 1088)
    rng = np.random.default_rng(1)
    low = np.stack([np.arange(1250), np.zeros(1250)], axis=1)[rng.permutation(1250)]
    low[rng.integers(0, 1250, 60)] += 0.25
    inputs = inputs_of(np.concatenate([low, low + 1], axis=1)[None], np.zeros((1, 1, 1250)), 5000)
    inputs[3] = np.array([0.5], np.float32)
    for got, wanted in zip(on_machine(inputs), reference(inputs), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert wanted > 1100


def test_equal_scores_are_taken_in_the_order_of_the_boxes():
    boxes = np.array([[[0, 0, 1, 1], [5, 5, 6, 6], [0, 0, 1, 1]]])
    for compute in (reference, on_machine):
        indices, count = compute(inputs_of(boxes, np.full((1, 1, 3), 0.5), 3, 0.5))
        assert indices.tolist() == [[0, 0, 0], [0, 0, 1]]
        assert count == 2


def test_nan_is_above_no_threshold_and_comes_last_without_one():
    boxes = [[[0, 0, 1, 1], [5, 5, 6, 6], [8, 8, 9, 9]]]
    scores = [[[np.nan, -np.inf, 1]]]
    for compute in (reference, on_machine):
        assert compute(inputs_of(boxes, scores, 3, 0.5))[0][:, 2].tolist() == [2, 1, 0]
        assert compute(inputs_of(boxes, scores, 3, 0.5, -np.inf))[0][:, 2].tolist() == [2]


def test_most_boxes_bounds_the_limit_and_the_output():
    inputs = inputs_of(np.arange(80).reshape(1, 20, 4), np.ones((1, 1, 20)), 30, 0.9)
    for compute in (reference, on_machine):
        assert compute(inputs, most_boxes=3)[1] == 3
        assert compute(inputs, most_boxes=0)[1] == 0
    plugin = plugin_for(inputs, most_boxes=3)
    described = calls.describe_arrays(plugin, inputs[:4])
    assert calls.describe_outputs(plugin, described)[0].shape == (3, 3)


@pytest.mark.parametrize("problem", ["boxes", "corners", "batches", "limit"])
def test_shapes_that_do_not_fit_are_refused(problem):
    shapes = [(2, 5, 4), (2, 3, 5), (1,)]
    at, shape = {
        "boxes": (1, (2, 3, 6)),
        "corners": (0, (2, 5, 5)),
        "batches": (1, (1, 3, 5)),
        "limit": (2, (2,)),
    }[problem]
    shapes[at] = shape
    plugin = NonMaxSuppression().with_inputs(*PORTS[:3])
    described = calls.describe_inputs(plugin, shapes, [float32, float32, int64])
    with pytest.raises(PluginkitError, match="PK124|shapes"):
        calls.check(plugin, described)


def test_more_scores_than_positions_are_refused():
    plugin = NonMaxSuppression().with_inputs(*PORTS[:3])
    shapes = [(1, 2**23, 4), (1, 256, 2**23), (1,)]
    described = calls.describe_inputs(plugin, shapes, [float32, float32, int64])
    with pytest.raises(PluginkitError, match="size"):
        calls.check(plugin, described)
    with pytest.raises(TensorError, match="PK118"):
        calls.describe_outputs(plugin, described)


@pytest.mark.parametrize(
    ("segments", "boxes", "most"),
    [(1, 100_000, 300), (80, 8400, 8400), (3000, 1000, 100), (9, 1, 1)],
)
def test_smaller_calls_need_no_more_memory(segments, boxes, most):
    whole = launches.NonMaxSuppressionProblem(segments, 1, boxes, most).sizes()
    for fewer in {1, 8, 32, 33, segments // 2, segments - 1} - {0}:
        for size in {1, 64, 2048, 2049, boxes // 2, boxes - 1} - {0}:
            if fewer > segments or size > boxes:
                continue
            part = launches.NonMaxSuppressionProblem(fewer, 1, size, min(most, size))
            assert all(a <= b for a, b in zip(part.sizes(), whole, strict=True))
            for _, chunk in part.chunks():
                assert fewer * chunk * chunk // 8 <= part.sizes()[-1]
                assert fewer * chunk // 8 <= part.sizes()[1]


def test_a_hundred_thousand_boxes_take_few_launches():
    inputs = calls.describe_inputs(
        plugin := NonMaxSuppression().with_inputs(*PORTS[:3]),
        [(1, 100_000, 4), (1, 1, 100_000), (1,)],
        [float32, float32, int64],
    )
    work = enqueue_steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert len(work.launches) == 1 + 2 + 2 * 13 + 1


@architectures
def test_every_kernel_compiles(arch):
    assert_kernels_compile(specialisations_of([NonMaxSuppression()]), arch)
