"""Write the equations of Einsums with lower-case letters, the only ones that TensorRT reads."""

from __future__ import annotations

import re
from string import ascii_lowercase

import onnx

from pluginkit.onnx import Match, Op, Rewrite


class RenameEinsumLetters(Rewrite):
    """Einsum(a, b, "BI,IJ->BJ") -> Einsum(a, b, "ab,bc->ac"), with the letters in their order.

    An equation without an arrow sorts its output by that order.
    """

    pattern = Op("Einsum", ...)

    def check(self, match: Match) -> str | None:
        letters = _letters(match)
        if not any(letter.isupper() for letter in letters):
            return "TensorRT reads its letters: they are lower-case"
        if len(letters) > len(ascii_lowercase):
            return f"it has {len(letters)} letters; TensorRT reads {len(ascii_lowercase)}"
        return None

    def rewrite(self, match: Match) -> onnx.NodeProto:
        new = dict(zip(_letters(match), ascii_lowercase, strict=False))
        equation = "".join(new.get(each, each) for each in match.attribute("equation"))
        node = onnx.NodeProto()
        node.CopyFrom(match.proto)
        for attribute in node.attribute:
            if attribute.name == "equation":
                attribute.s = equation.encode()
        return node


def _letters(match: Match) -> list[str]:
    return sorted(set(re.findall("[A-Za-z]", match.attribute("equation", ""))))
