"""Attributes of nodes as the text of a page."""

import onnx.helper
import pytest

from pluginkit.view.model_text import attribute_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (1e-5, "1e-05"), (2.0, "2.0"), ([0.1, 3.0], "[0.1, 3.0]"), (7, "7")],
)
def test_a_number_is_as_short_as_tells_it_from_others(value: object, text: str) -> None:
    attribute = onnx.helper.make_attribute("a", value)
    assert attribute_text(attribute)[1] == text
