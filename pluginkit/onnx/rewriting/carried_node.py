"""One node whose values may be carried in another type, as the rules of the carriers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx.inference.element_types import elem_type
from pluginkit.onnx.model.graphs import is_op, label
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.value_range import ValueRange, range_of


class RetypedScope(Protocol):
    """What a node needs of the retyping of its scope."""

    index: GraphIndex
    names: ModelNames
    carriers: Mapping[str, str]
    is_body: bool

    def readers(self, name: str) -> Sequence[tuple[RetypedScope, onnx.NodeProto]]: ...
    def dtype(self, name: str) -> str: ...
    def is_carried(self, name: str) -> bool: ...
    def carrier_of(self, name: str) -> str: ...
    def set_carrier(self, name: str, carrier: str) -> None: ...
    def add(self, node: onnx.NodeProto) -> None: ...


class CarriedNode:
    """A node, its dtypes, and a way to put other nodes in its place.

    Attributes:
        proto: the node, which must not be changed.
        op_type: its operator; "" for an operator of another domain than ONNX's own.
        opset: the version of ONNX's operators.
        input_dtypes: the dtype that each input had before retyping; "" if it is unknown or absent.
        output_dtypes: likewise for the outputs.
    """

    def __init__(self, retyping: RetypedScope, proto: onnx.NodeProto) -> None:
        self.proto = proto
        self.op_type = proto.op_type if is_op(proto, proto.op_type) else ""
        self.opset = retyping.index.scope.opsets.get("", 1)
        self.input_dtypes = [retyping.dtype(name) for name in proto.input]
        self.output_dtypes = [retyping.dtype(name) for name in proto.output]
        self._retyping = retyping
        self._carriers: Mapping[str, str] = retyping.carriers

    @property
    def touches_carried(self) -> bool:
        """Whether an input or an output has a type that may be carried."""
        return any(each in self._carriers for each in (*self.input_dtypes, *self.output_dtypes))

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the node, or the default if it is left out."""
        for each in self.proto.attribute:
            if each.name == name:
                return onnx.helper.get_attribute_value(each)
        return default

    def has_carrier(self, at: int) -> bool:
        """Whether an input has a carrier already, or is stored in the model."""
        return self._retyping.is_carried(self.proto.input[at])

    def is_stored(self, at: int) -> bool:
        """Whether an input is stored, in the model or in an external file."""
        return self._retyping.index.constant(self.proto.input[at]) is not None

    def readers(self, at: int) -> list[CarriedNode]:
        """Return the nodes that read an output, those in bodies included."""
        found = self._retyping.readers(self.proto.output[at])
        return [CarriedNode(scope, node) for scope, node in found]

    def is_output(self, at: int) -> bool:
        """Whether an output is an output of its graph."""
        return self.proto.output[at] in self._retyping.index.outputs

    def leaves_body(self, at: int) -> bool:
        """Whether an output is an output of a branch or of a body."""
        return self.is_output(at) and self._retyping.is_body

    def range(self, at: int) -> ValueRange:
        """Return the least and the greatest value that an input can have."""
        return range_of(self.proto.input[at], self._retyping.index, self._retyping.dtype)

    def input(self, at: int) -> str:
        """Return an input: its carrier if its type is carried, else the value itself."""
        name: str = self.proto.input[at]
        if not name or self.input_dtypes[at] not in self._carriers:
            return name
        return self._retyping.carrier_of(name)

    def constant(self, array: npt.NDArray[Any] | np.generic) -> str:
        """Store an array, and return its name."""
        name = self._retyping.names.new_value(f"{label(self.proto)}/constant")
        tensor = onnx.numpy_helper.from_array(np.asarray(array), name)
        graph = self._retyping.index.scope.graph
        if isinstance(graph, onnx.GraphProto):
            graph.initializer.append(tensor)
        return name

    def give(self, at: int, carrier: str) -> None:
        """Let a value carry an output."""
        self._retyping.set_carrier(self.proto.output[at], carrier)

    def into(self, at: int, op_type: str, *inputs: str, **attributes: Any) -> None:
        """Append a node that makes an output itself, whose type is not carried."""
        self._append(op_type, inputs, [self.proto.output[at]], attributes)

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output, and return the output."""
        outputs = [self._new_value(op_type)]
        self._append(op_type, inputs, outputs, attributes)
        return outputs[0]

    def copy(self, inputs: Sequence[str], **attributes: onnx.AttributeProto) -> list[str]:
        """Append the node itself with other inputs; outputs whose type is carried get new names.

        Args:
            inputs: the names of its inputs.
            attributes: attributes that take the place of the node's own.
        """
        node = onnx.NodeProto()
        node.CopyFrom(self.proto)
        node.input[:] = inputs
        node.output[:] = [
            self._new_value(name) if name and dtype in self._carriers else name
            for name, dtype in zip(self.proto.output, self.output_dtypes, strict=True)
        ]
        for attribute in node.attribute:
            if attribute.name in attributes:
                attribute.CopyFrom(attributes[attribute.name])
        self._retyping.add(node)
        return list(node.output)

    def _append(
        self, op_type: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]
    ) -> None:
        name = self._retyping.names.new_node(f"{label(self.proto)}/{op_type}")
        if isinstance(attributes.get("to"), str):
            attributes["to"] = elem_type(attributes["to"])
        self._retyping.add(
            onnx.helper.make_node(op_type, list(inputs), outputs, name=name, **attributes)
        )

    def _new_value(self, what: str) -> str:
        return self._retyping.names.new_value(f"{label(self.proto)}/{what}")
