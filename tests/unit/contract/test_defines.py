"""Constants that Python and CUDA C++ share."""

from typing import Any, Literal

import pytest

from pluginkit.contract.defines import cpp_definitions

Mode = Literal["linear", "cubic"]


def test_every_kind_of_constant() -> None:
    defines = {
        "THREADS": 256,
        "LOWEST": -(2**31),
        "MOST": 2**40,
        "IS_WIDE": True,
        "HALF": 0.5,
        "TINY": 1e-30,
        "Mode": Mode,
        "Padding": ("zeros", "border"),
    }
    assert cpp_definitions(defines).splitlines() == [
        "namespace pluginkit {",
        "constexpr int THREADS = 256;",
        "constexpr long long LOWEST = -2147483648;",
        "constexpr long long MOST = 1099511627776;",
        "constexpr bool IS_WIDE = true;",
        "constexpr float HALF = 0.5f;",
        "constexpr float TINY = 1e-30f;",
        "enum class Mode { linear, cubic };",
        "enum class Padding { zeros, border };",
        "}",
    ]


def test_nothing_is_written_for_no_constants() -> None:
    assert cpp_definitions({}) == ""


@pytest.mark.parametrize(
    ("defines", "said"),
    [
        ({"two words": 1}, "name 'two words' is no C\\+\\+ identifier"),
        ({"größe": 1}, "name 'größe' is no C\\+\\+ identifier"),
        ({"N": 2**63}, "'N' is 9223372036854775808; expected an integer of 64 bits"),
        ({"X": float("nan")}, "'X' is nan; expected a finite number"),
        ({"S": "text"}, "'S' is 'text'; expected an int"),
        ({"E": ()}, r"'E' is \(\); expected"),
        ({"E": Literal[1, 2]}, r"'E' is typing.Literal\[1, 2\]; expected"),
        ({"E": ("a", "b c")}, "'E' is .*; expected"),
    ],
)
def test_what_has_no_form_in_cpp_is_named(defines: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cpp_definitions(defines)
