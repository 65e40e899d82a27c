"""Graphs of random models while they are made: values, nodes, stored tensors and bodies."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: The types that the values of a model may have; those of its graph inputs are TensorRT's.
RARE = ("uint8", "uint8", "uint8", "int16", "uint16", "uint32", "int8")
SHAPES: tuple[tuple[int, ...], ...] = ((2, 3), (3,), (2, 1, 3), (1, 4))


@dataclass(frozen=True)
class Value:
    """A value of a graph."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def info(self) -> onnx.ValueInfoProto:
        """Return the value's declaration."""
        return helper.make_tensor_value_info(self.name, elem(self.dtype), self.shape)


@dataclass(frozen=True)
class Case:
    """A model, and an array for each of its inputs."""

    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]


def elem(dtype: str) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


@dataclass
class Root:
    """The state that all graphs of one model share."""

    rng: random.Random
    opset: int
    dtypes: list[str]
    is_for_onnxruntime: bool
    operators: Sequence[Callable[[Graph], None]]
    flow: Sequence[Callable[[Graph, int], None]]
    count: int = 0

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def array(self, value: Value) -> np.ndarray:
        """Return random numbers of a value's type, with its limits among them."""
        seeded = np.random.default_rng(self.rng.randrange(2**32))
        if value.dtype == "bool":
            return seeded.integers(0, 2, value.shape).astype(bool)
        if value.dtype == "float32":
            return (seeded.integers(-40, 400, value.shape) / 4).astype(np.float32)
        limits = np.iinfo(value.dtype)
        low, high = int(limits.min), int(limits.max)
        if value.dtype in ("int32", "int64"):
            low, high = -300, 300
        array = seeded.integers(low, high, value.shape, np.int64, endpoint=True)
        extreme = seeded.integers(0, 4, value.shape)
        array = np.where(extreme == 0, high, np.where(extreme == 1, low, array))
        return np.asarray(array.astype(value.dtype))


@dataclass
class Graph:
    """A graph that is being made.

    Attributes:
        root: the state that all graphs of the model share.
        outer: the graph around it.
        values: the values that its nodes may read, without those of outer graphs.
        made: the values that its nodes produce.
    """

    root: Root
    outer: Graph | None
    values: list[Value] = field(default_factory=list)
    made: list[Value] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: list[onnx.TensorProto] = field(default_factory=list)

    @property
    def rng(self) -> random.Random:
        return self.root.rng

    def fill(self, count: int, depth: int) -> None:
        """Add random nodes."""
        for _ in range(count):
            if depth and self.rng.random() < 0.3:
                self.rng.choice(self.root.flow)(self, depth - 1)
            else:
                self.rng.choice(self.root.operators)(self)

    def node(
        self, op_type: str, inputs: Sequence[Value | None], *outputs: Value, **attributes: Any
    ) -> list[Value]:
        """Append a node; return its outputs, or nothing if it does not exist for these types."""
        names = [each.name if each is not None else "" for each in inputs]
        label = self.root.name(op_type)
        made = helper.make_node(
            op_type, names, [each.name for each in outputs], name=label, **attributes
        )
        is_single = not any(isinstance(each, onnx.GraphProto) for each in attributes.values())
        types = tuple(each.dtype if each is not None else "" for each in inputs)
        if is_single and not _is_valid(op_type, types, self.root.opset):
            return []
        has_to_run = self.root.is_for_onnxruntime and is_single
        if has_to_run and not _runs(made.SerializeToString(), types, self.root.opset):
            return []
        self.nodes.append(made)
        self.values += outputs
        self.made += outputs
        return list(outputs)

    def new(self, dtype: str, shape: Sequence[int], stem: str = "v") -> Value:
        """Return a value without a producer yet."""
        return Value(self.root.name(stem), dtype, tuple(shape))

    def constant(self, array: Any) -> Value:
        """Store an array: as an initializer of this or the outermost graph, or in a Constant."""
        array = np.asarray(array)
        value = self.new(array.dtype.name, array.shape, "c")
        tensor = numpy_helper.from_array(array, value.name)
        kind = self.rng.random()
        if kind < 0.4:
            self.stored.append(tensor)
        elif kind < 0.7:
            self.nodes.append(helper.make_node("Constant", [], [value.name], value=tensor))
        else:
            self.outermost.stored.append(tensor)
        return value

    @property
    def outermost(self) -> Graph:
        graph = self
        while graph.outer is not None:
            graph = graph.outer
        return graph

    def readable(self, wanted: Callable[[Value], bool]) -> list[Value]:
        """Return the values that nodes of this graph can read."""
        found = [value for value in self.values if wanted(value)]
        return found + (self.outer.readable(wanted) if self.outer is not None else [])

    def some(self, *dtypes: str, rank: int | None = None) -> Value:
        """Return a value of one of the dtypes; if there is none, store one."""
        found = self.readable(
            lambda value: value.dtype in dtypes and rank in (None, len(value.shape))
        )
        if found and self.rng.random() < 0.9:
            return self.rng.choice(found[-6:] if self.rng.random() < 0.6 else found)
        shapes = [shape for shape in SHAPES if rank in (None, len(shape))]
        shape = self.rng.choice(shapes or [(2,) * (rank or 0)])
        return self.constant(self.root.array(Value("", self.rng.choice(dtypes), shape)))

    def rare(self, rank: int | None = None) -> Value:
        """Return a value of a type that TensorRT lacks."""
        return self.some(*self.root.dtypes, rank=rank)

    def like(self, value: Value) -> Value:
        """Return a value that broadcasts to the shape of another."""
        found = self.readable(
            lambda each: each.dtype == value.dtype and is_within(each.shape, value.shape)
        )
        if found and self.rng.random() < 0.7:
            return self.rng.choice(found)
        shape = self.rng.choice([value.shape, (), value.shape[1:], value.shape[-1:]])
        return self.constant(self.root.array(Value("", value.dtype, shape)))

    def cast(self, value: Value, dtype: str) -> Value:
        """Cast a value; floats are clipped first, because casts beyond the range are undefined."""
        if value.dtype == dtype:
            return value
        if value.dtype == "float32" and dtype != "bool":
            limits = np.iinfo(dtype)
            low, high = (np.float32(max(min(each, 100000), -100000)) for each in
                         (limits.min, limits.max))  # fmt: skip
            clipped = self.new("float32", value.shape)
            self.node("Clip", [value, self.constant(low), self.constant(high)], clipped)
            value = clipped
        made = self.node("Cast", [value], self.new(dtype, value.shape), to=elem(dtype))
        assert made
        return made[0]

    def shaped(self, value: Value, dtype: str, shape: tuple[int, ...]) -> Value:
        """Return a value of a dtype and a shape, made from another."""
        value = self.cast(value, dtype)
        if value.shape == shape:
            return value
        if is_within(value.shape, shape):
            target = self.constant(np.array(shape, np.int64))
            return self.node("Expand", [value, target], self.new(dtype, shape))[0]
        one = self.constant(np.array([1], np.int64))
        zero = self.constant(np.array([0], np.int64))
        flat = self.constant(np.array([-1], np.int64))
        (flat_value,) = self.node("Reshape", [value, flat], self.new(dtype, (size_of(value),)))
        (first,) = self.node("Slice", [flat_value, zero, one], self.new(dtype, (1,)))
        if not shape:
            return self.node("Squeeze", [first], self.new(dtype, ()))[0]
        target = self.constant(np.array(shape, np.int64))
        return self.node("Expand", [first, target], self.new(dtype, shape))[0]

    def some_made(self, count: int) -> list[Value]:
        """Return some of the last values of this graph."""
        found = self.made[-8:] or [self.cast(self.rare(), "float32")]
        return self.rng.sample(found, min(count, len(found)))

    def for_the_border(self, value: Value) -> Value:
        """Return a value in a type that TensorRT supports as an output of the main graph."""
        if value.dtype in ("uint8", "int32", "int64", "float32", "bool"):
            if value in self.made and self.rng.random() < 0.7:
                return value
            (copy,) = self.node("Identity", [value], self.new(value.dtype, value.shape, "y"))
            return copy
        return self.cast(value, "int64" if value.dtype == "uint32" else "int32")

    def result(self, dtype: str, shape: tuple[int, ...]) -> Value:
        """Return a value for an output of a body, mostly of this graph, sometimes an outer one."""
        found = [value for value in self.made if (value.dtype, value.shape) == (dtype, shape)]
        if found and self.rng.random() < 0.7:
            return self.rng.choice(found)
        same = self.some(dtype)
        value = self.shaped(same, dtype, shape)
        if value not in self.made:
            (value,) = self.node("Identity", [value], self.new(dtype, shape))
        return value

    def flag(self) -> Value:
        """Return a bool without dimensions."""
        found = self.readable(lambda value: value.dtype == "bool" and value.shape == ())
        if self.rng.random() < 0.5:
            value = self.rare()
            (most,) = self.node(
                "Identity", [self.reduced(self.cast(value, "int32"))], self.new("int32", ())
            )
            limit = self.constant(np.int32(self.rng.choice([0, 7, 100])))
            made = self.node("Less", [most, limit], self.new("bool", ()))
            if made:
                return made[0]
        return self.rng.choice(found)

    def reduced(self, value: Value) -> Value:
        """Return the sum of all elements."""
        target = self.constant(np.array([-1], np.int64))
        (flat,) = self.node("Reshape", [value, target], self.new(value.dtype, (size_of(value),)))
        axes = self.constant(np.array([0], np.int64))
        return self.node("ReduceSum", [flat, axes], self.new(value.dtype, ()), keepdims=0)[0]

    def body(self, inputs: Sequence[Value] = ()) -> Graph:
        """Return a graph inside this one."""
        return Graph(self.root, self, list(inputs))

    def proto(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> onnx.GraphProto:
        """Return the graph as the attribute of a node."""
        return helper.make_graph(
            self.nodes,
            self.root.name("body"),
            [value.info for value in inputs],
            [value.info for value in outputs],
            self.stored,
        )


def is_within(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, other) == other
    except ValueError:
        return False


def size_of(value: Value) -> int:
    return int(np.prod(value.shape))


def _is_valid(op_type: str, dtypes: Sequence[str], opset: int) -> bool:
    """Whether ONNX has the operator for these dtypes of its inputs."""
    formal = onnx.defs.get_schema(op_type, opset).inputs
    return all(
        not dtype or f"tensor({dtype})".replace("float32", "float") in one.types
        for dtype, one in zip(dtypes, [*formal, *formal[-1:] * len(dtypes)], strict=False)
    )


@functools.cache
def _runs(node: bytes, dtypes: tuple[str, ...], opset: int) -> bool:
    """Whether ONNX Runtime has the operator for these dtypes."""
    import onnxruntime

    proto = onnx.NodeProto.FromString(node)
    pairs = zip(proto.input, dtypes, strict=True)
    inputs = {
        name: helper.make_tensor_value_info(name, elem(dtype), None)
        for name, dtype in pairs
        if name
    }
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output]
    graph = helper.make_graph([proto], "g", list(inputs.values()), outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options)
    except Exception as error:
        if "NOT_IMPLEMENTED" in str(error) or "NotImplemented" in type(error).__name__:
            return False
        raise
    return True
