"""Exported plugins in TensorRT's order, played by the C++ programs in cpp/."""

import re
from collections.abc import Callable

import pytest

from tests.export.building import Target

pytestmark = pytest.mark.slow

Driven = Callable[[Target, str], str]

INTERFACES = pytest.mark.parametrize("interface", ["v2", "v3"])


@INTERFACES
def test_the_life_of_a_plugin_under_sanitizers(driven: Driven, interface: str):
    driven(Target(10, interface, is_sanitized=True), "cycle")


@INTERFACES
def test_damaged_plans_are_refused_or_read(driven: Driven, interface: str):
    said = driven(Target(10, interface, is_sanitized=True), "corrupt")
    found = re.fullmatch(r"(\d+) of 20000 refused\n", said)
    assert found is not None
    assert 10_000 < int(found[1]) < 20_000


@INTERFACES
def test_shape_changes_and_contexts_leave_nothing(driven: Driven, interface: str):
    found = re.fullmatch(
        r"grown by (-?\d+) KiB, (\d+) modules loaded\n", driven(Target(11, interface), "many")
    )
    assert found is not None
    assert int(found[1]) < 256
    assert int(found[2]) <= 2


@pytest.mark.parametrize(("layout", "interface"), [(8, "v2"), (11, "v2"), (11, "v3")])
def test_the_life_of_a_plugin_in_other_versions(driven: Driven, layout: int, interface: str):
    driven(Target(layout, interface), "cycle")
