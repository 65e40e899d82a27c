"""Write hostile ONNX files: valid models with one to four changes, in protobuf or in bytes."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MODELS = Path(__file__).parents[2] / "examples" / "models"
OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
NUMBERS = (0, 1, -1, 2, 7, 255, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
TEXTS = (
    "", "x", "y", "idx", "a b", "a\nb", "\x1b[31mred", "--help", "[bold]", "../x", "/etc/passwd",
    "ü€😀", "a" * 300, "%s{}", "json:", "json:{", "pluginkit", "then_branch", "\0", "none", "add",
)  # fmt: skip
OP_TYPES = (
    "", "If", "Loop", "Scan", "Relu", "Gather", "ScatterElements", "Scatter", "CircPad_PK",
    "ScatterElements_PK", "Constant", "ConstantOfShape", "Shape", "Reshape", "OneHot", "GatherND",
    "Identity", "NoSuchOp", "SequenceConstruct", "Cast", "TopK", "Einsum", "Resize", "Size",
)  # fmt: skip
LOCATIONS = (
    "../outside/secret.bin", "/etc/passwd", "{outside}/secret.bin", "link.bin",
    "sub/../weights.bin",
    "folder", "", ".", "..", "weights.bin", "missing.bin", "weights.bin\0x", "*/weights.bin",
    "a" * 300, "linked/secret.bin", "~/x", "fifo", "model.onnx",
)  # fmt: skip
#: A name that is replaced by bytes that are not UTF-8.
_MARK = "QZQZ"


def tensor(name: str, shape: list[Any] | None, dtype: int = TensorProto.FLOAT) -> Any:
    """Return a value of a graph."""
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(
    nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any], **more: Any
) -> onnx.ModelProto:
    """Return a model of opset 18."""
    functions = more.pop("functions", [])
    graph = helper.make_graph(nodes, "g", inputs, outputs, **more)
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=10, functions=functions)


def _scatter(reduction: str = "add", suffix: str = "") -> onnx.NodeProto:
    return helper.make_node(
        "ScatterElements", ["x", "idx", "u"], [f"y{suffix}"], "scatter", axis=0, reduction=reduction
    )


_SCATTER_INPUTS = [
    tensor("x", ["n", 4]), tensor("idx", ["m", 4], TensorProto.INT64), tensor("u", ["m", 4]),
]  # fmt: skip


def _scatter_model() -> onnx.ModelProto:
    return model_of([_scatter()], _SCATTER_INPUTS, [tensor("y", ["n", 4])])


def _stored() -> onnx.ModelProto:
    """Return a model with initializers and Constants, small ones and a weight."""
    weights = numpy_helper.from_array(np.ones((80, 4), np.float32), "x")
    index = numpy_helper.from_array(np.zeros((2, 4), np.int64), "idx")
    update = numpy_helper.from_array(np.ones((2, 4), np.float32))
    constant = helper.make_node("Constant", [], ["u"], "constant", value=update)
    add = helper.make_node("Add", ["y0", "b"], ["y"], "add")
    return model_of(
        [constant, _scatter("max", "0"), add], [tensor("b", [80, 4])], [tensor("y", [80, 4])],
        initializer=[weights, index],
    )  # fmt: skip


def _external() -> onnx.ModelProto:
    """Return a model with weights in ``weights.bin``, which :func:`write` puts next to it."""
    model = _stored()
    stored = model.graph.initializer[0]
    stored.ClearField("raw_data")
    set_external(stored, "weights.bin", "0", "1280")
    return model


def set_external(stored: onnx.TensorProto, location: str, offset: str, length: str) -> None:
    """Declare that a tensor's data is in a file."""
    stored.data_location = TensorProto.EXTERNAL
    del stored.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        stored.external_data.add(key=key, value=value)


def _branches() -> onnx.ModelProto:
    """Return an If whose condition follows from a rank, with a scatter in one branch."""
    then = helper.make_graph([_scatter("mul", "t")], "then", [], [tensor("yt", None)])
    other = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["ye"])], "else", [], [tensor("ye", None)]
    )
    two = helper.make_tensor("two", TensorProto.INT64, [1], [2])
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Shape", ["s"], ["rank"]),
        helper.make_node("Constant", [], ["two"], value=two),
        helper.make_node("Equal", ["rank", "two"], ["c1"]),
        helper.make_node("Squeeze", ["c1"], ["c"]),
        helper.make_node("If", ["c"], ["y"], "choice", then_branch=then, else_branch=other),
    ]
    return model_of(nodes, _SCATTER_INPUTS, [tensor("y", None)])


def _loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node(
                "ScatterElements", ["state", "idx", "u"], ["next"], "inner", reduction="add"
            ),
        ],
        "body",
        [tensor("i", [], TensorProto.INT64), tensor("go", [], TensorProto.BOOL),
         tensor("state", ["n", 4])],
        [tensor("go_on", [], TensorProto.BOOL), tensor("next", ["n", 4])],
    )  # fmt: skip
    limit = helper.make_tensor("limit", TensorProto.INT64, [], [2])
    nodes = [
        helper.make_node("Constant", [], ["limit"], value=limit),
        helper.make_node("Loop", ["limit", "", "x"], ["y"], "loop", body=body),
    ]
    return model_of(nodes, _SCATTER_INPUTS, [tensor("y", ["n", 4])])


def _function() -> onnx.ModelProto:
    function = helper.make_function("f", "F", ["x", "idx", "u"], ["y"], [_scatter()], OPSETS)
    call = helper.make_node("F", ["x", "idx", "u"], ["y"], "call", domain="f")
    model = model_of([call], _SCATTER_INPUTS, [tensor("y", ["n", 4])], functions=[function])
    model.opset_import.append(helper.make_opsetid("f", 1))
    return model


def _plugin() -> onnx.ModelProto:
    """Return a model with plugin nodes as authors write them."""
    pad = helper.make_node("CircPad_PK", ["x"], ["p"], "pad", domain="pluginkit", pads=[1, 0, 1, 2])
    relu = helper.make_node("Relu", ["p"], ["y"], "relu")
    return model_of([pad, relu], [tensor("x", [3, 4])], [tensor("y", None)])


def _gather() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gather", ["x", "i"], ["g"], "gather", axis=0),
        helper.make_node("ScatterElements", ["x", "idx", "g"], ["y"], "s", reduction="min"),
    ]
    inputs = [
        tensor("x", ["n", 4]), tensor("i", ["m"], TensorProto.INT64),
        tensor("idx", ["m", 4], TensorProto.INT64),
    ]  # fmt: skip
    return model_of(nodes, inputs, [tensor("y", ["n", 4])])


SEEDS: list[Callable[[], onnx.ModelProto]] = [
    _scatter_model, _stored, _external, _branches, _loop, _function, _plugin, _gather,
    lambda: onnx.load(MODELS / "sage_dyn.onnx"),
]  # fmt: skip

Mutation = Callable[[random.Random, onnx.ModelProto], None]


def _graphs(model: onnx.ModelProto) -> list[Any]:
    found: list[Any] = [model.graph, *model.functions]
    for graph in found:
        for node in graph.node:
            found += [one.g for one in node.attribute if one.type == onnx.AttributeProto.GRAPH]
    return found


def _node(rng: random.Random, model: onnx.ModelProto) -> onnx.NodeProto:
    nodes = [node for graph in _graphs(model) for node in graph.node]
    return rng.choice(nodes) if nodes else model.graph.node.add(op_type="Relu")


def _tensors(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    attributes = [one for graph in _graphs(model) for node in graph.node for one in node.attribute]
    return [*model.graph.initializer, *(one.t for one in attributes if one.HasField("t"))]


def _some_tensor(rng: random.Random, model: onnx.ModelProto) -> onnx.TensorProto:
    found = _tensors(model)
    return rng.choice(found) if found else model.graph.initializer.add(name="x", data_type=1)


def _name(rng: random.Random, model: onnx.ModelProto) -> str:
    names = [name for graph in _graphs(model) for node in graph.node for name in node.output]
    return rng.choice([*names, *TEXTS, _MARK, "x"])


def _value(rng: random.Random, model: onnx.ModelProto) -> onnx.ValueInfoProto:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    return rng.choice(values) if values else model.graph.input.add(name="x")


def _rename_edge(rng: random.Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    names = rng.choice([node.input, node.output])
    if names:
        names[rng.randrange(len(names))] = _name(rng, model)


def _change_arity(rng: random.Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    names = rng.choice([node.input, node.output])
    if rng.random() < 0.5 and names:
        del names[rng.randrange(len(names)) :]
    else:
        names.extend(_name(rng, model) for _ in range(rng.choice([1, 2, 5, 40])))


def _cycle(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = rng.choice(_graphs(model)).node
    if nodes:
        first, last = nodes[0], nodes[-1]
        if first.input and last.output:
            first.input[0] = last.output[0]


def _node_fields(rng: random.Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    field = rng.choice(["op_type", "domain", "name", "doc_string", "overload"])
    setattr(node, field, rng.choice([*OP_TYPES, *TEXTS, _MARK, "ai.onnx", "pluginkit", "f"]))


def _type(rng: random.Random, model: onnx.ModelProto) -> None:
    value = _value(rng, model)
    kind = rng.randrange(5)
    if kind == 0:
        value.type.tensor_type.elem_type = rng.choice([*range(27), 99, -1, 2**31 - 1])
    elif kind == 1:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1
    elif kind == 2:
        value.ClearField("type")
    elif kind == 3:
        value.type.map_type.key_type = rng.choice([7, 99])
    else:
        value.name = _name(rng, model)


def _dims(rng: random.Random, model: onnx.ModelProto) -> None:
    shape = _value(rng, model).type.tensor_type.shape
    kind = rng.randrange(4)
    if kind == 0 and shape.dim:
        shape.dim[rng.randrange(len(shape.dim))].dim_value = rng.choice(NUMBERS)
    elif kind == 1 and shape.dim:
        shape.dim[rng.randrange(len(shape.dim))].dim_param = rng.choice([*TEXTS, "n", _MARK])
    elif kind == 2:
        for _ in range(rng.choice([1, 8, 70])):
            shape.dim.add(dim_value=rng.choice([1, 2, *NUMBERS]))
    elif shape.dim:
        del shape.dim[rng.randrange(len(shape.dim)) :]


def _stored_tensor(rng: random.Random, model: onnx.ModelProto) -> None:
    stored = _some_tensor(rng, model)
    kind = rng.randrange(7)
    if kind == 0:
        stored.dims.append(rng.choice(NUMBERS))
    elif kind == 1:
        stored.data_type = rng.choice([*range(27), 99, -1])
    elif kind == 2:
        stored.raw_data = rng.randbytes(rng.choice([0, 1, 3, 64]))
    elif kind == 3:
        stored.name = _name(rng, model)
    elif kind == 4:
        stored.string_data.append(rng.randbytes(4))
    elif kind == 5:
        stored.float_data.append(math.nan)
    else:
        stored.CopyFrom(helper.make_tensor(stored.name, TensorProto.STRING, [1], [b"\xff\xfe"]))


def _external_data(rng: random.Random, model: onnx.ModelProto) -> None:
    sizes = ["", "0", "1", "1280", "-1", "-9223372036854775808", "9223372036854775807", "1" * 30]
    sizes += ["1" * 5000, "abc", "1e3", "0x10", " 4 ", "٣", "1_0", "\x1b", "nan"]
    location = rng.choice(LOCATIONS)
    set_external(_some_tensor(rng, model), location, rng.choice(sizes), rng.choice(sizes))


def _missing_initializer(rng: random.Random, model: onnx.ModelProto) -> None:
    stored = model.graph.initializer
    if stored:
        del stored[rng.randrange(len(stored))]


def _duplicate(rng: random.Random, model: onnx.ModelProto) -> None:
    fields = [model.graph.node, model.graph.input, model.graph.output, model.graph.initializer]
    fields += [model.opset_import, model.functions, model.graph.value_info]
    field = rng.choice([one for one in fields if len(one)] or [model.opset_import])
    if len(field):
        field.add().CopyFrom(field[rng.randrange(len(field))])


def _attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    whole = model.graph.SerializeToString()
    node = _node(rng, model)
    names = [one.name for one in node.attribute]
    name = rng.choice([*names, "axis", "reduction", "pads", "plugin_version", "plugin_namespace",
                       "pluginkit_inputs", "to", "value", *TEXTS])  # fmt: skip
    for index in reversed([i for i, one in enumerate(node.attribute) if one.name == name]):
        if rng.random() < 0.9:
            del node.attribute[index]
    new = node.attribute.add(name=name, type=rng.choice([*range(15), 3, 7, 4, 2]))
    kind = rng.randrange(9)
    if kind == 0:
        new.i = rng.choice(NUMBERS)
    elif kind == 1:
        new.f = rng.choice([math.nan, math.inf, -0.0, 1e38])
    elif kind == 2:
        new.s = rng.choice([b"\xff\xfe", b"add", b"json:[1,2]", b"json:" + b"[" * 9000, b"", b"\0"])
    elif kind == 3:
        new.ints.extend(rng.choices(NUMBERS, k=rng.choice([0, 1, 4])))
    elif kind == 4:
        new.strings.extend([b"\xff", b"a"])
    elif kind == 5:
        new.t.CopyFrom(_some_tensor(rng, model))
    elif kind == 6:
        new.ref_attr_name = rng.choice(TEXTS)
    elif kind == 7:
        new.g.ParseFromString(whole)
    else:
        new.floats.extend([math.nan, 1e30])
    if rng.random() < 0.8:
        new.type = (2, 1, 3, 7, 8, 4, 2, 5, 6)[kind]


def _self_reference(rng: random.Random, model: onnx.ModelProto) -> None:
    """Let a node read itself, perhaps inside its body, or add a second producer of its output."""
    node = _node(rng, model)
    if not node.output:
        return
    name = node.output[0]
    bodies = [one.g for one in node.attribute if one.type == onnx.AttributeProto.GRAPH]
    kind = rng.randrange(3)
    if kind == 0:
        node.input.append(name)
    elif kind == 1 and bodies:
        rng.choice(bodies).node.add(op_type="Identity", input=[name], output=["itself"])
    else:
        graph = rng.choice(_graphs(model))
        graph.node.add(op_type="Identity", input=list(node.input[:1]), output=[name])


def _signature_arity(rng: random.Random, model: onnx.ModelProto) -> None:
    """Give a body or a local function other inputs or outputs than its node has."""
    inner = _graphs(model)[1:]
    if not inner:
        return
    graph = rng.choice(inner)
    values = rng.choice([graph.input, graph.output])
    if values and rng.random() < 0.5:
        del values[rng.randrange(len(values)) :]
    elif isinstance(graph, onnx.FunctionProto):
        values.append(_name(rng, model))
    else:
        values.append(tensor(_name(rng, model), rng.choice([None, [], [4]]), rng.choice([1, 7, 9])))


def _nest(rng: random.Random, model: onnx.ModelProto) -> None:
    """Nest Ifs inside Ifs; protobuf refuses more than a hundred levels."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["o"])], "deep", [], [tensor("o", None)]
    )
    for _ in range(rng.choice([1, 3, 10, 25])):
        node = helper.make_node(
            "If", ["c"], ["o"], then_branch=graph, else_branch=onnx.GraphProto()
        )
        graph = helper.make_graph([node], "deep", [], [tensor("o", None)])
    model.graph.node.add().CopyFrom(graph.node[0])


def _recursive_function(rng: random.Random, model: onnx.ModelProto) -> None:
    names = ["A", "B"]
    for name, other in zip(names, rng.choice([names, names[::-1]]), strict=True):
        call = helper.make_node(other, ["x"], ["y"], f"call_{name}", domain="r")
        opsets = [*OPSETS, helper.make_opsetid("r", 1)]
        model.functions.append(helper.make_function("r", name, ["x"], ["y"], [call], opsets))
    model.opset_import.append(helper.make_opsetid("r", 1))
    model.graph.node.append(helper.make_node("A", ["x"], ["recursed"], "recurse", domain="r"))


def _opset(rng: random.Random, model: onnx.ModelProto) -> None:
    if model.opset_import:
        entry = rng.choice(model.opset_import)
        entry.version = rng.choice([*NUMBERS, 9, 11, 13, 16, 25])
        entry.domain = rng.choice([entry.domain, "", "ai.onnx", "pluginkit", "x" * 50])
    if rng.random() < 0.2:
        del model.opset_import[:]
    model.ir_version = rng.choice([model.ir_version, 3, 8, 0, -1, 2**62])


def _splice_outputs(rng: random.Random, model: onnx.ModelProto) -> None:
    graph = rng.choice(_graphs(model))
    kind = rng.randrange(3)
    if kind == 0:
        del graph.output[:]
    elif kind == 1:
        del graph.input[:]
    else:
        del graph.node[:]


def _sparse(rng: random.Random, model: onnx.ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add(dims=[rng.choice(NUMBERS)])
    sparse.values.CopyFrom(_some_tensor(rng, model))
    sparse.values.name = _name(rng, model)


MUTATIONS: list[Mutation] = [
    _rename_edge, _rename_edge, _change_arity, _cycle, _node_fields, _type, _dims, _dims,
    _stored_tensor, _external_data, _external_data, _missing_initializer, _duplicate, _attribute,
    _attribute, _nest, _recursive_function, _opset, _splice_outputs, _sparse,
    _self_reference, _signature_arity,
]  # fmt: skip


def mutated(rng: random.Random, folder: Path) -> bytes:
    """Return the bytes of a valid model after some changes."""
    model = rng.choice(SEEDS)()
    for _ in range(rng.choice([1, 1, 2, 4])):
        rng.choice(MUTATIONS)(rng, model)
    for stored in _tensors(model):
        for entry in stored.external_data:
            entry.value = entry.value.replace("{outside}", str(folder.parent / "outside"))
    return model.SerializeToString().replace(_MARK.encode(), b"\xff\xfe\xc0\x80")


def broken(rng: random.Random, folder: Path) -> bytes:
    """Return bytes that may not be a model: cut, flipped, repeated, deeply nested, or random."""
    content = bytearray(rng.choice(SEEDS)().SerializeToString())
    kind = rng.randrange(6)
    if kind == 0:
        return bytes(content[: rng.randrange(len(content))])
    if kind == 1:
        return rng.randbytes(rng.choice([0, 1, 16, 1000]))
    if kind == 2:
        content[rng.randrange(len(content)) :] = content[: rng.randrange(len(content))]
        return bytes(content)
    if kind == 3:
        return _nested_bytes(rng.choice([20, 40, 200, 3000]))
    for _ in range(rng.choice([1, 1, 3, 20])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _nested_bytes(depth: int) -> bytes:
    """Return deeply nested Ifs, written by hand because protobuf does not write so many levels."""

    def field(number: int, content: bytes) -> bytes:
        size, length = b"", len(content)
        while length >= 128:
            size += bytes([length % 128 + 128])
            length //= 128
        return bytes([number * 8 + 2]) + size + bytes([length]) + content

    graph = field(12, field(1, b"o"))
    for _ in range(depth):
        branch = field(1, b"then_branch") + field(6, graph) + b"\xa0\x01\x05"
        node = field(1, b"c") + field(2, b"o") + field(4, b"If") + field(5, branch)
        graph = field(1, node) + field(2, b"g") + field(12, field(1, b"o"))
    return b"\x08\x0a" + field(7, graph) + field(8, b"\x10\x12")


def write(rng: random.Random, folder: Path, name: str = "model.onnx") -> Path:
    """Write a hostile model, with the files that it may name."""
    content = broken(rng, folder) if rng.random() < 0.3 else mutated(rng, folder)
    path = folder / name
    path.write_bytes(content)
    surround(folder)
    return path


def surround(folder: Path) -> None:
    """Add external data, links out of the folder, and entries that are not regular files."""
    (folder / "weights.bin").write_bytes(bytes(1280))
    (folder / "folder").mkdir()
    (folder / "link.bin").symlink_to(folder.parent / "outside" / "secret.bin")
    (folder / "linked").symlink_to(folder.parent / "outside")
    os.mkfifo(folder / "fifo")
