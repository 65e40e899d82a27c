"""Keep in the plan what a plugin said about its memory, and compare when the plan is loaded.

TensorRT allocates outputs and workspace from what the plugin said during the build. A plugin that
was changed after the build could write past that memory. So the plan records the sizes for the
shapes at the ends of each profile, and a plugin loaded from the plan must still give them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.dims import Dim, Shape
from pluginkit.contract.dtypes import DType, dtype_from_name
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.tensors import TensorDesc
from pluginkit.errors import PlanError, TensorError


@dataclass(frozen=True)
class MemoryNeeds:
    """The memory that a plugin needs for inputs of one set of shapes and types.

    Attributes:
        shapes: the shapes of the inputs that kernels see.
        dtypes: their types.
        trt_outputs: the outputs' shapes as TensorRT gave them, -1 for a dimension that only kernels
            know. The values of shape inputs follow from them.
        outputs: shape and dtype of each output, with the upper bound for a dimension that only
            kernels know.
        workspace_bytes: the workspace of the tactic that needs most.
    """

    shapes: tuple[Shape, ...]
    dtypes: tuple[DType, ...]
    trt_outputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[Shape, DType], ...]
    workspace_bytes: int


#: The largest size that a profile can have, and what is reserved for a size without a limit.
_LARGEST, _RESERVED = 2**31 - 1, 2**20


class RecordedSizes:
    """The memory needs that one plugin has stated, in order and without repetitions."""

    def __init__(self, needs: Iterable[MemoryNeeds] = ()) -> None:
        self._needs = dict.fromkeys(needs)

    def __iter__(self) -> Iterator[MemoryNeeds]:
        return iter(self._needs)

    def described(self, plugin: Plugin) -> Iterator[tuple[calls.Inputs, Sequence[TensorDesc]]]:
        """Yield the inputs and outputs of each call, as the plugin sees them."""
        for one in self:
            inputs = _described_inputs(plugin, one.shapes, one.dtypes, one.trt_outputs)
            yield inputs, calls.describe_outputs(plugin, inputs)

    def record(
        self,
        plugin: Plugin,
        shapes: Sequence[Shape],
        dtypes: Sequence[DType],
        trt_outputs: Sequence[tuple[int, ...]],
    ) -> None:
        """Ask the plugin for concrete shapes and keep the answer; arguments as in MemoryNeeds.

        For a size without a limit, as values in the model give it, some memory is reserved. A run
        with a larger one that needs more is refused.
        """
        inputs = [tuple(map(_reserved, shape)) for shape in shapes]
        outputs = [
            tuple(_RESERVED if dim > _LARGEST else dim for dim in one) for one in trt_outputs
        ]
        self._needs[_needs_of(plugin, inputs, dtypes, outputs)] = None

    def workspace_bytes(self, dtypes: Sequence[DType]) -> int | None:
        """Return the largest workspace for inputs of these types; None if none was recorded."""
        wanted = tuple(dtypes)
        return max((one.workspace_bytes for one in self if one.dtypes == wanted), default=None)

    def check_unchanged(self, plugin: Plugin, where: str) -> None:
        """Ask the plugin again and compare.

        Errors:
            PK216: an output has another shape or type, the workspace has grown, or the plugin
                refuses the inputs.
        """
        for old in self:
            asked = f"for inputs of {_listed(old.shapes, old.dtypes)}"
            try:
                new = _needs_of(plugin, old.shapes, old.dtypes, old.trt_outputs)
            except Exception as error:
                message = f"the plan was built {asked}, which the plugin refuses now."
                raise _changed(plugin, message, where, str(error)) from error
            for then, now in self._differences(plugin, old, new):
                message = f"the plan was built with {then}; the plugin has {now} now, {asked}."
                raise _changed(plugin, message, where, _CAUSE)

    def _differences(
        self, plugin: Plugin, old: MemoryNeeds, new: MemoryNeeds
    ) -> Iterator[tuple[str, str]]:
        for port, then, now in zip(plugin.spec.outputs, old.outputs, new.outputs, strict=True):
            if then != now:
                yield f"{port.name} {_described(*then)}", _described(*now)
        given = self.workspace_bytes(old.dtypes) or 0
        if new.workspace_bytes > given:
            yield f"{given} bytes of workspace", f"{new.workspace_bytes}"

    def check_workspace(self, plugin: Plugin, inputs: calls.Inputs, given: int | None) -> int:
        """Return the workspace that inputs need, in bytes; refuse more than TensorRT was asked for.

        Args:
            plugin: the plugin.
            inputs: the inputs.
            given: what :meth:`workspace_bytes` says for their types.

        Errors:
            PK217: they need more.
        """
        needed = calls.workspace_bytes(plugin, inputs)
        if given is not None and needed > given:
            seen = [desc for desc in inputs if desc is not None and desc.slot.kind == "input"]
            is_unlimited = any(_RESERVED in shape for one in self for shape in one.shapes)
            raise TensorError(
                "PK217",
                f"{type(plugin).__name__} needs {needed} bytes of workspace for inputs of "
                f"{', '.join(map(str, seen))}; TensorRT was asked for {given}.",
                cause=f"a size follows from values, and {_RESERVED} was reserved for it."
                if is_unlimited
                else "its workspace_bytes returns less for larger shapes.",
                fix="run it on smaller inputs."
                if is_unlimited
                else "let workspace_bytes return as much for the profile's largest shapes.",
            )
        return needed

    def to_text(self) -> str:
        """Return the sizes as JSON."""
        document = [
            {
                "shapes": one.shapes,
                "dtypes": [dtype.name for dtype in one.dtypes],
                "trt_outputs": one.trt_outputs,
                "outputs": [(shape, dtype.name) for shape, dtype in one.outputs],
                "workspace_bytes": one.workspace_bytes,
            }
            for one in self
        ]
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str, plugin: Plugin) -> RecordedSizes:
        """Read what ``to_text`` wrote.

        Errors:
            PK207: the text is damaged.
        """
        try:
            document = json.loads(text)
            if not isinstance(document, list):
                raise TypeError("it is no list")
            return cls(_read(one, len(plugin.spec.outputs)) for one in document)
        except Exception as error:
            raise PlanError(
                "PK207",
                f"{type(plugin).__name__}: the sizes that the plan recorded cannot be read "
                f"({error}).",
                fix="build the plan again with this pluginkit.",
            ) from error


_CAUSE = "the plugin was changed after the build; TensorRT allocates what the plugin said then."


def _reserved(dim: Dim) -> Dim:
    return _RESERVED if isinstance(dim, int) and dim > _LARGEST else dim


def _needs_of(
    plugin: Plugin,
    shapes: Sequence[Shape],
    dtypes: Sequence[DType],
    trt_outputs: Sequence[tuple[int, ...]],
) -> MemoryNeeds:
    inputs = _described_inputs(plugin, shapes, dtypes, trt_outputs)
    outputs = calls.describe_outputs(plugin, inputs)
    return MemoryNeeds(
        tuple(shapes),
        tuple(dtypes),
        tuple(trt_outputs),
        tuple((desc.shape, desc.dtype) for desc in outputs),
        calls.largest_workspace_bytes(plugin, inputs),
    )


def _described_inputs(
    plugin: Plugin,
    shapes: Sequence[Shape],
    dtypes: Sequence[DType],
    trt_outputs: Sequence[tuple[int, ...]],
) -> calls.Inputs:
    return calls.describe_on_device(plugin, shapes, dtypes, lambda: trt_outputs)


def _read(one: Any, outputs: int) -> MemoryNeeds:
    shapes = tuple(_read_shape(shape, 0) for shape in one["shapes"])
    dtypes = tuple(map(dtype_from_name, one["dtypes"]))
    pairs = tuple((_read_shape(shape, 0), dtype_from_name(name)) for shape, name in one["outputs"])
    if len(shapes) != len(dtypes) or len(pairs) != outputs:
        raise ValueError(f"{len(shapes)} shapes, {len(dtypes)} dtypes, {len(pairs)} outputs")
    trt_outputs = tuple(_read_shape(shape, -1) for shape in one["trt_outputs"])
    (workspace_bytes,) = _read_shape([one["workspace_bytes"]], 0)
    return MemoryNeeds(shapes, dtypes, trt_outputs, pairs, workspace_bytes)


def _read_shape(shape: list[Any], least: int) -> tuple[int, ...]:
    for dim in shape:
        if type(dim) is not int or dim < least:
            raise ValueError(f"{dim!r} is no size")
    return tuple(shape)


def _changed(plugin: Plugin, message: str, where: str, cause: str) -> PlanError:
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
