"""Copy a model without its weights, for the ONNX checker and for shape inference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import onnx
import onnx.helper

from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import defined_names, names_read, scopes
from pluginkit.onnx.model.stored_tensors import stored_tensors

#: Initializers with at most this many elements are kept, since they may be shapes or axes.
_SMALL = 256
_INTEGERS = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)


def skeleton_for_checker(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy the model with its weights as graph inputs, whose data the checker does not look for.

    Outputs without a shape are left out: the checker wants one, ONNX Runtime and TensorRT do not.
    """
    light = _without_initializers(model)
    outputs = [value for value in light.graph.output if not _is_shapeless(value)]
    del light.graph.output[:]
    light.graph.output.extend(outputs)
    hoisted = {value.name for value in light.graph.input}
    for target, tensor in _initializers(model, light):
        if not _is_weight(tensor):
            target.initializer.append(tensor)
        elif tensor.name not in hoisted:
            hoisted.add(tensor.name)
            light.graph.input.append(_input(tensor))
    return light


def _is_shapeless(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.WhichOneof("value")
    return kind == "tensor_type" and not value.type.tensor_type.HasField("shape")


def skeleton_for_inference(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy the model with its weights as initializers without data.

    Graph inputs would be slow: onnx makes a symbol for each element of a one-dimensional input.
    Only small tensors in external files become inputs, since inference may read them as shapes.
    """
    light = _without_initializers(model)
    for target, tensor in _initializers(model, light):
        if not _is_weight(tensor):
            target.initializer.append(tensor)
        elif math.prod(tensor.dims) > _SMALL:
            target.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        elif all(value.name != tensor.name for value in light.graph.input):
            light.graph.input.append(_input(tensor))
    _show_constants_to_bodies(light)
    return light


def _show_constants_to_bodies(light: onnx.ModelProto) -> None:
    """Store in each body the integers of outer scopes that it reads, such as axes and shapes.

    Inference looks for their values in the body only.
    """
    known: dict[str, dict[str, onnx.TensorProto]] = {}
    for scope in scopes(light):
        graph: Any = scope.graph
        own = defined_names(graph)
        around = {} if scope.outer is None else known[scope.outer.path]
        outside = {name: each for name, each in around.items() if name not in own}
        known[scope.path] = outside | _small_integers(graph)
        if not outside:
            continue
        read = set[str]().union(*map(names_read, graph.node))
        for name in sorted(read & outside.keys()):
            graph.initializer.add().CopyFrom(outside[name])
            graph.initializer[-1].name = name


def _small_integers(graph: Any) -> dict[str, onnx.TensorProto]:
    """Return the stored integers of a scope that may be shapes or axes, by name."""
    return {
        name: each
        for name, each in stored_tensors(graph).items()
        if each.data_type in _INTEGERS and not _is_weight(each)
    }


def _is_weight(tensor: onnx.TensorProto) -> bool:
    return is_external(tensor) or math.prod(tensor.dims) > _SMALL


def type_of_tensor(tensor: onnx.TensorProto) -> onnx.TypeProto:
    """Return the type of a stored tensor."""
    return onnx.helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))


def _input(tensor: onnx.TensorProto) -> onnx.ValueInfoProto:
    return onnx.ValueInfoProto(name=tensor.name, type=type_of_tensor(tensor))


def _without_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy what inference and the checker read, except the main graph's initializers."""
    # Up to IR version 3 every initializer must be a graph input too; TensorRT does not ask for it.
    light = onnx.ModelProto(ir_version=max(model.ir_version, 4))
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = model.graph.name
    for name in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(light.graph, name).extend(getattr(model.graph, name))
    return light


def _initializers(
    model: onnx.ModelProto, light: onnx.ModelProto
) -> Iterator[tuple[Any, onnx.TensorProto]]:
    """Yield every initializer with its graph in ``light``, from which all are removed first."""
    for tensor in model.graph.initializer:
        yield light.graph, tensor
    for scope in [each for each in scopes(light) if each.outer is not None]:
        body: Any = scope.graph
        stored = list(body.initializer)
        del body.initializer[:]
        for tensor in stored:
            yield body, tensor
