"""Check the sample calls that the other checks use."""

from __future__ import annotations

from pluginkit.checking.check import check
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.quantities import counted


@check(5)
def cases(subject: Subject) -> str:
    """Every sample case fits the declaration, and no two have the same name.

    A case fits when its attributes construct the plugin, it has an array (or None) for each
    declared input, and ``check`` accepts their shapes. If ``output_types`` refuses some types for
    some attributes, each combination of types still has a case that accepts it.

    Does not prove that the cases exercise every branch of the kernel: the other checks see no more
    than these cases, cast to every type and resized.
    """
    if subject.unusable:
        where, error = subject.unusable[0]
        raise Failure(where, error, "a case that fits the declaration")
    names = [case.name for case in subject.cases]
    if len(set(names)) < len(names):
        twins = sorted({name for name in names if names.count(name) > 1})
        raise Failure("cases()", f"two cases called {twins[0]!r}", "a name for each")
    if not names:
        raise NotRun("sample inputs: define cases(), or pass cases")
    untaken = subject.untaken_types()
    if untaken:
        raise Failure("cases()", f"none that takes {untaken[0]}", "a case for every type declared")
    return counted(len(names), "case")
