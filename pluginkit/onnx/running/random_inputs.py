"""Draw random inputs that a model accepts: with sizes that agree and indices in range.

Which integer inputs are indices (of a Gather, a ScatterElements, ...) follows from the graph. Their
upper limits follow from a run in which all of them are zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper

from pluginkit.errors import ModelError, UsageError
from pluginkit.onnx.inference.dimension_names import names_in, range_of, range_of_factor
from pluginkit.onnx.inference.value_types import axis_sizes
from pluginkit.onnx.model.graphs import scopes, sorted_nodes
from pluginkit.onnx.model.model_file import inline_functions, load_model
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.model.words import stored_words
from pluginkit.onnx.running.index_inputs import index_limits, index_readers

Array = npt.NDArray[Any]
#: The shapes of some inputs; a dimension is None if the model or the default decides.
InputShapes: TypeAlias = Mapping[str, Sequence[int | None]]

#: The size of a dynamic dimension for which none is given.
DEFAULT_SIZE = 8
#: Integers that are not indices are drawn below this.
_INTEGER_LIMIT = 10


def draw_inputs(
    model_path: str | Path,
    *,
    shapes: InputShapes | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    seed: int = 0,
    model: onnx.ModelProto | None = None,
    plugins: Plugins = MappingProxyType({}),
) -> dict[str, Array]:
    """Draw random values for every graph input of a model.

    Floats are drawn from the standard normal distribution. Integers that the model uses as indices
    are in range; other integers are 0 to 9. Strings are words that the model knows.

    Args:
        model_path: the ONNX file. If it reads indices from an input, it must run in ONNX Runtime.
        shapes: the shapes of some inputs, None for each dimension that is left open. Dimensions
            with the same name have the same size, and those named by expressions, such as ``2*n``,
            the size that these compute; dynamic dimensions without a given size are 8.
        ranges: the lowest and the highest value of some inputs, the highest excluded.
        seed: the same seed gives the same inputs.
        model: the file's content, if it is loaded already or changed.
        plugins: the plugins of the model's nodes.

    Errors:
        PK444: an option names no input, or a shape or range does not fit its input.  PK445: an
        input cannot be drawn.  PK441: the model does not run.
    """
    path = Path(model_path)
    model = load_model(path) if model is None else model
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    ranges = dict(ranges or {})
    _check_names(inputs, {**ranges, **(shapes or {})})
    sizes = _DrawnSizes(inputs, shapes or {})
    if seed < 0:
        raise UsageError("PK444", f"seed is {seed}; expected 0 or more.")
    draw = _Draw(np.random.default_rng(seed), ranges, stored_words(model) or ["word"])
    arrays = {value.name: draw.values(value, sizes.shape(value)) for value in inputs}
    if model.functions:
        model = inline_functions(model)
    nodes = sorted_nodes(next(scopes(model))) or model.graph.node
    readers = [
        reader for reader in index_readers(model, nodes) if not reader.origins <= ranges.keys()
    ]
    if readers:
        origins = frozenset().union(*(reader.origins for reader in readers)) - ranges.keys()
        arrays |= {name: np.zeros_like(arrays[name]) for name in origins}
        limits = index_limits(model, path.parent, readers, arrays, plugins)
        arrays |= {name: draw.indices(name, arrays[name], limits[name]) for name in sorted(origins)}
    return arrays


def _check_names(inputs: Sequence[onnx.ValueInfoProto], options: Mapping[str, Any]) -> None:
    names = [value.name for value in inputs]
    for name in options:
        if name not in names:
            raise UsageError(
                "PK444", f"the model has no input '{name}'; expected one of: {', '.join(names)}."
            )


class _DrawnSizes:
    """The size of every dimension: given, taken from another of the same name, or the default."""

    def __init__(self, inputs: Sequence[onnx.ValueInfoProto], shapes: InputShapes) -> None:
        self._shapes = shapes
        self._by_name: dict[str, tuple[int, str]] = {}
        for value in inputs:
            if value.name in shapes:
                self._bind(value, shapes[value.name])
        for dim, (size, by) in [*self._by_name.items()]:
            if (factor := range_of_factor(dim, (size, size, size))) is not None:
                name, (quotient, *_) = factor
                self._by_name.setdefault(name, (quotient, by))

    def _bind(self, value: onnx.ValueInfoProto, given: Sequence[int | None]) -> None:
        dims = axis_sizes(value.type)
        if dims is None:
            return
        fits = len(dims) == len(given)
        for dim, size in zip(dims, given, strict=False):
            if size is None:
                continue
            fits &= size >= 0
            fits &= dim in (size, None) or isinstance(dim, str)
            if isinstance(dim, str):
                bound, by = self._by_name.setdefault(dim, (size, value.name))
                if bound != size:
                    raise UsageError(
                        "PK444",
                        f"dimension '{dim}' is {size} in '{value.name}' and {bound} in '{by}'; "
                        "expected one size.",
                    )
        if not fits:
            expected = ", ".join("?" if dim is None else str(dim) for dim in dims)
            raise UsageError(
                "PK444",
                f"shape {_text(given)} does not fit input '{value.name}'; expected ({expected}).",
            )

    def shape(self, value: onnx.ValueInfoProto) -> tuple[int, ...]:
        """Return the shape of an input.

        Errors:
            PK445: neither the model nor an option gives its rank.
        """
        dims = axis_sizes(value.type)
        if value.name in self._shapes:
            given = self._shapes[value.name]
            open_dims = dims or [None] * len(given)
            dims = [
                dim if size is None else size for size, dim in zip(given, open_dims, strict=True)
            ]
        if dims is None:
            raise ModelError(
                "PK445",
                f"input '{value.name}' has no declared rank; expected a shape.",
                fix=f"give it one: --shapes {value.name}:8x16.",
            )
        return tuple(dim if isinstance(dim, int) else self._size(dim or "") for dim in dims)

    def _size(self, dim: str) -> int:
        """Return the size of a name, or of an expression such as ``2*n``."""
        if dim in self._by_name:
            return self._by_name[dim][0]
        computed = range_of(dim, {name: (self._size(name),) * 3 for name in names_in(dim)})
        return DEFAULT_SIZE if computed is None else computed[0]


def _text(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"


class _Draw:
    """Draws values, in the ranges that options set."""

    def __init__(
        self,
        random: np.random.Generator,
        ranges: Mapping[str, tuple[float, float]],
        words: Sequence[str],
    ) -> None:
        self._random = random
        self._ranges = ranges
        self._words = np.array(words, object)

    def values(self, value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> Array:
        """Draw values for an input that does not hold indices."""
        elem_type = value.type.tensor_type.elem_type
        is_tensor = value.type.HasField("tensor_type")
        if is_tensor and elem_type == onnx.TensorProto.STRING:
            return self._random.choice(self._words, shape)
        if not is_tensor or not elem_type:
            raise ModelError(
                "PK445",
                f"input '{value.name}' is not a tensor; expected one.",
                fix="give the inputs with --inputs.",
            )
        try:
            return self._drawn(value.name, elem_type, shape)
        except UsageError:
            raise
        except (KeyError, ValueError, OverflowError, MemoryError) as error:
            raise ModelError(
                "PK445",
                f"input '{value.name}' of shape {shape} and elem_type {elem_type} cannot be drawn.",
                cause=f"{type(error).__name__}: {error}",
                fix="give another --range or --shapes, or give the inputs with --inputs.",
            ) from error

    def _drawn(self, name: str, elem_type: int, shape: tuple[int, ...]) -> Array:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(elem_type)
        is_integer = dtype.kind in "iu"
        if name in self._ranges:
            low, high = self._ranges[name]
            first, end = (math.ceil(low), math.ceil(high)) if is_integer else (0, 1)
            if not low < high or first == end:
                what = "an integer in it" if is_integer else "low < high"
                raise UsageError(
                    "PK444", f"range {low:g}, {high:g} of '{name}' is empty; expected {what}."
                )
            if is_integer:
                return self._random.integers(first, end, shape).astype(dtype)
            return self._random.uniform(low, high, shape).astype(dtype)
        if is_integer:
            return self._random.integers(0, _INTEGER_LIMIT, shape).astype(dtype)
        if dtype.kind == "b":
            return self._random.integers(0, 2, shape).astype(dtype)
        return self._random.standard_normal(shape).astype(dtype)

    def indices(self, name: str, like: Array, limit: int) -> Array:
        """Draw indices below ``limit``, in the shape and dtype of ``like``."""
        if limit == 0 and like.size:
            raise ModelError(
                "PK445",
                f"input '{name}' indexes an empty axis; expected no index, got {like.size}.",
                fix=f"give other sizes, or a range: --range {name}:0,n.",
            )
        return self._random.integers(0, max(limit, 1), like.shape).astype(like.dtype)
