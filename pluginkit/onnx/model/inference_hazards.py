"""Find the nodes on which onnx's shape inference aborts, never ends or reads out of bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator

import onnx

_TERM = rb"[A-Za-z]*(\.\.\.[A-Za-z]*)?"
_EQUATION = re.compile(rb"%b(,%b)*(->%b)?" % (_TERM, _TERM, _TERM))


def inference_hazards(node: onnx.NodeProto) -> Iterator[str]:
    """Yield what of a node onnx's shape inference would not survive."""
    if node.op_type == "Einsum" and not _has_equation(node):
        yield "has no equation of letters, commas, '...' and '->'"
    if node.op_type == "Split" and not _has_all_parts(node):
        yield f"does not split into its {len(node.output)} outputs"
    if node.op_type == "GatherND" and any(
        one.name == "batch_dims" and one.i < 0 for one in node.attribute
    ):
        yield "has a negative number of batch dimensions"


def _has_equation(node: onnx.NodeProto) -> bool:
    """Whether an Einsum's equation is valid."""
    equations = [one.s for one in node.attribute if one.name == "equation"]
    return all(_EQUATION.fullmatch(each.replace(b" ", b"")) for each in equations)


def _has_all_parts(node: onnx.NodeProto) -> bool:
    """Whether a Split's attributes agree with its outputs."""
    counts = {one.i for one in node.attribute if one.name == "num_outputs"}
    counts |= {len(one.ints) for one in node.attribute if one.name == "split"}
    return counts <= {len(node.output)}
