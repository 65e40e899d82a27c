"""A model's file, piece by piece."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pluginkit.onnx.model import model_bytes
from pluginkit.onnx.model.model_bytes import pieces_of
from tests.unit.onnx.models import MODELS, model_of, silu_nodes, value


def weighted():
    weights = [numpy_helper.from_array(np.full(300, i, np.float32), f"w{i}") for i in range(3)]
    nodes = [*silu_nodes("x", "a"), helper.make_node("Sum", ["a", "w0", "w1", "w2"], ["y"])]
    function = helper.make_function(
        "local", "F", ["p"], ["q"], [helper.make_node("Relu", ["p"], ["q"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    model = model_of(
        nodes, [value("x", [300])], [value("y", [300])], weights, [function],
        value_info=[value("a", [300])], doc_string="the graph",
    )  # fmt: skip
    model.metadata_props.add(key="author", value="somebody")
    model.doc_string, model.producer_name, model.model_version = "ü", "maker", 7
    return model


def parsed(pieces):
    model = onnx.ModelProto()
    model.ParseFromString(b"".join(pieces))
    return model


def test_the_pieces_are_the_model():
    model = weighted()
    pieces = list(pieces_of(model))
    assert parsed(pieces) == model
    assert sum(map(len, pieces)) == model.ByteSize()
    onnx.checker.check_model(parsed(pieces))


@pytest.mark.parametrize("name", ["sage_dyn", "sage_ts"])
def test_real_models(name):
    model = onnx.load(MODELS / f"{name}.onnx")
    assert parsed(pieces_of(model)) == model


def test_no_piece_holds_two_weights():
    tensor = weighted().graph.initializer[0]
    assert max(map(len, pieces_of(weighted()))) < 2 * tensor.ByteSize()


def test_fields_that_this_onnx_does_not_know_are_kept():
    unknown = b"\xfa\x3f\x03new"  # field 1023, a text
    model = weighted()
    graph = model.graph.SerializeToString() + unknown
    model.graph.ParseFromString(graph)
    content = b"".join(pieces_of(model))
    assert unknown in content
    assert content == model.SerializeToString()


def test_what_is_too_large_is_refused_before_anything_is_written(monkeypatch):
    model = weighted()
    size = model.ByteSize()
    monkeypatch.setattr(model_bytes, "MAX_BYTES", size)
    assert parsed(pieces_of(model)) == model
    monkeypatch.setattr(model_bytes, "MAX_BYTES", size - 1)
    with pytest.raises(ValueError, match=str(size)):
        pieces_of(model)
