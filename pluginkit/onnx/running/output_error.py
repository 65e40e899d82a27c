"""Measure the difference of two arrays, and judge it by a tolerance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pluginkit.errors import UsageError

Array = npt.NDArray[Any]
#: One tolerance for every dtype, or one by dtype name; dtypes that are left out have the default.
Tolerance: TypeAlias = float | Mapping[str, float] | None

#: The default tolerance, relative and absolute, of each floating-point dtype; TensorRT computes
#: float64 in float32. Values of any other dtype must be equal.
TOLERANCES = {"float64": 1e-5, "float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}


@dataclass(frozen=True)
class OutputComparison:
    """The difference of one value between two models, the largest of all runs.

    Attributes:
        name, dtype, shape: of the value in the original; the shape is that of the last run.
        max_abs_error: the largest difference; infinite if NaN, Inf or the shapes differ.
        max_rel_error: the largest difference divided by the original's value.
        mismatches: the number of elements out of tolerance.
        got: the dtype and shape in the rewritten model if they differ, else "".
        ok: whether no element is out of tolerance.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    max_abs_error: float
    max_rel_error: float
    mismatches: int
    got: str = ""

    @property
    def ok(self) -> bool:
        """Whether every element is within tolerance."""
        return self.mismatches == 0


def compare_arrays(
    name: str, expected: Array, got: Array, rtol: Tolerance = None, atol: Tolerance = None
) -> OutputComparison:
    """Compare one value.

    Args:
        name: its name.
        expected: the original's value.
        got: the rewritten model's value.
        rtol: the relative tolerance; by default that of the dtype of ``expected``.
        atol: the absolute tolerance, likewise.
    """
    dtype = expected.dtype.name
    if expected.shape != got.shape or expected.dtype != got.dtype:
        worst = float("inf")
        other = f"{got.dtype.name} {'x'.join(map(str, got.shape)) or 'scalar'}"
        count = max(expected.size, 1)
        return OutputComparison(name, dtype, expected.shape, worst, worst, count, other)
    relative_limit, absolute_limit = tolerance_of(dtype, rtol), tolerance_of(dtype, atol)
    if dtype not in TOLERANCES and expected.dtype.kind not in "iu":
        mismatches = int(np.count_nonzero(expected != got))
        error = float("inf") if mismatches else 0.0
        return OutputComparison(name, dtype, expected.shape, error, error, mismatches)
    wide = (
        np.float64 if dtype in TOLERANCES else np.longdouble
    )  # longdouble holds every int64 exactly
    a: Array = expected.astype(wide)
    b: Array = got.astype(wide)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        is_same = (a == b) | (np.isnan(a) & np.isnan(b))
        absolute = np.where(is_same, 0, np.abs(a - b))
        absolute = np.where(np.isfinite(a) & np.isfinite(b) | is_same, absolute, np.inf)
        relative = np.where(absolute == 0, 0, absolute / np.abs(a))
        limit = absolute_limit + relative_limit * np.abs(a)
        is_close = is_same | (np.isfinite(absolute) & (absolute <= limit))
    return OutputComparison(
        name,
        dtype,
        expected.shape,
        float(absolute.max(initial=0)),
        float(relative.max(initial=0)),
        int(np.count_nonzero(~is_close)),
    )


def tolerance_of(dtype: str, given: Tolerance) -> float:
    """Return the tolerance for a dtype: the given one, else the default, else 0."""
    if isinstance(given, Mapping):
        given = given.get(dtype)
    return TOLERANCES.get(dtype, 0.0) if given is None else given


def with_precision(given: Tolerance, precision: str) -> Tolerance:
    """Return the tolerance of a model that computes in ``precision``, "" for its own types."""
    if not precision or isinstance(given, (int, float)):
        return given
    return {"float32": TOLERANCES[precision], **(given or {})}


def check_tolerance(kind: str, given: Tolerance) -> None:
    """Check a tolerance.

    Errors:
        PK456: a number is negative or NaN, or a dtype is unknown.
    """
    for dtype, value in given.items() if isinstance(given, Mapping) else [("", given)]:
        if value is not None and not value >= 0:
            raise UsageError("PK456", f"{kind} is {value}; expected 0 or more.")
        if dtype and not _is_dtype(dtype):
            raise UsageError(
                "PK456", f"{kind} names dtype '{dtype}'; expected one such as float16 or int32."
            )


def _is_dtype(name: str) -> bool:
    if name in TOLERANCES:
        return True
    try:
        return np.dtype(name).name == name
    except TypeError:
        return False


def worst_of(results: Iterable[OutputComparison]) -> dict[str, OutputComparison]:
    """Combine the results of all runs of each value."""
    found: dict[str, OutputComparison] = {}
    for each in results:
        found[each.name] = _worse(found[each.name], each) if each.name in found else each
    return found


def _worse(first: OutputComparison, second: OutputComparison) -> OutputComparison:
    return OutputComparison(
        second.name,
        second.dtype,
        second.shape,
        max(first.max_abs_error, second.max_abs_error),
        max(first.max_rel_error, second.max_rel_error),
        first.mismatches + second.mismatches,
        first.got or second.got,
    )
