"""Cast the arrays of a case to another combination of types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pluginkit.contract.dtypes import DType
from pluginkit.contract.spec import Port

if TYPE_CHECKING:
    import numpy.typing as npt


def dtype_for(port: Port, array: npt.NDArray[Any], bindings: Mapping[str, DType]) -> DType:
    """Return the type of a case's array, given the types of the type variables."""
    if port.variable is not None:
        return bindings[port.variable]
    fitting = [dtype for dtype in port.dtypes if dtype.numpy == array.dtype]
    return fitting[0] if fitting else port.dtypes[0]


def cast(array: Any, dtype: DType) -> Any:
    """Return the array in another type, its values moved into range."""
    import numpy as np

    array = np.asarray(array)
    if dtype.numpy == array.dtype:
        return np.asarray(array)
    if dtype.name == "bool":
        return np.asarray(array != 0)
    if not dtype.is_floating:
        limits = np.iinfo(dtype.numpy)
        array = np.abs(array) if limits.min == 0 else array
        if array.dtype.kind == "f":
            array = np.nan_to_num(array.astype(np.float64))  # which has the limits as numbers
        array = np.clip(array, max(limits.min, -(2**62)), min(limits.max, 2**62))
    with np.errstate(over="ignore"):  # what is too large for a small type becomes infinite
        return np.asarray(array.astype(dtype.numpy))
