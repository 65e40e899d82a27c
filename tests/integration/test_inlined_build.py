"""What TensorRT takes of the operators that InlineFunction knows, and what it makes of the rest."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from pluginkit.errors import BuildError, ParseError
from pluginkit.graph_rewrites.drop_unused_outputs import DropUnusedOutputs
from pluginkit.graph_rewrites.inline_onnx_function import InlineFunction
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.samples import node_model, normal
from tests.integration.plans import size_of_plan

pytestmark = [pytest.mark.trt, pytest.mark.usefixtures("rtx")]


def attention(
    dtype: type = np.float16,
    *,
    size: int = 64,
    heads: int = 2,
    queries: int = 5,
    mask: tuple[int, ...] = (),
    opset: int = 24,
    **attributes: object,
) -> onnx.ModelProto:
    """A model of one Attention with six keys, with three axes where heads are given."""
    is_flat = "q_num_heads" in attributes
    inputs = {
        name: normal(*((1, length, size) if is_flat else (1, heads, length, size)), dtype=dtype)
        for name, length in (("q", queries), ("k", 6), ("v", 6))
    }
    if mask:
        inputs["mask"] = np.ones(mask, bool)
    return node_model("Attention", inputs, opset=opset, **attributes)


def varying(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with any number of queries and keys."""
    for value, name in zip(model.graph.input, ("queries", "keys", "keys"), strict=True):
        value.type.tensor_type.shape.dim[-2].dim_param = name
    model.graph.output[0].type.tensor_type.shape.dim[-2].dim_param = "queries"
    return model


FLAT = {"q_num_heads": 2, "kv_num_heads": 2}
TAKEN = {
    "16 bits": attention(),
    "16 bits, varying": varying(attention()),
    "16 bits, small heads": attention(size=9),
    "16 bits, large heads": attention(size=256, is_causal=1),
    "16 bits, mask": attention(mask=(5, 6)),
    "one query": attention(np.float32, heads=4, queries=1, is_causal=1),
    "one query, three axes": attention(
        np.float32, queries=1, is_causal=1, q_num_heads=4, kv_num_heads=4
    ),
    "three axes": attention(np.float32, **FLAT),
    "float32 Celu": node_model("Celu", {"x": normal(3)}),
    "int8 Clip": node_model("Clip", {"x": np.ones(3, np.int8), "low": np.int8(0)}, stored=["low"]),
}
REFUSED = {
    "float32": attention(np.float32),
    "one query, few heads": attention(np.float32, heads=3, queries=1, is_causal=1),
    "one query, few heads in three axes": attention(np.float32, queries=1, is_causal=1, **FLAT),
    "small heads": attention(size=8),
    "large heads": attention(size=257),
    "three axes, causal": attention(np.float32, is_causal=1, **FLAT),
    "three axes, varying": varying(attention(np.float32, **FLAT)),
    "softcap": attention(softcap=2.0),
    "softmax precision": attention(softmax_precision=1),
    "mask and causal": attention(mask=(5, 6), is_causal=1),
    "short mask": attention(mask=(5, 4)),
    "16-bit Celu": node_model("Celu", {"x": normal(3, dtype=np.float16)}, opset=28),
    "bound without a name": node_model(
        "Clip", {"x": np.ones(3, np.int8), "low": None, "high": np.int8(2)}
    ),
    "loss": node_model(
        "SoftmaxCrossEntropyLoss",
        {"scores": normal(4, 3), "labels": np.array([0, 2, 1, 1])},
        outputs=("y", "logs"),
    ),
    "mean": node_model(
        "LayerNormalization", {"x": normal(2, 3), "scale": normal(3)}, outputs=("y", "mean")
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_said_to_be_taken_builds(name: str, tmp_path: Path) -> None:
    assert rewrite_model(TAKEN[name], [InlineFunction]).applied == []
    assert size_of_plan(TAKEN[name], [], tmp_path) > 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_builds_once_inlined(name: str, tmp_path: Path) -> None:
    with pytest.raises((ParseError, BuildError), match="PK52[01]"):
        size_of_plan(REFUSED[name], [], tmp_path)
    assert size_of_plan(REFUSED[name], [InlineFunction], tmp_path) > 0


def test_unused_outputs_are_refused_until_they_are_dropped(tmp_path: Path) -> None:
    model = REFUSED["mean"]
    del model.graph.output[1]
    with pytest.raises(ParseError, match="PK520"):
        size_of_plan(model, [], tmp_path)
    assert size_of_plan(model, [DropUnusedOutputs], tmp_path) > 0
