"""Spell out the scalers and encoders of ai.onnx.ml, which scikit-learn's exporter writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

ML = "ai.onnx.ml"
_NUMBERS = ("float32", "float64", "int64", "int32")


class ExpandScaler(Rewrite):
    """ai.onnx.ml.Scaler(x) -> (x - offset) * scale."""

    pattern = Op("Scaler", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(_NUMBERS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        y = new.cast(x, "float32")
        offset, scale = (floats(match, name) for name in ("offset", "scale"))
        if offset.size:
            y = new.add("Sub", y, offset)
        return new.end("Mul", y, scale if scale.size else np.ones(1, np.float32))


class ExpandNormalizer(Rewrite):
    """ai.onnx.ml.Normalizer(x) -> x / ReduceSum(Abs(x)); or the root of squares, or the maximum.

    A row of zeros stays zero, and one with NaN becomes NaN.
    """

    pattern = Op("Normalizer", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if match.rank(x) not in (1, 2):
            return "the rank of its input is unknown, or neither 1 nor 2"
        norm = match.attribute("norm", "MAX")
        if norm not in ("MAX", "L1", "L2"):
            return f"its norm '{norm}' is not known"
        return match.dtype_problem(_NUMBERS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        wide, norm = new.cast(x, "float32"), match.attribute("norm", "MAX")
        if norm == "MAX":
            size = new.reduce("ReduceMax", wide, [-1], keepdims=True)
        elif norm == "L1":
            size = new.reduce("ReduceSum", new.add("Abs", wide), [-1], keepdims=True)
        else:
            squares = new.reduce("ReduceSum", new.add("Mul", wide, wide), [-1], keepdims=True)
            size = new.add("Sqrt", squares)
        is_known = new.add("Greater", new.add("Abs", size), np.float32(0))
        has_size = new.add("Or", is_known, new.add("IsNaN", size))
        divisor = new.add("Where", has_size, size, np.float32(1))
        return new.end("Div", wide, divisor)


class ExpandBinarizer(Rewrite):
    """ai.onnx.ml.Binarizer(x) -> Cast(x > threshold)."""

    pattern = Op("Binarizer", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(("float32",), x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        is_above = new.add("Greater", x, np.float32(match.attribute("threshold", 0.0)))
        return new.end("Cast", is_above, to="float32")


class ExpandImputer(Rewrite):
    """ai.onnx.ml.Imputer(x) -> Where(x == replaced value, imputed values, x); NaN equals NaN."""

    pattern = Op("Imputer", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        values = match.attribute(self._name(match, x), [])
        if not len(values):
            return "it has no values of the type of its input"
        return match.dtype_problem(("float32", "int64"), x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        dtype = match.dtype(x)
        values = np.array(match.attribute(self._name(match, x)), dtype)
        old = match.attribute(f"replaced_value_{'float' if dtype == 'float32' else 'int64'}", 0)
        is_nan = dtype == "float32" and np.isnan(old)
        is_old = new.add("IsNaN", x) if is_nan else new.add("Equal", x, np.array(old, dtype))
        return new.end("Where", is_old, values, x)

    def _name(self, match: Match, x: gs.Tensor) -> str:
        return f"imputed_value_{'float' if match.dtype(x) == 'float32' else 'int64'}s"


@dataclass(frozen=True)
class _Encoding:
    """The keys, their values, and the value of everything else."""

    keys: npt.NDArray[Any]
    values: npt.NDArray[Any]
    default: Any


class ExpandLabelEncoder(Rewrite):
    """ai.onnx.ml.LabelEncoder(x) -> Gather(values, ArgMax(x == keys)), of numbers.

    NaN equals NaN since version 4 of ai.onnx.ml.
    """

    pattern = Op("LabelEncoder", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | _Encoding:
        if any("strings" in each.name for each in match.proto.attribute):
            return "it encodes strings, which TensorRT has no tensors of"
        found = _encoding(match)
        problem = match.dtype_problem(("int64", "int32", "float32"), x)
        if found is None:
            return "its keys and values are not numbers, or not as many of both"
        return problem or found

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Encoding) -> list[gs.Node]:
        """Compare with all keys along a new axis; if none is equal, gather the last value."""
        new = Replacement(match)
        keys, values = _first_of_each(facts)
        wide: NodeInput = x
        if keys.dtype == np.float32:
            wide = new.cast(x, "float32")
            is_key = _equal_numbers(
                new, new.unsqueeze(wide, [-1]), keys, knows_nan=match.opset >= 4
            )
        else:
            is_key = new.add("Equal", new.unsqueeze(wide, [-1]), keys.astype(match.dtype(x)))
        numbers = new.add("Cast", is_key, to="int32")
        at = new.add("Add", np.arange(len(keys), 0, -1, dtype=np.int32), np.int32(0))
        score = new.reduce("ReduceMax", new.add("Mul", numbers, at), [-1])
        place = new.add("Sub", np.int32(len(keys)), score)
        table = np.append(values, np.array(facts.default, values.dtype)).astype(values.dtype)
        return new.end("Gather", table, place)


def _equal_numbers(
    new: Replacement, x: NodeInput, keys: npt.NDArray[Any], *, knows_nan: bool
) -> gs.Variable:
    """Compare with keys."""
    equal = new.add("Equal", x, keys)
    if not knows_nan or not np.isnan(keys).any():
        return equal
    both = new.add("And", new.add("IsNaN", x), np.isnan(keys))
    return new.add("Or", equal, both)


def _first_of_each(encoding: _Encoding) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return each key once, with its first value."""
    _, first = np.unique(encoding.keys, return_index=True)
    first = np.sort(first)
    return encoding.keys[first], encoding.values[first]


def _encoding(match: Match) -> _Encoding | None:
    keys = _numbers(match, "keys")
    values = _numbers(match, "values")
    default = match.attribute("default_tensor")
    if keys is None or values is None or len(keys) != len(values) or not len(keys):
        return None
    if default is not None:
        return _Encoding(keys, values, np.asarray(default).item())
    kind = "float" if values.dtype == np.float32 else "int64"
    return _Encoding(
        keys, values, match.attribute(f"default_{kind}", 0.0 if kind == "float" else -1)
    )


def _numbers(match: Match, name: str) -> npt.NDArray[Any] | None:
    tensor = match.attribute(f"{name}_tensor")
    if tensor is not None:
        array = np.asarray(tensor)
        return array if array.dtype.kind in "if" else None
    for kind, dtype in (("int64s", np.int64), ("floats", np.float32)):
        found = match.attribute(f"{name}_{kind}")
        if found is not None:
            return np.array(found, dtype)
    return None


class ExpandOneHotEncoder(Rewrite):
    """ai.onnx.ml.OneHotEncoder(x) -> Cast(x == categories), of numbers.

    With ``zeros=0`` an unknown category is an error in ONNX, and zeros here.
    """

    pattern = Op("OneHotEncoder", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if match.attribute("cats_strings", []):
            return "its categories are strings, which TensorRT has no tensors of"
        if not match.attribute("cats_int64s", []):
            return "it has no categories"
        return match.dtype_problem(_NUMBERS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        categories = np.array(match.attribute("cats_int64s"), np.int64)
        number = new.cast(x, "int64")
        is_equal = new.add("Equal", new.unsqueeze(number, [-1]), categories)
        return new.end("Cast", is_equal, to="float32")


class ExpandArrayFeatureExtractor(Rewrite):
    """ai.onnx.ml.ArrayFeatureExtractor(x, indices) -> Gather(x, indices) along the last axis."""

    pattern = Op("ArrayFeatureExtractor", "x", "indices", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if match.rank(x) is None:
            return "the rank of its input is unknown"
        return match.dtype_problem(_NUMBERS, x)

    def rewrite(self, match: Match, x: gs.Tensor, indices: gs.Tensor) -> list[gs.Node]:
        """Reshape vectors to rows."""
        new = Replacement(match)
        flat = new.add("Reshape", indices, np.array([-1]))
        if match.rank(x) == 1:
            return new.end("Reshape", new.add("Gather", x, flat), np.array([1, -1]))
        return new.end("Gather", x, flat, axis=-1)


class ExpandFeatureVectorizer(Rewrite):
    """ai.onnx.ml.FeatureVectorizer(a, b, ...) -> Concat(a, b, ...), as float32."""

    pattern = Op("FeatureVectorizer", "first", ..., domain=ML)

    def check(self, match: Match) -> str | None:
        sizes = match.attribute("inputdimensions", [])
        shapes = [match.shape(each) for each in match.inputs]
        if len(sizes) != len(shapes) or any(
            not shape or len(shape) != 2 or shape[1] != size
            for shape, size in zip(shapes, sizes, strict=True)
        ):
            return "its inputs are not known to be as wide as it says"
        return match.dtype_problem(_NUMBERS, *match.inputs)

    def rewrite(self, match: Match) -> list[gs.Node]:
        new = Replacement(match)
        return new.end("Concat", *(new.cast(each, "float32") for each in match.inputs), axis=1)


def floats(match: Match, name: str) -> npt.NDArray[np.float32]:
    """Return an attribute as float32; an absent one is empty."""
    return np.array(match.attribute(name, []), np.float32)
