"""The operators of PyTorch that its TorchScript exporter keeps.

``torch.onnx.export(..., dynamo=False, operator_export_type=...)`` with ONNX_FALLTHROUGH or
ONNX_ATEN_FALLBACK writes those that ONNX lacks as nodes of a domain of their own. Their inputs are
the arguments of the C++ function, in its order; arguments that are None are absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pluginkit.onnx import Match

#: The domain of the nodes.
ATEN = "org.pytorch.aten"


def argument(match: Match, number: int, default: Any) -> Any:
    """Return an argument that is one number; None if the model does not store it.

    Args:
        match: of a node of ATEN.
        number: the position of the argument.
        default: what an absent argument stands for.
    """
    if number >= len(match.inputs) or not match.inputs[number].name:
        return default
    stored = match.constant(match.inputs[number])
    return None if stored is None or stored.size != 1 else stored.item()


def text_argument(match: Match, number: int, default: str) -> str | None:
    """Return an argument that is a text, as StoreAtenText stores it; else as ``argument``."""
    if number >= len(match.inputs) or not match.inputs[number].name:
        return default
    stored = match.constant(match.inputs[number])
    return None if stored is None else "".join(map(chr, stored))


def unstored(match: Match, *arguments: Any) -> str | None:
    """Return a reason to refuse the match if an argument is None."""
    return "its arguments are not stored in the model" if None in arguments else None
