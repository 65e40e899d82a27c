import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.backend.test.runner import Runner
from onnx.reference import ReferenceEvaluator

from pluginkit.graph_rewrites.inline_onnx_function import (
    InlineFunction,
    InlineMicrosoftFunction,
    InlinePreviewFunction,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against, rewritten, run
from tests.graph_rewrites.samples import BFLOAT16, node_model, normal
from tests.onnx_node_tests import node_tests

INLINED = {
    op_type: rewrite
    for rewrite in (InlineFunction, InlinePreviewFunction)
    for op_type in rewrite.op.op_types
}


# The 93 tests of Attention take four seconds.
@pytest.mark.parametrize(
    "op_type",
    [pytest.param(each, marks=pytest.mark.slow if each == "Attention" else ()) for each in INLINED],
)
def test_the_node_tests_of_onnx_are_reproduced(op_type):
    rewrite, compared = INLINED[op_type], 0
    for test in node_tests(op_type):
        result = rewrite_model(test.model, [rewrite])
        if not result.applied:
            continue
        assert op_type not in [node.op_type for node in result.model.graph.node]
        again = rewrite_model(result.model, [rewrite])
        assert again.applied == []
        assert again.model == result.model
        names = [value.name for value in test.model.graph.input]
        for inputs, outputs in test.data_sets:
            with np.errstate(all="ignore"):
                got = ReferenceEvaluator(result.model).run(
                    None, dict(zip(names, inputs, strict=True))
                )
            Runner.assert_similar_outputs(outputs, got, rtol=test.rtol, atol=test.atol)
            compared += 1
    assert compared


def attention(dtype=np.float16, *, size=64, heads=(4, 4), mask=False, queries=5, **attributes):
    """A model of one Attention with four axes."""
    inputs = {
        "q": normal(2, heads[0], queries, size, dtype=dtype),
        "k": normal(2, heads[1], 6, size, dtype=dtype),
        "v": normal(2, heads[1], 6, size, dtype=dtype),
    }
    if mask:
        inputs["mask"] = np.ones((queries, 6), bool)
    return node_model("Attention", inputs, opset=24, **attributes)


def attention_3d(**attributes):
    """A model of one Attention with three axes."""
    inputs = {name: normal(2, 5, 32) for name in "qkv"}
    return node_model("Attention", inputs, opset=24, q_num_heads=4, **attributes)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (attention(), "it has 16 bits and a head size that kernels have"),
        (attention(BFLOAT16, mask=True), "it has 16 bits and a head size that kernels have"),
        (attention(np.float32, queries=1, is_causal=1), "it has one query, and heads enough"),
        (attention_3d(kv_num_heads=4), "it has three axes, as many heads for keys as for queries"),
    ],
)
def test_attention_that_tensorrt_takes_is_left(model, reason):
    assert reason in reason_against(InlineFunction, model)


@pytest.mark.parametrize(
    "model",
    [
        attention(np.float32),
        attention(np.float32, queries=1, heads=(1, 1)),
        attention(size=8),
        attention(size=264),
        attention(softcap=2.0),
        attention(mask=True, is_causal=1),
        attention(softmax_precision=1),
        attention_3d(kv_num_heads=4, is_causal=1),
    ],
)
def test_attention_that_it_refuses_is_inlined(model):
    result = rewrite_model(model, [InlineFunction])
    assert [each.rewrite for each in result.applied] == ["InlineFunction"]
    rng = np.random.default_rng(3)
    feeds = {
        value.name: rng.standard_normal(
            [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        ).astype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        for value in model.graph.input
    }
    (expected,) = ReferenceEvaluator(model).run(None, feeds)
    (got,) = ReferenceEvaluator(result.model).run(None, feeds)
    assert got.dtype == expected.dtype
    tolerance = 4e-3 if got.dtype == np.float16 else 1e-5
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_a_window_is_never_left_to_a_parser_that_does_not_know_it():
    inputs = {name: normal(1, 2, 5, 64, dtype=np.float16) for name in "qkv"}
    model = node_model("Attention", inputs, opset=25, left_window_size=2)
    result = rewrite_model(model, [InlineFunction])
    assert [each.rewrite for each in result.applied] == ["InlineFunction"]


@pytest.mark.parametrize(
    ("dtype", "size", "reason"),
    [
        (np.float32, "d", "the sizes of its heads are not known"),
        (np.float16, 64, "it has 16 bits and a head size that kernels have"),
    ],
)
def test_sizes_that_vary_are_left_where_a_kernel_may_fit(dtype, size, reason):
    inputs = {name: normal(1, 2, 5, 64, dtype=dtype) for name in "qkv"}
    dims = {name: ["n", 2, "length", size] for name in "qkv"}
    model = node_model("Attention", inputs, opset=23, dims=dims)
    assert reason in reason_against(InlineFunction, model)


@pytest.mark.parametrize("shape", [["n", 2, "length", 64], ["n", "length", 64]])
def test_float32_of_varying_length_is_inlined(shape):
    inputs = {name: np.ones((1,) * len(shape), np.float32) for name in "qkv"}
    heads = {"q_num_heads": 2, "kv_num_heads": 2} if len(shape) == 3 else {}
    dims = dict.fromkeys("qkv", shape)
    model = node_model("Attention", inputs, opset=23, dims=dims, **heads)
    feeds = {name: normal(*({"n": 3, "length": 4}.get(d, d) for d in shape)) for name in "qkv"}
    (got,) = ReferenceEvaluator(rewritten(InlineFunction, model)).run(None, feeds)
    (expected,) = ReferenceEvaluator(model).run(None, feeds)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_mask_that_is_shorter_than_the_keys_is_inlined():
    inputs = {name: normal(1, 2, 5, 64, dtype=np.float16) for name in "qkv"}
    inputs["mask"] = np.ones((5, 3), bool)
    model = node_model("Attention", inputs, opset=24)
    assert rewrite_model(model, [InlineFunction]).applied


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            node_model("LayerNormalization", {"x": normal(2, 3), "scale": normal(3)}),
            "only its first output is used",
        ),
        (node_model("Celu", {"x": normal(3)}), "it is float32"),
        (
            node_model(
                "Clip",
                {"x": np.ones(3, np.int8), "low": np.int8(0), "high": np.int8(2)},
                stored=["low", "high"],
            ),
            "it is int8 and stores the bounds that it lists",
        ),
        (node_model("Clip", {"x": normal(3)}), "it is neither int8 nor uint8"),
    ],
)
def test_what_tensorrt_takes_is_left(model, reason):
    assert reason_against(InlineFunction, model) == f"TensorRT takes it: {reason}"


def test_inputs_that_are_left_out_stay_left_out():
    x, high = np.array([-3, 4, 9], np.int8), np.array(5, np.int8)
    model = node_model("Clip", {"x": x, "low": None, "high": high})
    after = rewritten(InlineFunction, model)
    assert all(name for node in after.graph.node for name in node.input)
    (got,) = ReferenceEvaluator(after).run(None, {"x": x, "high": high})
    np.testing.assert_array_equal(got, [-3, 4, 5])


def test_outputs_that_nobody_reads_take_their_nodes_along():
    inputs = {"x": normal(2, 3), "scale": normal(3)}
    model = node_model("LayerNormalization", inputs, outputs=("y", "mean", "deviation"))
    whole = len(rewritten(InlineFunction, model).graph.node)
    del model.graph.output[0]
    del model.graph.output[1]
    after = rewritten(InlineFunction, model)
    assert len(after.graph.node) < whole
    (got,) = run(after, inputs)
    np.testing.assert_allclose(got[:, 0], inputs["x"].mean(1), rtol=1e-5)


def test_names_of_the_definition_do_not_meet_those_of_the_model():
    a, b = normal(3), normal(3)
    names = ("SwiGLU_SwishGate", "A")
    model = node_model("SwiGLU", dict(zip(names, (a, b), strict=True)), opset=28)
    model.graph.node[0].input[:] = names[::-1]  # what the definition calls A is its second input
    (got,) = ReferenceEvaluator(rewritten(InlineFunction, model)).run(
        None, dict(zip(names, (a, b), strict=True))
    )
    np.testing.assert_allclose(got, b / (1 + np.exp(-b)) * a, rtol=1e-5)


def test_a_node_in_a_body_is_inlined_there():
    scores, labels = normal(4, 3), np.array([0, 2, 1, 1])
    inner = node_model("SoftmaxCrossEntropyLoss", {"scores": scores, "labels": labels}, opset=13)
    body = inner.graph
    del body.input[:]
    other = helper.make_graph(
        [helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.float32(0)))],
        "other",
        [],
        [helper.make_tensor_value_info("zero", onnx.TensorProto.FLOAT, [])],
    )
    node = helper.make_node("If", ["c"], ["y_outside"], then_branch=body, else_branch=other)
    graph = helper.make_graph(
        [node],
        "test",
        [
            helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [4, 3]),
            helper.make_tensor_value_info("labels", onnx.TensorProto.INT64, [4]),
        ],
        [helper.make_tensor_value_info("y_outside", onnx.TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=10)
    result = rewrite_model(model, [InlineFunction])
    onnx.checker.check_model(result.model, full_check=True)
    assert {each.node for each in result.applied} >= {"node"}
    feeds = {"c": np.array(True), "scores": scores, "labels": labels}
    (got,) = run(result.model, feeds)
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    np.testing.assert_allclose(got, -logs[range(4), labels].mean(), rtol=1e-5)


def test_an_attribute_that_is_left_out_has_the_operators_default():
    x = np.array([-1.5, 0, 2], np.float16)
    model = node_model("Celu", {"x": x}, opset=28)
    (got,) = ReferenceEvaluator(rewritten(InlineFunction, model)).run(None, {"x": x})
    expected = np.maximum(x, 0) + np.minimum(0, np.expm1(x.astype(np.float32)))
    np.testing.assert_allclose(got, expected, rtol=2e-3)


def linear_attention(heads, rule, *, dtype="float32", with_past=True, **options):
    """An operator of ONNX Runtime's: the model and its inputs."""
    queries, keys = heads
    inputs = {"query": normal(2, 5, 8 * queries)}
    inputs |= {name: normal(2, 5, 8 * keys) / 4 for name in ("key", "value")}
    inputs["past"] = normal(2, keys, 8, 8) if with_past else None
    inputs["decay"] = -abs(normal(2, 5, keys)) if "gated" in rule else None
    inputs["beta"] = abs(normal(2, 5, keys)) if "delta" in rule else None
    inputs = {name: each if each is None else each.astype(dtype) for name, each in inputs.items()}
    counts = {"q_num_heads": queries, "kv_num_heads": keys, "update_rule": rule}
    outputs = {"y": (dtype, 3), "present": (dtype, 4)}
    model = microsoft_model("LinearAttention", inputs, outputs, **counts, **options)
    return model, feeds_of(model, inputs)


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
@pytest.mark.parametrize(("heads", "with_past"), [((2, 2), True), ((4, 2), False)])
def test_linear_attention_of_onnxruntime_is_that_of_onnx(rule, heads, with_past):
    model, feeds = linear_attention(heads, rule, with_past=with_past)
    assert_spelled_out(model, feeds, [InlineMicrosoftFunction])


@pytest.mark.parametrize("activation", ["none", "silu"])
@pytest.mark.parametrize("with_past", [False, True])
def test_a_causal_convolution_of_onnxruntime_is_that_of_onnx(activation, with_past):
    inputs = {"x": normal(2, 4, 7), "w": normal(4, 1, 3), "b": normal(4), "past": None}
    inputs |= {"past": normal(2, 4, 2)} if with_past else {}
    outputs = {"y": ("float32", 3), "present": ("float32", 3)}
    model = microsoft_model("CausalConvWithState", inputs, outputs, activation=activation)
    assert_spelled_out(model, feeds_of(model, inputs), [InlineMicrosoftFunction])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"opset": 14}, "its definition needs opset 15; the model has 14"),
        ({"state_window": 2}, "ONNX's operator has no attribute 'state_window'"),
    ],
)
def test_what_onnxruntime_adds_to_linear_attention_is_left(options, reason):
    model, _ = linear_attention((2, 2), "gated", **options)
    assert reason_against(InlineMicrosoftFunction, model) == reason
