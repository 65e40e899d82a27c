"""What annotations say of attributes."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from pluginkit.contract.spec_from_class import AttributeType, type_from_annotation
from pluginkit.errors import DeclarationError


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, AttributeType("int")),
        (bool | None, AttributeType("bool", is_optional=True)),
        (tuple[float, ...], AttributeType("tuple", "float")),
        (tuple[int, int], AttributeType("tuple", "int", 2)),
        (Literal["none", "add"], AttributeType("str", choices=("none", "add"))),
        (np.ndarray, AttributeType("array")),
        (npt.NDArray[np.float32] | None, AttributeType("array", is_optional=True)),
    ],
)
def test_an_annotation_is_a_type(annotation: Any, expected: AttributeType) -> None:
    assert type_from_annotation("Scale", "factor", annotation) == expected


@pytest.mark.parametrize(
    "annotation",
    [None, list[int], tuple, tuple[int, str], int | str, int | float | None, Literal[1, "a"]],
)
def test_what_cannot_travel_is_refused(annotation: Any) -> None:
    with pytest.raises(DeclarationError, match=r"PK101 Scale.factor: annotation .* cannot travel"):
        type_from_annotation("Scale", "factor", annotation)
