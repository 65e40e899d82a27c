"""Check what ``cases()`` gives before anything reads it."""

from __future__ import annotations

from collections.abc import Iterable

from pluginkit.contract.plugin import Case


def given_cases(given: object) -> list[Case]:
    """Return the sample cases.

    Errors:
        TypeError: one is no Case, or has a name that is no text or an input that is no array.
    """
    if not isinstance(given, Iterable):
        raise TypeError(
            f"got {_shortened(given)}; expected cases, as with yield Case(name, inputs)"
        )
    cases: list[Case] = []
    for one in given:
        if not isinstance(one, Case):
            raise TypeError(f"got {_shortened(one)}; expected Case(name, inputs, attributes)")
        if not isinstance(one.name, str):
            raise TypeError(
                f"the name of a case is {_shortened(one.name)}; expected a str, as in "
                "Case('empty', [np.zeros((0, 4), np.float32)])"
            )
        for number, array in enumerate(one.inputs):
            if array is not None and not hasattr(array, "dtype"):
                raise TypeError(
                    f"input {number} of case '{one.name}' is {_shortened(array)}; expected a numpy "
                    "array, or None for an optional input that is absent"
                )
        cases.append(one)
    return cases


def _shortened(value: object) -> str:
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= 80 else f"{text[:77]}..."
