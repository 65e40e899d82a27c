"""What a plugin said of its memory at the build, which the plan keeps.

TensorRT allocates outputs and workspace by what the plugin said at the build. One that has been
changed since would write where it must not; so when a plan is loaded the plugin is asked again, for
the inputs at the ends of each profile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.dims import Shape
from pluginkit.contract.dtypes import DType, dtype_from_name
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import PlanError, TensorError


@dataclass(frozen=True)
class Promise:
    """What a plugin says of its memory, for inputs of one set of shapes and types.

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


class Promises:
    """What one plugin has said, in the order in which it did."""

    def __init__(self, said: Iterable[Promise] = ()) -> None:
        self._said = dict.fromkeys(said)

    def __iter__(self) -> Iterator[Promise]:
        return iter(self._said)

    def ask(
        self,
        plugin: Plugin,
        shapes: Sequence[Shape],
        dtypes: Sequence[DType],
        told: Sequence[tuple[int, ...]],
    ) -> None:
        """Ask the plugin, for concrete shapes, and keep the answer; arguments as in Promise."""
        self._said[_ask(plugin, shapes, dtypes, told)] = None

    def workspace_bytes(self, dtypes: Sequence[DType]) -> int | None:
        """The most workspace that was said for inputs of these types; None if it was not asked."""
        wanted = tuple(dtypes)
        return max((one.workspace_bytes for one in self if one.dtypes == wanted), default=None)

    def check(self, plugin: Plugin, where: str) -> None:
        """Ask a plugin the same again.

        Errors:
            PK216: its outputs are others now, it needs more workspace, or it refuses the inputs.
        """
        for old in self:
            asked = f"for inputs of {_listed(old.shapes, old.dtypes)}"
            try:
                new = _ask(plugin, old.shapes, old.dtypes, old.told)
            except Exception as error:
                message = f"the plan was built {asked}, which the plugin refuses now."
                raise _stale(plugin, message, where, str(error)) from error
            for then, now in self._differences(plugin, old, new):
                message = f"the plan was built with {then}; the plugin has {now} now, {asked}."
                raise _stale(plugin, message, where, _CAUSE)

    def _differences(self, plugin: Plugin, old: Promise, new: Promise) -> Iterator[tuple[str, str]]:
        for port, then, now in zip(plugin.spec.outputs, old.outputs, new.outputs, strict=True):
            if then != now:
                yield f"{port.name} {_described(*then)}", _described(*now)
        given = self.workspace_bytes(old.dtypes) or 0
        if new.workspace_bytes > given:
            yield f"{given} bytes of workspace", f"{new.workspace_bytes}"

    def check_workspace(self, plugin: Plugin, inputs: calls.Inputs) -> None:
        """Refuse a plugin that needs more workspace for some inputs than it has ever said.

        Errors:
            PK217: it does.
        """
        seen = [desc for desc in inputs if desc is not None and desc.slot.kind == "input"]
        given = self.workspace_bytes([desc.dtype for desc in seen])
        if given is None:
            return
        needed = calls.workspace_bytes(plugin, inputs)
        if needed > given:
            raise TensorError(
                "PK217",
                f"{type(plugin).__name__} needs {needed} bytes of workspace for inputs of "
                f"{', '.join(map(str, seen))}; TensorRT was asked for {given}.",
                cause="its workspace_bytes gives less for larger shapes.",
                fix="let workspace_bytes give as much for the profile's largest shapes.",
            )

    def to_text(self) -> str:
        """What a plan holds."""
        document = [
            {
                "shapes": one.shapes,
                "dtypes": [dtype.name for dtype in one.dtypes],
                "told": one.told,
                "outputs": [(shape, dtype.name) for shape, dtype in one.outputs],
                "workspace_bytes": one.workspace_bytes,
            }
            for one in self
        ]
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str, plugin: Plugin) -> Promises:
        """What a plan holds of a plugin.

        Errors:
            PK207: it cannot be read.
        """
        try:
            document = json.loads(text)
            if not isinstance(document, list):
                raise TypeError("it is no list")
            return cls(_read(one, len(plugin.spec.outputs)) for one in document)
        except Exception as error:
            raise PlanError(
                "PK207",
                f"{type(plugin).__name__}: what the plan holds of the build cannot be read "
                f"({error}).",
                fix="build the plan again with this pluginkit.",
            ) from error


_CAUSE = "the plugin was changed after the build; TensorRT allocates what it said then."


def _ask(
    plugin: Plugin,
    shapes: Sequence[Shape],
    dtypes: Sequence[DType],
    told: Sequence[tuple[int, ...]],
) -> Promise:
    inputs = calls.describe_on_device(plugin, shapes, dtypes, lambda: told)
    outputs = calls.describe_outputs(plugin, inputs)
    return Promise(
        tuple(shapes),
        tuple(dtypes),
        tuple(told),
        tuple((desc.shape, desc.dtype) for desc in outputs),
        calls.largest_workspace_bytes(plugin, inputs),
    )


def _read(one: Any, outputs: int) -> Promise:
    shapes = tuple(_read_shape(shape, 0) for shape in one["shapes"])
    dtypes = tuple(map(dtype_from_name, one["dtypes"]))
    pairs = tuple((_read_shape(shape, 0), dtype_from_name(name)) for shape, name in one["outputs"])
    if len(shapes) != len(dtypes) or len(pairs) != outputs:
        raise ValueError(f"{len(shapes)} shapes, {len(dtypes)} dtypes, {len(pairs)} outputs")
    told = tuple(_read_shape(shape, -1) for shape in one["told"])
    return Promise(shapes, dtypes, told, pairs, *_read_shape([one["workspace_bytes"]], 0))


def _read_shape(shape: list[Any], least: int) -> tuple[int, ...]:
    for dim in shape:
        if type(dim) is not int or dim < least:
            raise ValueError(f"{dim!r} is no size")
    return tuple(shape)


def _stale(plugin: Plugin, message: str, where: str, cause: str) -> PlanError:
    return PlanError(
        "PK216",
        f"{type(plugin).__name__}: {message}",
        where=where,
        cause=cause,
        fix="build the plan again, or use the version of the plugin that it was built with.",
    )


def _listed(shapes: Iterable[Shape], dtypes: Iterable[DType]) -> str:
    return ", ".join(map(_described, shapes, dtypes)) or "none"


def _described(shape: Shape, dtype: DType) -> str:
    return f"{dtype.name} {list(shape)}"
