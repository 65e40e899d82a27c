"""Ask an author's methods for the workspace and the steps of an enqueue, and check the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pluginkit.contract.calls.inputs import Inputs, owner
from pluginkit.contract.calls.refusals import asked
from pluginkit.contract.dims import known
from pluginkit.contract.launches import Copy, Fill, Launch, Step
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.tensors import TensorDesc, Workspace
from pluginkit.errors import KernelError, TensorError


def workspace_bytes(plugin: Plugin, inputs: Inputs) -> int:
    """Return the workspace for concrete inputs, in bytes.

    Errors:
        PK115: the author did not return an int >= 0.
    """
    if "workspace_bytes" not in plugin.spec.overrides:
        return 0
    returned = asked(plugin, plugin.workspace_bytes, inputs)
    try:
        nbytes = known(returned)
    except TypeError:
        nbytes = -1
    if isinstance(returned, bool) or not 0 <= nbytes < 2**63:
        raise TensorError(
            "PK115",
            f"{owner(plugin)}.workspace_bytes returned {returned!r}; expected bytes, an int >= 0.",
            cause="TensorRT would silently take it for 0.",
        )
    return nbytes


def largest_workspace_bytes(plugin: Plugin, inputs: Inputs) -> int:
    """Return the workspace of the tactic that needs most, in bytes."""
    plugins = [plugin.with_tactic(each) for each in plugin.spec.tactics] or [plugin]
    return max(workspace_bytes(each, inputs) for each in plugins)


def steps(plugin: Plugin, inputs: Inputs, outputs: Sequence[TensorDesc]) -> tuple[Step, ...]:
    """Return the author's steps for concrete shapes.

    Errors:
        PK116: the author returned something other than Launch, Copy and Fill.
    """
    return steps_within(plugin, inputs, outputs, Workspace(workspace_bytes(plugin, inputs)))


def steps_within(
    plugin: Plugin, inputs: Inputs, outputs: Sequence[TensorDesc], workspace: Workspace
) -> tuple[Step, ...]:
    """Return the author's steps in a workspace, which a plugin without one ignores.

    Errors:
        PK116: the author returned something other than Launch, Copy and Fill.
    """
    tensors: list[Any] = [*inputs, *outputs]
    if "workspace_bytes" in plugin.spec.overrides:
        tensors.append(workspace)
    returned = asked(plugin, plugin.launches, tensors)
    if isinstance(returned, (Launch, Copy, Fill)):
        return (returned,)
    if not isinstance(returned, (tuple, list)) or not all(
        [isinstance(step, (Launch, Copy, Fill)) for step in returned]  # noqa: C419  # faster
    ):
        raise KernelError(
            "PK116",
            f"{owner(plugin)}.launches returned {returned!r}; expected Launch, Copy and Fill.",
        )
    return tuple(returned)
