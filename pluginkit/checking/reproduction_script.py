"""Write a Python script that reproduces one failed check."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from pluginkit.errors import UsageError
from pluginkit.isolation.class_location import location_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pluginkit.checking.check import Check
    from pluginkit.checking.plugin_under_test import Subject
    from pluginkit.contract.plugin import Case

_TEMPLATE = '''"""Reproduces what plugincheck's '{check}' found wrong with {name}."""

import base64
import io
import sys

import numpy as np

from pluginkit import Case
from pluginkit.isolation.class_location import ClassLocation
from pluginkit.testing import plugincheck


def array(text, dtype):
    """Decode an array."""
    found = np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)
    if dtype == "bfloat16":
        import ml_dtypes

        return found.view(ml_dtypes.bfloat16)
    return found


if __name__ == "__main__":  # the check's own process imports this file again
    plugin = {location}.load()
    cases = {cases}
    report = plugincheck(plugin, cases, only=["{check}"], memory="{memory}")
    print(report)
    sys.exit(report.has_failures)
'''


def script_for(check: Check, subject: Subject, case: Case | None) -> str:
    """Return a script that runs ``check`` on the plugin, only with ``case`` if it is known."""
    try:
        location = location_of(subject.plugin_class)
    except UsageError as error:
        return f"# No script can be written: {error.message} {error.fix}\n"
    return _TEMPLATE.format(
        check=check.name,
        name=subject.name,
        location=repr(location),
        cases="None" if case is None else f"[{_case_text(case)}]",
        memory=subject.memory,
    )


def _case_text(case: Case) -> str:
    import numpy as np

    inputs = ", ".join(
        "None" if one is None else _array_text(np.asarray(one)) for one in case.inputs
    )
    attributes = ", ".join(
        f"{name!r}: {_array_text(value) if isinstance(value, np.ndarray) else repr(value)}"
        for name, value in case.attributes.items()
    )
    return f"Case({case.name!r}, [{inputs}], {{{attributes}}})"


def _array_text(array: npt.NDArray[np.generic]) -> str:
    import numpy as np

    file = io.BytesIO()
    plain = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
    np.save(file, plain, allow_pickle=False)
    return f'array("{base64.b64encode(file.getvalue()).decode()}", "{array.dtype.name}")'
