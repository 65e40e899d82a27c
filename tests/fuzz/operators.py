"""Write models of one operator that contradicts its schema, which the parser does not check."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, defs, helper, numpy_helper

from tests.fuzz import models

_VERSIONS = (7, 9, 11, 13, 18, 21, 24)
_KINDS = tuple(range(1, 9))
_NUMBERS = (0, 1, -1, 2, 3, 7, 100, 2**31, -(2**31), 2**62, -(2**63))
_TEXTS = (b"", b"NOTSET", b"SAME_UPPER", b"linear", b"ii->i", b"\xff", b"DCR", b"reverse")
_NAMES = "abcdefghijkl"
#: The mistakes: the number of inputs, attributes, shapes, the number of outputs, all, or none.
_WRONG = ("inputs", "attributes", "shapes", "outputs", "all", "nothing")


@functools.cache
def _op_types() -> tuple[str, ...]:
    return tuple(sorted({one.name for one in defs.get_all_schemas() if not one.domain}))


def model(rng: random.Random) -> onnx.ModelProto:
    """Return a random operator with random inputs, with one mistake or all."""
    op_type, version, wrong = rng.choice(_op_types()), rng.choice(_VERSIONS), rng.choice(_WRONG)
    try:
        schema = defs.get_schema(op_type, version)
    except defs.SchemaError:
        schema = defs.get_schema(op_type)
    graph = onnx.GraphProto(name="g")
    for name in ("a", "c"):  # what bodies capture
        graph.input.append(models.tensor(name, [1]))
    node = graph.node.add(op_type=op_type, name="n")
    _add_inputs(rng, schema, wrong, graph, node)
    least = max(1, schema.min_output)
    is_wrong = wrong in ("outputs", "all")
    count = rng.randrange(1, min(schema.max_output, 5) + 3) if is_wrong else least
    node.output.extend(f"o{index}" for index in range(count))
    for attribute in schema.attributes.values():
        _add_attribute(rng, attribute, wrong, node)
    graph.output.append(models.tensor("o0", None))
    if rng.random() < 0.5:
        graph.node.append(helper.make_node("Relu", ["o0"], ["z"]))
        graph.output[0].name = "z"
    opset = helper.make_opsetid("", version)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def _add_inputs(
    rng: random.Random, schema: defs.OpSchema, wrong: str, graph: onnx.GraphProto,
    node: onnx.NodeProto,
) -> None:  # fmt: skip
    least = schema.min_input
    if wrong in ("inputs", "all"):
        count = rng.randrange(max(2, min(schema.max_input, 6)) + 2)
    else:
        count = rng.randint(least, max(least, min(schema.max_input, least + 2)))
    for name in _NAMES[:count]:
        if wrong in ("inputs", "all") and rng.random() < 0.2:
            node.input.append("")
            continue
        node.input.append(name)
        values = [value for value in graph.input if value.name == name]
        if rng.random() < 0.4:
            stored = graph.initializer.add()
            stored.CopyFrom(_stored(rng, is_damaged=wrong == "all"))
            stored.name = name
            for value in values:
                graph.input.remove(value)
            continue
        rank, sizes = 4, [1, 2, 3, 4]
        if wrong in ("shapes", "all"):
            rank, sizes = rng.choice([0, 1, 2, 3, 4, 5, 9]), [1, 2, 3, "n", 0]
        value = values[0] if values else graph.input.add()
        dtype = rng.choice([1, 1, 1, 7, 6, 9, 10, 11, 8, 16])
        value.CopyFrom(models.tensor(name, rng.choices(sizes, k=rank), dtype))


def _stored(rng: random.Random, is_damaged: bool) -> onnx.TensorProto:
    if is_damaged and rng.random() < 0.3:
        dims = rng.choice([[], [3], [0], [-1], [2**40]])
        stored = TensorProto(data_type=rng.choice([1, 7, 6, 8, 0, 99]), dims=dims)
        stored.raw_data = rng.choice([b"", b"abc"])
        return stored
    shape = rng.choice([(), (0,), (1,), (2,), (4,), (2, 3), (2, 3, 4)])
    dtype = rng.choice([np.float32, np.int64, np.int32, np.bool_])
    return numpy_helper.from_array(rng.choice([np.zeros, np.ones])(shape, dtype))


def _add_attribute(
    rng: random.Random, declared: defs.OpSchema.Attribute, wrong: str, node: onnx.NodeProto
) -> None:
    kind = declared.type.value
    if wrong in ("attributes", "all"):
        if rng.random() < 0.3:
            return
        if rng.random() < 0.4:
            kind = rng.choice(_KINDS)
    elif not declared.required and rng.random() < 0.6:
        return
    new = node.attribute.add(name=declared.name, type=kind)
    if kind == AttributeProto.INT:
        new.i = rng.choice(_NUMBERS)
    elif kind == AttributeProto.FLOAT:
        new.f = rng.choice([0, 1, -1, float("nan"), 1e30])
    elif kind == AttributeProto.STRING:
        new.s = rng.choice(_TEXTS)
    elif kind == AttributeProto.TENSOR:
        new.t.CopyFrom(_stored(rng, is_damaged=True))
    elif kind == AttributeProto.GRAPH:
        new.g.CopyFrom(_body(rng))
    elif kind == AttributeProto.FLOATS:
        new.floats.extend(rng.choices([0, 1, -1, 1e30], k=rng.randrange(5)))
    elif kind == AttributeProto.INTS:
        new.ints.extend(rng.choices(_NUMBERS, k=rng.randrange(6)))
    elif kind == AttributeProto.STRINGS:
        new.strings.extend(rng.choices([b"", b"Tanh", b"\xff"], k=rng.randrange(4)))


def _body(rng: random.Random) -> onnx.GraphProto:
    """Return a body with up to three inputs and two outputs."""
    inputs = [models.tensor(f"i{n}", [], rng.choice([1, 7, 9])) for n in range(rng.randrange(4))]
    names = ["a", "c", *(value.name for value in inputs)]
    outputs = [f"r{index}" for index in range(rng.randrange(3))]
    nodes = [helper.make_node("Identity", [rng.choice(names)], [name]) for name in outputs]
    empty = [helper.make_empty_tensor_value_info(name) for name in outputs]
    return helper.make_graph(nodes, "body", inputs, empty)


def write(rng: random.Random, folder: Path) -> Path:
    """Write such a model into an empty folder."""
    path = folder / "model.onnx"
    path.write_bytes(model(rng).SerializeToString())
    return path
