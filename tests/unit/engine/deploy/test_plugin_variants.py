"""The calls that a library for a whole plugin is made for."""

import pytest

from pluginkit.engine.deploy.plugin_variants import plugin_variants
from pluginkit.errors import UsageError
from pluginkit.export.variant import ANY
from pluginkit.plugins.unique import Unique


def test_shapes_narrow_what_is_exported() -> None:
    shapes = {"x": "0x2,64x2,5000x2/0x3,64x3,9000x3"}
    variants = plugin_variants(Unique, ["float32"], {"axis": [0]}, shapes)
    assert variants
    assert {variant.ranges for variant in variants} == {(((0, 9000), (2, 3)),)}


def test_a_question_mark_is_any_size() -> None:
    variants = plugin_variants(Unique, ["float32"], {"axis": [0]}, {"x": "?x2"})
    assert {variant.ranges for variant in variants} == {((ANY, (2, 2)),)}


def test_a_rank_that_no_case_has_is_refused() -> None:
    with pytest.raises(UsageError, match="takes none of its cases with these types, attributes"):
        plugin_variants(Unique, ["float32"], None, {"x": "1x1x1x1x1x1"})
