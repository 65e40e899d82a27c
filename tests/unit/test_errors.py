import pickle
from pathlib import Path

import pytest

import pluginkit
from pluginkit import errors


def test_the_text_has_code_where_cause_and_fix() -> None:
    error = errors.AttributeValueError(
        "PK104", "CircPad: 'pads' is 5.", where="node 'p'", cause="one\ntwo", fix="do."
    )
    assert str(error).splitlines() == [
        "PK104 CircPad: 'pads' is 5.",
        "  Where: node 'p'",
        "  Cause: one",
        "         two",
        "  Fix:   do.",
    ]


def test_every_error_is_also_a_builtin_one() -> None:
    classes = [
        c
        for c in vars(errors).values()
        if isinstance(c, type) and issubclass(c, errors.PluginkitError)
    ]
    specific = [c for c in classes if c is not errors.PluginkitError]
    assert len(specific) >= 14
    for cls in specific:
        assert issubclass(
            cls, (TypeError, ValueError, RuntimeError, ImportError, AssertionError)
        ), cls


def test_lines_that_are_not_known_are_left_out() -> None:
    assert str(errors.PlanError("PK500", "no plan.")) == "PK500 no plan."


@pytest.mark.parametrize(
    ("code", "full_code", "line"),
    [
        ("empty", "GridSample/empty", "GridSample/empty: x has no pixel."),
        ("", "GridSample", "GridSample: x has no pixel."),
    ],
)
def test_a_plugins_own_error_begins_with_its_name(code: str, full_code: str, line: str) -> None:
    error = errors.InputError("x has no pixel.", code=code, fix="give it one.")
    assert str(error).splitlines()[0].endswith("x has no pixel.")
    error.name_plugin("GridSample")
    error.name_plugin("Outer")  # a plugin that uses the other one's reference
    assert error.code == full_code
    assert error.message == "GridSample: x has no pixel."
    assert str(error).splitlines() == [line, "  Fix:   give it one."]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  # our own


@pytest.mark.parametrize("name", pluginkit.__all__)
def test_public_names_exist_and_are_documented(name: str) -> None:
    value = getattr(pluginkit, name)
    assert value.__doc__


def test_unknown_names_are_attribute_errors() -> None:
    assert Path(pluginkit.__file__).name == "__init__.py"
    with pytest.raises(AttributeError, match="no attribute 'Plugn'"):
        pluginkit.Plugn  # noqa: B018
