"""Give each word a number: TensorRT has no strings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites.expand_scalers import ML
from pluginkit.onnx import (
    UNUSED_WORD,
    Change,
    GraphRewrite,
    Graphs,
    NumberedWords,
    Op,
    Scope,
    gives_words,
    lacks_default,
    main_and_bodies,
    place_of,
    store_words,
    stored_words,
)

#: Operators that only move values, or compare them for equality.
_MOVES = frozenset(
    {
        *("ArrayFeatureExtractor", "Cast", "Compress", "Concat", "Constant", "Equal", "Expand"),
        *("Flatten", "Gather", "GatherElements", "GatherND", "Identity", "If", "Pad", "Reshape"),
        *("ScatterElements", "ScatterND", "Shape", "Size", "Slice", "Split", "Squeeze", "Tile"),
        *("Transpose", "Unsqueeze", "Where"),
    }
)
#: What an attribute of words is called where it holds numbers, by operator of ai.onnx.ml.
_NUMBERS = {
    "LabelEncoder": {
        "keys_strings": "keys_int64s",
        "values_strings": "values_int64s",
        "default_string": "default_int64",
    },
    "LinearClassifier": {"classlabels_strings": "classlabels_ints"},
    "OneHotEncoder": {"cats_strings": "cats_int64s"},
    "SVMClassifier": {"classlabels_strings": "classlabels_ints"},
    "TreeEnsembleClassifier": {"classlabels_strings": "classlabels_int64s"},
}
_STRING, _INT64 = onnx.TensorProto.STRING, onnx.TensorProto.INT64
_INT, _INTS = onnx.AttributeProto.INT, onnx.AttributeProto.INTS
#: LabelEncoder-1, which has its words under another name.
_WITHOUT_NUMBERS = {"classes_strings"}


class NumberWords(GraphRewrite):
    """string -> int64: a word's number is its place among the words of the model.

    The words are sorted and stored in the model's metadata ``pluginkit.words``, a JSON list, and
    in the plan's manifest as ``words``. Any other word may have any number that no word has. All
    nodes that read or make strings must move them, compare them, or look them up.
    """

    pattern = Op(("Identity", "ArrayFeatureExtractor", "Equal", "Gather", *_NUMBERS))
    order = -4
    cost = (
        "strings are numbers: each word's is its place in the list 'words' of the plan's manifest, "
        "which is the metadata 'pluginkit.words' of the rewritten model. Another word may have any "
        "number from the length of the list on."
    )

    def may_change(self, graphs: Graphs) -> bool:
        return _STRING in graphs.elem_types or any(
            _renamed(node) for scope in main_and_bodies(graphs.model) for node in scope.graph.node
        )

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        every = list(main_and_bodies(graphs.model))
        nodes = [
            (scope, node)
            for scope in every
            for node in scope.graph.node
            if _renamed(node) or _holds_strings(scope, node, graphs)
        ]
        if (
            not nodes
            or graphs.model.functions
            or not all(_is_moving(*each, graphs) for each in nodes)
        ):
            return []
        listed = stored_words(graphs.model)
        words = NumberedWords(listed)
        changes = [(place_of(scope, node), (node.op_type,)) for scope, node in nodes]
        for _, node in nodes:
            _number_attributes(node, words)
        for scope in every:
            _number_values(scope, words)
        store_words(graphs.model, listed)
        return changes


def _renamed(node: onnx.NodeProto) -> dict[str, str]:
    """Return the attributes of words that a node has, with their names for numbers."""
    if node.domain != ML:
        return {}
    names = _NUMBERS.get(node.op_type, {})
    return {each.name: names[each.name] for each in node.attribute if each.name in names}


def _holds_strings(scope: Scope, node: onnx.NodeProto, graphs: Graphs) -> bool:
    return any(_is_string(scope, name, graphs) for name in (*node.input, *node.output))


def _is_string(scope: Scope, name: str, graphs: Graphs) -> bool:
    found = graphs.types.find(scope, name)
    if found is not None:
        return bool(found.tensor_type.elem_type == _STRING)
    stored = scope.graph.initializer if isinstance(scope.graph, onnx.GraphProto) else ()
    return any(each.name == name and each.data_type == _STRING for each in stored)


def _is_moving(scope: Scope, node: onnx.NodeProto, graphs: Graphs) -> bool:
    """Whether a node does the same with numbers of words as with words."""
    if node.domain == ML and node.op_type in _NUMBERS:
        return {each.name for each in node.attribute}.isdisjoint(_WITHOUT_NUMBERS)
    if node.op_type == "Cast":
        return all(_is_string(scope, name, graphs) for name in (node.input[0], node.output[0]))
    if node.op_type == "Pad" and not any(node.input[2:3]):
        return False  # it pads with "", which has no number
    return node.domain in ("", "ai.onnx", ML) and node.op_type in _MOVES


def _number_attributes(node: onnx.NodeProto, words: NumberedWords) -> None:
    """Put numbers into the attributes of a node that hold words."""
    _keep_one_default(node)
    renamed = _renamed(node)
    for attribute in node.attribute:
        wanted = renamed.get(attribute.name)
        if attribute.type == onnx.AttributeProto.TENSOR:
            _number_tensor(attribute.t, words)
        elif node.op_type == "Cast" and attribute.name == "to":
            attribute.i = _INT64
        elif attribute.name in ("value_string", "value_strings") or wanted:
            name = wanted or attribute.name.replace("string", "int")
            is_list = attribute.type == onnx.AttributeProto.STRINGS
            held = [*attribute.strings] if is_list else [attribute.s]
            numbers = words.numbered(np.array(held, object)).tolist()
            made = onnx.helper.make_attribute(
                name, numbers if is_list else numbers[0], attr_type=_INTS if is_list else _INT
            )
            attribute.CopyFrom(made)


def _keep_one_default(node: onnx.NodeProto) -> None:
    """Leave a LabelEncoder the default of the type of its values, which ONNX has if it lacks it."""
    if node.op_type != "LabelEncoder":
        return
    unread = "default_int64" if gives_words(node) else "default_string"
    kept = [each for each in node.attribute if each.name != unread]
    if gives_words(node) and lacks_default(node):
        kept.append(onnx.helper.make_attribute("default_string", UNUSED_WORD))
    del node.attribute[:]
    node.attribute.extend(kept)


def _number_values(scope: Scope, words: NumberedWords) -> None:
    """Put numbers into the stored tensors of a graph, and their type into what it declares."""
    graph = scope.graph
    if not isinstance(graph, onnx.GraphProto):
        return
    for tensor in graph.initializer:
        _number_tensor(tensor, words)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _STRING:
            value.type.tensor_type.elem_type = _INT64


def _number_tensor(tensor: onnx.TensorProto, words: NumberedWords) -> None:
    if tensor.data_type == _STRING:
        numbers = words.numbered(np.array([*tensor.string_data], object)).reshape(tensor.dims)
        tensor.CopyFrom(onnx.numpy_helper.from_array(numbers, tensor.name))
