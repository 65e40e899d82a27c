import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.expand_embedding_bag import ExpandEmbeddingBag
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

TABLE = np.random.default_rng(5).standard_normal((9, 4)).astype(np.float32)
#: As PyTorch's exporter writes it, without its constants inside.
TEXT = """<ir_version: 8, opset_import: ["" : 18]>
    t (float[9, 4] w, int64[ids] numbers, int64[bags] starts) => (float[bags, 4] y)
    <bool true = {{1}}, int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] far = {{1000}}> {{
    size = Shape(numbers)
    all = Concat<axis = 0>(starts, size)
    ends = Slice(all, one, far, zero)
    count = Shape(ends)
    runs = Squeeze(count)
    y = Loop(runs, true) <body = b (int64 i, bool go) => (bool stays, float[4] row) {{
        start = Gather<axis = 0>(all, i) end = Gather<axis = 0>(ends, i)
        from = Unsqueeze(start, zero) to = Unsqueeze(end, zero)
        part = Slice(numbers, from, to, zero) rows = Gather<axis = 0>(w, part)
        axes = Constant<value = int64[1] {{0}}>()
        row = {}<keepdims = 0>(rows, axes) stays = {}
    }}> }}"""
FEEDS = {"w": TABLE, "numbers": np.array([3, 1, 8, 8, 0, 2]), "starts": np.array([0, 2, 5])}


def bags_model(reduction="ReduceSum", stays="Cast<to = 9>(true)"):
    return onnx.parser.parse_model(TEXT.format(reduction, stays))


@pytest.mark.parametrize("reduction", ["ReduceSum", "ReduceMean", "ReduceMax"])
@pytest.mark.parametrize("stays", ["Cast<to = 9>(true)", "Identity(go)"])
def test_a_loop_over_bags_is_a_product(reduction, stays):
    model = bags_model(reduction, stays)
    result = rewrite_model(model, [ExpandEmbeddingBag])
    assert [each.rewrite for each in result.applied] == ["ExpandEmbeddingBag"]
    expected, got = run_onnxruntime(model, FEEDS), run_onnxruntime(result.model, FEEDS)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-6, atol=1e-6)
    assert rewrite_model(result.model, [ExpandEmbeddingBag]).applied == []


def test_a_loop_whose_constants_are_initializers_of_its_body_is_a_product():
    model = bags_model()
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    body = loop.attribute[0].g
    axes, stays = body.node[-3], body.node[-1]
    body.initializer.append(axes.attribute[0].t)
    body.initializer[0].name = axes.output[0]
    body.initializer.append(onnx.numpy_helper.from_array(np.array(True), stays.output[0]))
    body.node.remove(axes)
    body.node.remove(stays)
    result = rewrite_model(model, [ExpandEmbeddingBag])
    assert [each.rewrite for each in result.applied] == ["ExpandEmbeddingBag"]
    expected, got = run_onnxruntime(model, FEEDS), run_onnxruntime(result.model, FEEDS)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("reduction", "empty"), [("ReduceSum", 0), ("ReduceMean", 0), ("ReduceMax", -np.inf)]
)
def test_a_bag_without_ids(reduction, empty):
    model = bags_model(reduction)
    feeds = FEEDS | {"starts": np.array([0, 2, 2])}
    made = rewrite_model(model, [ExpandEmbeddingBag]).model
    got, expected = run_onnxruntime(made, feeds)["y"], run_onnxruntime(model, feeds)["y"]
    assert (got[1] == empty).all()
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


#: A factor for each row of a bag, as PyTorch writes ``per_sample_weights``.
FACTORS = """plain = Gather<axis = 0>(w, part) some = Slice(factors, {}, to, zero)
    second = Constant<value = int64[1] {{1}}>() column = Unsqueeze(some, second)
    rows = Mul(plain, column)"""


def weighted_model(start):
    text = TEXT.format("ReduceSum", "Identity(go)")
    text = text.replace("int64[bags] starts)", "int64[bags] starts, float[ids] factors)")
    return onnx.parser.parse_model(
        text.replace("rows = Gather<axis = 0>(w, part)", FACTORS.format(start))
    )


def test_rows_with_factors():
    model = weighted_model("from")
    made = rewrite_model(model, [ExpandEmbeddingBag]).model
    assert not any(node.op_type == "Loop" for node in made.graph.node)
    feeds = FEEDS | {"factors": np.linspace(-1, 2, 6, dtype=np.float32)}
    got, expected = run_onnxruntime(made, feeds)["y"], run_onnxruntime(model, feeds)["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_factors_of_other_rows_are_left():
    (refused,) = rewrite_model(weighted_model("zero"), [ExpandEmbeddingBag]).refused
    assert refused.reason == "it is no loop over bags: its body does something else"


@pytest.mark.parametrize(
    ("reduction", "stays", "reason"),
    [
        ("ReduceMin", "Identity(go)", "it is no loop over bags: its body does something else"),
        ("ReduceSum", "Less(i, end)", "it is no loop over bags: its condition may change"),
    ],
)
def test_other_loops_are_left(reduction, stays, reason):
    (refused,) = rewrite_model(bags_model(reduction, stays), [ExpandEmbeddingBag]).refused
    assert refused.reason == reason
