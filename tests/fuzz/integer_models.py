"""Random models whose integers have types that TensorRT lacks, in nested branches and bodies.

Every model is valid and small. The seed decides the types, the operators, the values that a body
captures, and those that a loop carries and collects.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.fuzz.integer_graphs import RARE, SHAPES, Case, Graph, Root, Value, is_within, size_of


def make(rng: random.Random, depth: int = 3) -> Case:
    """Make a model from a seeded random generator."""
    root = Root(
        rng,
        opset=rng.choice([13, 14, 16, 17, 18, 18, 19, 20, 21]),
        dtypes=list(dict.fromkeys(rng.choice(RARE) for _ in range(rng.choice([1, 1, 2, 3])))),
        is_for_onnxruntime=rng.random() < 0.4,
        operators=OPERATORS,
        flow=[_if, _if, _loop, _loop, _scan],
    )
    graph = Graph(root, None)
    inputs = []
    for at in range(rng.choice([2, 3])):
        dtype = rng.choice(["uint8", "uint8", "int8", "int32", "float32"])
        inputs.append(Value(f"x{at}", dtype, rng.choice(SHAPES)))
    inputs.append(Value("flag", "bool", ()))
    graph.values += inputs
    for value in inputs[:2]:
        graph.cast(value, rng.choice(root.dtypes))
    graph.fill(rng.choice([4, 8, 12]), depth)
    outputs = [graph.for_the_border(value) for value in graph.some_made(3)]
    feeds = {value.name: root.array(value) for value in inputs}
    proto = helper.make_graph(
        graph.nodes,
        "g",
        [value.info for value in inputs],
        [value.info for value in outputs],
        graph.stored,
    )
    opsets = [helper.make_opsetid("", root.opset)]
    ir_version = 10 if root.opset >= 21 else 9
    return Case(helper.make_model(proto, opset_imports=opsets, ir_version=ir_version), feeds)


def _binary(graph: Graph) -> None:
    op_type = graph.rng.choice(["Add", "Sub", "Mul", "Add", "Sub", "Max", "Min"])
    a = graph.rare()
    pair = [a, graph.like(a)]
    if graph.rng.random() < 0.5:
        pair.reverse()
    graph.node(op_type, pair, graph.new(a.dtype, a.shape))


def _quotient(graph: Graph) -> None:
    """Divide by a stored positive number: implementations round negative quotients differently."""
    a = graph.rare()
    op_type = graph.rng.choice(["Div", "Mod"])
    if op_type == "Div" and a.dtype.startswith("int"):
        (a,) = graph.node("Relu", [a], graph.new(a.dtype, a.shape)) or [None]
        if a is None or graph.root.opset < 14:
            return
    divisor = graph.constant(np.array(graph.rng.choice([1, 2, 3, 7, 100]), a.dtype))
    graph.node(op_type, [a, divisor], graph.new(a.dtype, a.shape))


def _bit_shift(graph: Graph) -> None:
    dtypes = [each for each in graph.root.dtypes if each.startswith("u")]
    if not dtypes:
        return
    a = graph.some(*dtypes)
    count = graph.constant(np.array(graph.rng.choice([0, 1, 3, 7]), a.dtype))
    direction = graph.rng.choice(["LEFT", "RIGHT"])
    graph.node("BitShift", [a, count], graph.new(a.dtype, a.shape), direction=direction)


def _bitwise(graph: Graph) -> None:
    if graph.root.opset < 18:
        return
    a = graph.rare()
    op_type = graph.rng.choice(["BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"])
    inputs = [a] if op_type == "BitwiseNot" else [a, graph.like(a)]
    graph.node(op_type, inputs, graph.new(a.dtype, a.shape))


def _unary(graph: Graph) -> None:
    a = graph.rare()
    op_types = ["Abs", "Sign", "Identity", "Identity"]
    if a.dtype.startswith("int"):
        op_types += ["Neg"] + ["Relu"] * (graph.root.opset >= 14)
    op_type = graph.rng.choice(op_types)
    graph.node(op_type, [a], graph.new(a.dtype, a.shape))


def _compare(graph: Graph) -> None:
    a = graph.rare()
    op_types = ["Equal", "Less", "Greater"]
    op_types += ["LessOrEqual", "GreaterOrEqual"] * (graph.root.opset >= 16)
    graph.node(graph.rng.choice(op_types), [a, graph.like(a)], graph.new("bool", a.shape))


def _where(graph: Graph) -> None:
    a = graph.rare()
    flags = graph.readable(lambda value: value.dtype == "bool" and is_within(value.shape, a.shape))
    graph.node("Where", [graph.rng.choice(flags), a, graph.like(a)], graph.new(a.dtype, a.shape))


def _clip(graph: Graph) -> None:
    a = graph.rare()
    low, high = sorted(int(each) for each in graph.root.array(Value("", a.dtype, (2,))))
    limits = [graph.constant(np.array(each, a.dtype)) for each in (low, high)]
    graph.node("Clip", [a, *limits], graph.new(a.dtype, a.shape))


def _concat(graph: Graph) -> None:
    a = graph.rare()
    if not a.shape or a.shape[0] > 8:
        return
    alike = graph.readable(lambda value: (value.dtype, value.shape) == (a.dtype, a.shape))
    shape = (2 * a.shape[0], *a.shape[1:])
    graph.node("Concat", [a, graph.rng.choice(alike or [a])], graph.new(a.dtype, shape), axis=0)


def _slice(graph: Graph) -> None:
    a = graph.rare()
    if not a.shape or a.shape[-1] < 2:
        return
    start, end, axis = (
        graph.constant(np.array([each], np.int64)) for each in (1, a.shape[-1], len(a.shape) - 1)
    )
    shape = (*a.shape[:-1], a.shape[-1] - 1)
    graph.node("Slice", [a, start, end, axis], graph.new(a.dtype, shape))


def _gather(graph: Graph) -> None:
    a = graph.rare()
    if not a.shape:
        return
    axis = graph.rng.randrange(len(a.shape))
    picks = [graph.rng.randrange(a.shape[axis]) for _ in range(2)]
    indices = graph.constant(np.array(picks, np.int64))
    shape = (*a.shape[:axis], 2, *a.shape[axis + 1 :])
    graph.node("Gather", [a, indices], graph.new(a.dtype, shape), axis=axis)


def _reshape(graph: Graph) -> None:
    a = graph.rare()
    kind = graph.rng.choice(["Reshape", "Transpose", "Unsqueeze", "Flatten", "Tile", "Pad"])
    if kind == "Reshape":
        target = graph.constant(np.array([-1, 1], np.int64))
        graph.node("Reshape", [a, target], graph.new(a.dtype, (size_of(a), 1)))
    elif kind == "Transpose":
        graph.node("Transpose", [a], graph.new(a.dtype, a.shape[::-1]))
    elif kind == "Unsqueeze" and len(a.shape) < 4:
        axes = graph.constant(np.array([0], np.int64))
        graph.node("Unsqueeze", [a, axes], graph.new(a.dtype, (1, *a.shape)))
    elif kind == "Flatten" and a.shape:
        rest = int(np.prod(a.shape[1:]))
        graph.node("Flatten", [a], graph.new(a.dtype, (a.shape[0], rest)))
    elif kind == "Tile" and a.shape and size_of(a) < 40:
        repeats = graph.constant(np.array([2] + [1] * (len(a.shape) - 1), np.int64))
        graph.node("Tile", [a, repeats], graph.new(a.dtype, (2 * a.shape[0], *a.shape[1:])))
    elif kind == "Pad" and a.shape and size_of(a) < 40:
        pads = [1] + [0] * (2 * len(a.shape) - 1)
        fill = graph.constant(np.array(graph.rng.choice([0, 7]), a.dtype))
        inputs = [a, graph.constant(np.array(pads, np.int64)), fill]
        graph.node("Pad", inputs, graph.new(a.dtype, (a.shape[0] + 1, *a.shape[1:])))


def _reduce(graph: Graph) -> None:
    a = graph.rare()
    if not a.shape:
        return
    op_type = graph.rng.choice(["ReduceMax", "ReduceMin", "ReduceSum"])
    keeps = graph.rng.random() < 0.5
    shape = (1, *a.shape[1:]) if keeps else a.shape[1:]
    if op_type == "ReduceSum" or graph.root.opset >= 18:
        axes = graph.constant(np.array([0], np.int64))
        graph.node(op_type, [a, axes], graph.new(a.dtype, shape), keepdims=int(keeps))
    else:
        graph.node(op_type, [a], graph.new(a.dtype, shape), axes=[0], keepdims=int(keeps))


def _order(graph: Graph) -> None:
    a = graph.rare()
    if not a.shape:
        return
    if len(a.shape) > 1 and graph.rng.random() < 0.5:  # TensorRT has it from rank 2 on
        shape = (*a.shape[:-1], 1)
        op_type = graph.rng.choice(["ArgMax", "ArgMin"])
        graph.node(op_type, [a], graph.new("int64", shape), axis=-1)
    else:
        count = graph.constant(np.array([1], np.int64))
        shape = (*a.shape[:-1], 1)
        outputs = graph.new(a.dtype, shape), graph.new("int64", shape)
        graph.node("TopK", [a, count], *outputs)


def _cast_between(graph: Graph) -> None:
    a = graph.some(*graph.root.dtypes, "int32", "float32", "bool")
    target = graph.rng.choice([*graph.root.dtypes, *graph.root.dtypes, "int32", "float32"])
    if a.dtype != target:
        graph.cast(a, target)


def _in_float32(graph: Graph) -> None:
    a = graph.some("float32")
    op_type = graph.rng.choice(["Add", "Mul", "Relu", "Neg"])
    inputs = [a] if op_type in ("Relu", "Neg") else [a, graph.constant(np.float32(0.5))]
    graph.node(op_type, inputs, graph.new("float32", a.shape))


def _quantize(graph: Graph) -> None:
    dtype = graph.rng.choice(["uint8", "int8"])
    a = graph.some("float32")
    scale = graph.constant(np.float32(graph.rng.choice([0.5, 1, 2])))
    zero = graph.constant(np.array(graph.rng.choice([0, 0, 3, 100]), dtype))
    quantized = graph.node("QuantizeLinear", [a, scale, zero], graph.new(dtype, a.shape))
    if quantized and graph.rng.random() < 0.6:
        graph.node("DequantizeLinear", [*quantized, scale, zero], graph.new("float32", a.shape))


def _dequantize(graph: Graph) -> None:
    dtypes = [each for each in graph.root.dtypes if each in ("uint8", "int8")]
    if not dtypes:
        return
    a = graph.some(*dtypes)
    scale = graph.constant(np.float32(graph.rng.choice([0.5, 1, 2])))
    zero = graph.constant(np.array(graph.rng.choice([0, 3, 100]), a.dtype))
    graph.node("DequantizeLinear", [a, scale, zero], graph.new("float32", a.shape))


def _product(graph: Graph) -> None:
    a = graph.some("uint8", "int8", rank=2)
    drawn = graph.root.array(Value("", graph.rng.choice(["uint8", "int8"]), (a.shape[1], 2)))
    b = graph.constant(drawn // 2)  # ONNX Runtime saturates sums of greater ones without VNNI
    inputs = [a, b]
    if graph.rng.random() < 0.5:
        inputs.append(graph.constant(np.array(graph.rng.choice([0, 3, 100]), a.dtype)))
    graph.node("MatMulInteger", inputs, graph.new("int32", (a.shape[0], 2)))


OPERATORS: list[Callable[[Graph], None]] = [
    *[_binary] * 4, _quotient, _bit_shift, _bitwise, _unary, _compare, _where, _clip, _concat,
    _slice, _gather, _reshape, _reshape, _reduce, _order, *[_cast_between] * 3, _in_float32,
    _quantize, _dequantize, _product,
]  # fmt: skip


def _if(graph: Graph, depth: int) -> None:
    condition = graph.flag()
    wanted = [
        (graph.rng.choice([*graph.root.dtypes, *graph.root.dtypes, "float32", "bool", "int32"]),
         graph.rng.choice(SHAPES))
        for _ in range(graph.rng.choice([1, 1, 2, 3]))
    ]  # fmt: skip
    branches = []
    for _ in range(2):
        body = graph.body()
        body.fill(graph.rng.choice([0, 1, 3, 5]), depth)
        branches.append(body.proto([], [body.result(*each) for each in wanted]))
    outputs = [graph.new(*each) for each in wanted]
    graph.node("If", [condition], *outputs, then_branch=branches[0], else_branch=branches[1])


def _loop(graph: Graph, depth: int) -> None:
    rng = graph.rng
    trips = rng.choice([1, 2, 3])
    initial = [graph.rare() for _ in range(rng.choice([1, 1, 2]))]
    if rng.random() < 0.3:
        initial.append(graph.some("float32", "int32"))
    state = [graph.new(each.dtype, each.shape, "s") for each in initial]
    inputs = [graph.new("int64", (), "i"), graph.new("bool", (), "go"), *state]
    body = graph.body(inputs)
    body.fill(rng.choice([1, 3, 5]), depth)
    results = [body.result(each.dtype, each.shape) for each in state]
    scans = body.some_made(rng.choice([0, 1, 2])) if body.made else []
    (going,) = body.node("Identity", [inputs[1]], graph.new("bool", ()))
    proto = body.proto(inputs, [going, *results, *scans])
    condition = None if rng.random() < 0.5 else graph.constant(np.array(True))
    outputs = [graph.new(each.dtype, each.shape) for each in state]
    outputs += [graph.new(each.dtype, (trips, *each.shape)) for each in scans]
    given = [graph.constant(np.int64(trips)), condition, *initial]
    graph.node("Loop", given, *outputs, body=proto)


def _scan(graph: Graph, depth: int) -> None:
    rng = graph.rng
    scanned = graph.rare()
    if not scanned.shape or scanned.shape[0] > 6:
        return
    row = graph.new(scanned.dtype, scanned.shape[1:], "row")
    initial = graph.rare()
    state = graph.new(initial.dtype, initial.shape, "s")
    body = graph.body([state, row])
    body.fill(rng.choice([1, 3]), depth)
    result = body.result(state.dtype, state.shape)
    scan = body.result(rng.choice(graph.root.dtypes), (3,))
    proto = body.proto([state, row], [result, scan])
    outputs = graph.new(state.dtype, state.shape), graph.new(scan.dtype, (scanned.shape[0], 3))
    graph.node("Scan", [initial, scanned], *outputs, body=proto, num_scan_inputs=1)


def in_int32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with int32 instead of every type that TensorRT lacks.

    If TensorRT does not build that either, the carried types are not the cause.
    """
    new = onnx.ModelProto()
    new.CopyFrom(model)
    graphs = [new.graph]
    for graph in graphs:
        for value in (*graph.input, *graph.output):
            _widen_type(value.type.tensor_type)
        for stored in graph.initializer:
            _widen_stored(stored)
        nodes = [each for node in graph.node for each in _in_int32(node)]
        del graph.node[:]
        graph.node.extend(nodes)
        graphs += [one.g for node in graph.node for one in node.attribute if one.HasField("g")]
    return new


def _is_rare(elem_type: int) -> bool:
    return helper.tensor_dtype_to_np_dtype(elem_type).name in RARE if elem_type else False


def _widen_type(tensor_type: onnx.TypeProto.Tensor) -> None:
    if _is_rare(tensor_type.elem_type):
        tensor_type.elem_type = onnx.TensorProto.INT32


def _widen_stored(stored: onnx.TensorProto) -> None:
    if _is_rare(stored.data_type):
        array = numpy_helper.to_array(stored).astype(np.int32)
        stored.CopyFrom(numpy_helper.from_array(array, stored.name))


def _in_int32(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        to = onnx.TensorProto.INT32 if node.op_type == "QuantizeLinear" else onnx.TensorProto.FLOAT
        return [helper.make_node("Cast", node.input[:1], node.output, to=to)]
    if node.op_type == "MatMulInteger":
        floats = [f"{node.output[0]}_{each}" for each in "aby"]
        return [
            helper.make_node("Cast", [node.input[0]], [floats[0]], to=onnx.TensorProto.FLOAT),
            helper.make_node("Cast", [node.input[1]], [floats[1]], to=onnx.TensorProto.FLOAT),
            helper.make_node("MatMul", floats[:2], floats[2:]),
            helper.make_node("Cast", floats[2:], node.output, to=onnx.TensorProto.INT32),
        ]
    for attribute in node.attribute:
        if attribute.HasField("t"):
            _widen_stored(attribute.t)
        if attribute.name == "to" and _is_rare(attribute.i):
            attribute.i = onnx.TensorProto.INT32
    return [node]
