"""What a plugin said of its memory at the build, which the plan keeps.

TensorRT allocates outputs and workspace by what the plugin said at the build. One that has been
changed since, and uses more, would write where it must not; so when a plan is loaded the plugin is
asked again, for the same inputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pluginkit import calls
from pluginkit.dims import Shape
from pluginkit.dtypes import DType, dtype_from_name
from pluginkit.errors import PlanError
from pluginkit.plugin import Plugin


@dataclass(frozen=True)
class Promise:
    """What a plugin says of its memory, for inputs of one set of shapes.

    Attributes:
        shapes: of the inputs that kernels see.
        dtypes: likewise.
        told: the outputs' shapes as TensorRT said them, -1 for dimensions that only kernels know;
            the values of shape inputs follow from them.
        outputs: shape and dtype of each output, dimensions that only kernels know at their largest.
        workspace_bytes: the most that a tactic needs.
    """

    shapes: tuple[Shape, ...]
    dtypes: tuple[DType, ...]
    told: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[Shape, DType], ...]
    workspace_bytes: int


def promise(
    plugin: Plugin,
    shapes: Sequence[Shape],
    dtypes: Sequence[DType],
    told: Sequence[tuple[int, ...]],
) -> Promise:
    """Ask a plugin, for concrete shapes; arguments as in :class:`Promise`."""
    inputs = calls.describe_on_device(plugin, shapes, dtypes, lambda: told)
    outputs = calls.describe_outputs(plugin, inputs)
    return Promise(
        tuple(shapes),
        tuple(dtypes),
        tuple(told),
        tuple((desc.shape, desc.dtype) for desc in outputs),
        calls.largest_workspace_bytes(plugin, inputs),
    )


def text_from_promises(promises: Iterable[Promise]) -> str:
    """What a plan holds."""
    return json.dumps(
        [
            {
                "shapes": one.shapes,
                "dtypes": [dtype.name for dtype in one.dtypes],
                "told": one.told,
                "outputs": [(shape, dtype.name) for shape, dtype in one.outputs],
                "workspace_bytes": one.workspace_bytes,
            }
            for one in promises
        ],
        separators=(",", ":"),
    )


def promises_from_text(text: str, owner: str) -> list[Promise]:
    """What a plan holds, read.

    Errors:
        PK207: it cannot be read.
    """
    try:
        document = json.loads(text)
        if not isinstance(document, list):
            raise TypeError("it is no list")
        return [_read(one) for one in document]
    except Exception as error:
        raise PlanError(
            "PK207",
            f"{owner}: what the plan holds of the build cannot be read ({error}).",
            fix="build the plan again with this pluginkit.",
        ) from error


def _read(one: Any) -> Promise:
    return Promise(
        tuple(map(tuple, one["shapes"])),
        tuple(map(dtype_from_name, one["dtypes"])),
        tuple(map(tuple, one["told"])),
        tuple((tuple(shape), dtype_from_name(name)) for shape, name in one["outputs"]),
        int(one["workspace_bytes"]),
    )


def check_promises(plugin: Plugin, promises: Iterable[Promise], where: str) -> None:
    """Ask a plugin again.

    Errors:
        PK216: its outputs are others now, or it needs more workspace.
        whatever the author raises.
    """
    for old in promises:
        new = promise(plugin, old.shapes, old.dtypes, old.told)
        if new.outputs == old.outputs and new.workspace_bytes <= old.workspace_bytes:
            continue
        raise PlanError(
            "PK216",
            f"{type(plugin).__name__}: the plan was built with {_described(old)}; the plugin that "
            f"is here has {_described(new)}, for inputs of {_listed(old.shapes, old.dtypes)}.",
            where=where,
            cause="the plugin was changed after the build; in the memory that TensorRT allocates "
            "for it, it would write beyond the end.",
            fix="build the plan again, or load it with the plugin of then.",
        )


def _described(one: Promise) -> str:
    outputs = _listed(*zip(*one.outputs, strict=True))
    return f"outputs of {outputs} and {one.workspace_bytes} bytes of workspace"


def _listed(shapes: Iterable[Shape], dtypes: Iterable[DType]) -> str:
    pairs = zip(shapes, dtypes, strict=True)
    return ", ".join(f"{dtype.name} {list(shape)}" for shape, dtype in pairs) or "none"
