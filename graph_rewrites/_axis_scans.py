"""Build a Scan over one axis of a value, which carries something of the size of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.helper

from pluginkit.onnx import Match, NodeInput, Replacement

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


def scan_over_axis(
    match: Match,
    x: gs.Tensor,
    axis: int,
    new: Replacement,
    first: Sequence[NodeInput],
    body: onnx.GraphProto,
    *,
    is_reversed: bool = False,
) -> list[NewNode]:
    """Return a Scan over an axis, which makes the outputs of a match, and what it needs.

    Args:
        match: the match.
        x: what is scanned.
        axis: the axis, from 0.
        new: the nodes that make ``first``.
        first: what the body carries at first; each is expanded to the sizes of x's other axes.
        body: the body: it takes what it carries and an element of x, and gives what it carries
            and what is scanned, of which the match may have fewer outputs.
        is_reversed: whether the last element comes first.
    """
    others = [each for each in range(match.rank(x) or 0) if each != axis]
    sizes = new.add("Gather", new.add("Shape", x), np.array(others, np.int64))
    carried = [new.add("Expand", each, sizes).name for each in first]
    outputs = [f"last_{number}" for number in range(len(first))]
    outputs += [each.name for each in match.outputs]
    outputs += [f"unread_{number}" for number in range(len(outputs), len(body.output))]
    scanned, direction = len(body.output) - len(first), int(is_reversed)
    scan = onnx.helper.make_node(
        "Scan",
        [*carried, x.name],
        outputs,
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_output_axes=[axis] * scanned,
        scan_input_directions=[direction],
        scan_output_directions=[direction] * scanned,
        body=body,
    )
    return [*new, scan]
