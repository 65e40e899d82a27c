import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest

from pluginkit.graph_rewrites.expand_group_query_attention import ExpandGroupQueryAttention
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.grouped_attention import grouped_attention
from tests.graph_rewrites.microsoft import (
    assert_close,
    assert_spelled_out,
    feeds_of,
    microsoft_model,
)
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import integers, normal
from tests.integration.plans import size_of_plan

REWRITES = [ExpandGroupQueryAttention]
#: Of the new elements, of the past, and how many keys each row then has.
STEPS = {
    "prompt": (5, None, (5, 5)),
    "prompt after an empty past": (5, 0, (5, 5)),
    "prompt in a buffer": (5, 9, (5, 5)),
    "prompt of one": (1, 0, (1, 1)),
    "step": (1, 6, (7, 7)),
    "step of rows with other lengths": (1, 6, (4, 7)),
    "step in a buffer": (1, 9, (4, 7)),
    "several steps": (3, 4, (7,)),
    "several steps in a buffer": (3, 9, (7,)),
}
OPTIONS = {
    "plain": {},
    "scale": {"scale": 0.2, "softcap": 0.5},
    "window": {"local_window_size": 2},
    "rotary": {"do_rotary": 1},
    "rotary of pairs": {"do_rotary": 1, "rotary_interleaved": 1, "local_window_size": 3},
}


def attention_model(step="step", dtype="float32", **options):
    inputs, given = grouped_attention(*STEPS[step], dtype=dtype, **options)
    model = microsoft_model("GroupQueryAttention", inputs, **given)
    return model, feeds_of(model, inputs)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("options", OPTIONS)
def test_the_new_keys_follow_the_past_ones(step, options):
    model, feeds = attention_model(step, **OPTIONS[options])
    assert_spelled_out(model, feeds, REWRITES)


@pytest.mark.parametrize("step", ["prompt", "several steps in a buffer"])
@pytest.mark.parametrize("options", ["plain", "rotary"])
def test_one_input_may_hold_queries_keys_and_values(step, options):
    model, feeds = attention_model(step, is_packed=True, **OPTIONS[options])
    assert_spelled_out(model, feeds, REWRITES)


@pytest.mark.parametrize("step", ["prompt after an empty past", "step in a buffer"])
@pytest.mark.parametrize("options", OPTIONS)
def test_halves_are_computed(step, options):
    model, feeds = attention_model(step, "float16", **OPTIONS[options])
    assert_spelled_out(model, feeds, REWRITES)


@pytest.mark.parametrize("step", ["prompt", "step in a buffer", "several steps"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("options", ["bias", "sinks", "smooth_softmax", "causal"])
def test_scores_have_a_bias_and_heads_may_see_nothing(step, dtype, options):
    length, _, totals = STEPS[step]
    more = {
        "bias": {"positions": None, "bias": normal(1, 4, length, max(totals)).astype(dtype)},
        "sinks": {"positions": None, "bias": None, "sinks": normal(4).astype(dtype)},
    }
    switches = {"smooth_softmax": {"smooth_softmax": 1}, "causal": {"causal": 0}}
    given = switches.get(options, {})
    model, feeds = attention_model(step, dtype, more=more.get(options), **given)
    assert_spelled_out(model, feeds, REWRITES)


@pytest.mark.parametrize("heads", [(4, 4), (4, 1), (1, 1)])
def test_heads_may_share_keys_or_not(heads):
    model, feeds = attention_model(heads=heads)
    assert_spelled_out(model, feeds, REWRITES)


def test_a_part_of_each_head_is_rotated():
    model, feeds = attention_model(do_rotary=1, rotated=16, size=32)
    assert_spelled_out(model, feeds, REWRITES)


@pytest.mark.parametrize("step", ["prompt after an empty past", "step", "several steps"])
def test_the_positions_may_be_an_input(step):
    length, _, totals = STEPS[step]
    positions = integers(len(totals), length, dtype=np.int64, high=15)
    model, feeds = attention_model(step, do_rotary=1, more={"positions": positions})
    assert_spelled_out(model, feeds, REWRITES)


def test_rows_of_a_prompt_may_be_padded():
    """What a row gives beyond its length is undefined."""
    inputs, given = grouped_attention(5, 9, (3, 5), do_rotary=1)
    model = microsoft_model("GroupQueryAttention", inputs, **given)
    feeds = feeds_of(model, inputs)
    made = rewrite_model(model, REWRITES).model
    expected, got = (list(run_onnxruntime(each, feeds).values()) for each in (model, made))
    for row, length in enumerate((3, 5)):
        assert_close(got[0][row, :length], expected[0][row, :length])
        for after, before in zip(got[1:], expected[1:], strict=True):
            assert_close(after[row, :, :length], before[row, :, :length])


def test_the_present_may_be_left_out():
    model, feeds = attention_model("prompt")
    del model.graph.node[0].output[1:], model.graph.output[1:]
    assert_spelled_out(model, feeds, REWRITES)


LAYER = """
    q{0} = MatMul(x{0}, wq)
    k{0} = MatMul(x{0}, wk)
    v{0} = MatMul(x{0}, wv)
    y{0}, present_k{0}, present_v{0} = com.microsoft.GroupQueryAttention
        <num_heads=4, kv_num_heads=2, do_rotary=1>
        (q{0}, k{0}, v{0}, past_k{0}, past_v{0}, lengths, total, cos, sin)
    o{0} = MatMul(y{0}, wo)
    x{1} = Add(x{0}, o{0})
"""


def decoder():
    """Two layers as ONNX Runtime's exporter writes them: a mask tells the lengths."""
    names = [f"{kind}{layer}" for layer in (0, 1) for kind in "kv"]
    past = ", ".join(f"float[b, 2, p, 16] past_{name}" for name in names)
    present = ", ".join(f"float[b, 2, t, 16] present_{name}" for name in names)
    model = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
        g (float[b, s, 24] x0, int64[b, t] mask, {past}) => (float[b, s, 24] x2, {present}) {{
            one = Constant<value = int64[1] {{1}}>()
            sum = ReduceSum(mask, one)
            less = Sub(sum, one)
            lengths = Cast<to = 6>(less)
            sizes = Shape<start = 1, end = 2>(mask)
            total = Cast<to = 6>(sizes)
            {LAYER.format(0, 1)} {LAYER.format(1, 2)}
        }}"""
    )
    stored = {"wq": (24, 64), "wk": (24, 32), "wv": (24, 32), "wo": (64, 24)}
    for name, shape in (stored | {"cos": (20, 8), "sin": (20, 8)}).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(normal(*shape) / 5, name))
    return model


def test_an_exported_model_goes_on_from_its_own_cache():
    model = decoder()
    made = rewrite_model(model, REWRITES).model
    assert {node.domain for node in made.graph.node} == {""}
    past = {f"past_{kind}{layer}": normal(2, 2, 0, 16) for layer in (0, 1) for kind in "kv"}
    for total, length in ((5, 5), (6, 1), (7, 1)):
        mask = np.ones((2, total), np.int64)
        feeds = {"x0": normal(2, length, 24), "mask": mask, **past}
        expected, got = (run_onnxruntime(each, feeds) for each in (model, made))
        for name, before in expected.items():
            assert_close(got[name], before)
        past = {name: got[name.replace("past", "present")] for name in past}


@pytest.mark.trt
def test_an_exported_model_is_built(tmp_path):
    assert size_of_plan(decoder(), REWRITES, tmp_path) > 0


PAST_OF_BYTES = np.ones((2, 2, 6, 16), np.int8)
REASONS = {
    "its cache keeps a window only": {"sliding_window_cache": 1},
    "its 4 heads of queries do not share its 3 heads of keys": {"kv_num_heads": 3},
    "the size of its queries is unknown, or does not make its heads": {"num_heads": 6},
    "it rotates, and has no tables for it": {"do_rotary": 1, "changed": {"cos": None, "sin": None}},
    "it has no queries, or not as many new keys": {"changed": {"key": normal(2, 0, 32)}},
    "'past_key' is int8; expected float32": {"changed": {"past_key": PAST_OF_BYTES}},
    "it has keys without values, or values without keys": {"changed": {"value": None}},
    "the size of its tables is unknown, or larger than that of a head": {
        "do_rotary": 1,
        "rotated": 32,
    },
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_is_not_spelled_out_is_left_with_a_reason(reason):
    options = dict(REASONS[reason])
    changed = options.pop("changed", {})
    inputs, given = grouped_attention(*STEPS["step"], **options)
    for name in changed:
        given["dims"].pop(name, None)
    model = microsoft_model("GroupQueryAttention", inputs | changed, **given)
    assert reason_against(ExpandGroupQueryAttention, model) == reason
