"""Words of a model that holds strings, and the numbers that its rewritten form has instead."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper

from pluginkit.onnx.model.graphs import is_op, scopes

#: Where a rewritten model says which word has which number.
METADATA_KEY = "pluginkit.words"
#: What a LabelEncoder gives for keys that it lacks, if it does not say.
UNUSED_WORD = "_Unused"
_ML = "ai.onnx.ml"


class NumberedWords:
    """Numbers for words: the place of a word that is listed, and greater ones for all others.

    Args:
        listed: the words of a model, each once.
    """

    def __init__(self, listed: Sequence[str] = ()) -> None:
        self._places = {word: place for place, word in enumerate(listed)}

    def numbered(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the numbers of an array of words, int64; any other array as it is."""
        if array.dtype.kind not in "OSU":
            return array
        numbers = [self._number(text_of(each)) for each in array.reshape(-1)]
        return np.array(numbers, np.int64).reshape(array.shape)

    def _number(self, word: str) -> int:
        place = self._places.get(word)
        if place is not None:
            return place
        return len(self._places) + zlib.crc32(word.encode(errors="surrogateescape"))


def text_of(word: str | bytes) -> str:
    """Return a word as text; ONNX stores UTF-8, and other bytes become surrogates."""
    return word.decode(errors="surrogateescape") if isinstance(word, bytes) else str(word)


def stored_words(model: onnx.ModelProto) -> list[str]:
    """Return the words in the constants of a model, and in its nodes of ai.onnx.ml, sorted."""
    found: set[str] = set()
    for scope in scopes(model):
        if isinstance(scope.graph, onnx.GraphProto):
            for tensor in scope.graph.initializer:
                found.update(_words_of_tensor(tensor))
        for node in scope.graph.node:
            if node.domain == _ML or node.op_type == "Constant":
                found.update(_words_of(node.attribute))
            if gives_words(node) and lacks_default(node):
                found.add(UNUSED_WORD)
    return sorted(found)


def gives_words(node: onnx.NodeProto) -> bool:
    """Whether a node is a LabelEncoder whose values are words."""
    return is_op(node, "LabelEncoder", _ML) and any(
        each.name == "values_strings"
        or (each.name == "values_tensor" and each.t.data_type == onnx.TensorProto.STRING)
        for each in node.attribute
    )


def lacks_default(node: onnx.NodeProto) -> bool:
    """Whether a LabelEncoder that gives words does not say which one unknown keys get."""
    return all(each.name not in ("default_string", "default_tensor") for each in node.attribute)


def _words_of(attributes: Iterable[onnx.AttributeProto]) -> Iterator[str]:
    for attribute in attributes:
        if attribute.name in ("default_string", "value_string"):
            yield text_of(attribute.s)
        if attribute.name.endswith("_strings"):
            yield from map(text_of, attribute.strings)
        if attribute.HasField("t"):
            yield from _words_of_tensor(attribute.t)


def _words_of_tensor(tensor: onnx.TensorProto) -> Iterator[str]:
    if tensor.data_type == onnx.TensorProto.STRING:
        yield from map(text_of, tensor.string_data)


def store_words(model: onnx.ModelProto, words: Sequence[str]) -> None:
    """Store in a rewritten model the words whose places are its numbers."""
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(words))


def words_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the words whose places are the numbers of a rewritten model; none for any other."""
    found = (each.value for each in model.metadata_props if each.key == METADATA_KEY)
    return tuple(json.loads(next(found, "[]")))
