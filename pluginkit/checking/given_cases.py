"""Check what ``cases()`` gives before anything reads it."""

from __future__ import annotations

from collections.abc import Iterable

from pluginkit.contract.plugin import Case


def given_cases(given: Iterable[object]) -> list[Case]:
    """Return the sample cases.

    Errors:
        TypeError: one is no Case, or has a name that is no text.
    """
    cases: list[Case] = []
    for one in given:
        if not isinstance(one, Case):
            raise TypeError(f"got {_shortened(one)}; expected Case(name, inputs, attributes)")
        if not isinstance(one.name, str):
            raise TypeError(
                f"the name of a case is {_shortened(one.name)}; expected a str, as in "
                "Case('empty', [np.zeros((0, 4), np.float32)])"
            )
        cases.append(one)
    return cases


def _shortened(value: object) -> str:
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= 80 else f"{text[:77]}..."
