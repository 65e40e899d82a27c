"""Describe a plan in a manifest: what it was built from, and what it needs to run.

The manifest of ``model.plan`` is the JSON file ``model.plan.json``. A plan does not tell which
plugins it needs, and TensorRT does not tell why it refuses a plan. The manifest tells both before
TensorRT sees the plan.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pluginkit.atomic_files import open_file, read_file
from pluginkit.contract.attributes import WireValue
from pluginkit.engine.plan.json_reader import JsonReader
from pluginkit.engine.plan.library_record import LibraryRecord, read_library
from pluginkit.errors import PlanError

FORMAT = 3


@dataclass(frozen=True)
class PluginNode:
    """A plugin node of the model, with its attributes in wire form."""

    node: str
    attributes: Mapping[str, WireValue]

    @property
    def name(self) -> str:
        """The node's name, which its layer has too, without the way to it and its op_type."""
        return self.node.rpartition(" '")[2].removesuffix("'")


@dataclass(frozen=True)
class ProfileCall:
    """A call of a plugin at one end of a profile.

    Attributes:
        attributes: the plugin's, in wire form.
        shapes: of the inputs on the device.
        dtypes: their types.
        outputs: the outputs' shapes, which the values of shape inputs follow from.
    """

    attributes: Mapping[str, WireValue]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    outputs: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class PluginRecord:
    """A plugin that the plan needs.

    Attributes:
        name, version, namespace: its key in the plugin registry.
        interface: ``"v2"`` or ``"v3"``.
        class_path: ``"module:Class"``.
        source_sha256: the hash of its modules' and kernels' files; empty if there are none.
        nodes: its nodes in the model.
        calls: what TensorRT asked about while it built, from which the kernels follow.
    """

    name: str
    version: str
    namespace: str
    interface: str
    class_path: str
    source_sha256: str
    nodes: tuple[PluginNode, ...]
    calls: tuple[ProfileCall, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """The key in the plugin registry: name, version, namespace."""
        return self.name, self.version, self.namespace


@dataclass(frozen=True)
class Tensor:
    """An input or output of the engine; a dynamic dimension is -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Range:
    """A profile's range of one input's shape, or of the values of a shape tensor."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]
    is_shape_tensor: bool = False


@dataclass(frozen=True)
class Manifest:
    """The description of a plan.

    Attributes:
        pluginkit: the version of pluginkit that built it.
        flavour, tensorrt: the TensorRT flavour and its version.
        is_version_compatible: whether later versions of TensorRT may load it.
        compute_capabilities: the GPUs that it runs on, ``"8.9"``.
        plan_bytes, plan_sha256: size and hash of the plan.
        model, model_sha256: the model's file name, and the hash of that file (not of its external
            data).
        inputs, outputs: the engine's inputs and outputs.
        profiles: for each optimization profile, the range of every dynamic input.
        plugins: the plugins of the model. They must be registered before the plan is loaded, unless
            it holds a library of them.
        library: the library that the plan holds, None for none.
        words: the words whose places the engine takes and gives instead of the model's strings.
        format: the version of the manifest's format.
    """

    pluginkit: str
    flavour: str
    tensorrt: str
    is_version_compatible: bool
    compute_capabilities: tuple[str, ...]
    plan_bytes: int
    plan_sha256: str
    model: str
    model_sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    profiles: tuple[Mapping[str, Range], ...]
    plugins: tuple[PluginRecord, ...]
    library: LibraryRecord | None = None
    words: tuple[str, ...] = ()
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the manifest as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what ``to_json`` wrote.

        Errors:
            ValueError: the text is no such manifest; the message says why.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            found = document.get("format") if isinstance(document, dict) else None
            raise ValueError(f"format is {found!r}, expected {FORMAT}")
        return _read_manifest(JsonReader(document, ""))


def _read_manifest(reader: JsonReader) -> Manifest:
    inputs = tuple(Tensor(**each.fields(Tensor)) for each in reader.many("inputs"))
    return Manifest(
        **reader.fields(Manifest),
        inputs=inputs,
        outputs=tuple(Tensor(**each.fields(Tensor)) for each in reader.many("outputs")),
        profiles=_read_profiles(reader, inputs),
        plugins=tuple(map(_read_plugin, reader.many("plugins"))),
        library=read_library(reader.one("library")) if reader.has("library") else None,
    )


def _read_profiles(reader: JsonReader, inputs: tuple[Tensor, ...]) -> tuple[dict[str, Range], ...]:
    profiles = tuple(
        {name: _read_range(one) for name, one in profile.members().items()}
        for profile in reader.many("profiles")
    )
    if not profiles:
        raise ValueError("profiles is empty")
    dynamic = {one.name for one in inputs if any(dim < 0 for dim in one.shape)}
    for ranges in profiles:
        if missing := dynamic - ranges.keys():
            raise ValueError(f"profiles has no range for {', '.join(sorted(missing))}")
    return profiles


def _read_range(reader: JsonReader) -> Range:
    one = Range(**reader.fields(Range))
    if not len(one.min) == len(one.opt) == len(one.max):
        raise ValueError(f"min {one.min}, opt {one.opt} and max {one.max} differ in length")
    return one


def _read_plugin(reader: JsonReader) -> PluginRecord:
    return PluginRecord(
        **reader.fields(PluginRecord),
        nodes=tuple(
            PluginNode(node.get("node", str), node.get("attributes", dict))
            for node in reader.many("nodes")
        ),
        calls=tuple(map(_read_call, reader.many("calls"))) if reader.has("calls") else (),
    )


def _read_call(reader: JsonReader) -> ProfileCall:
    return ProfileCall(
        **reader.fields(ProfileCall),
        attributes=reader.get("attributes", dict),
        shapes=reader.shapes("shapes"),
        outputs=reader.shapes("outputs"),
    )


def manifest_path(plan_path: Path) -> Path:
    """Return the path of a plan's manifest."""
    return plan_path.parent / f"{plan_path.name}.json"


def is_alone(plan_path: Path) -> bool:
    """Whether a plan has no manifest beside it."""
    is_plan = plan_path.is_file() and plan_path.suffix != ".onnx"
    return is_plan and not manifest_path(plan_path).exists()


def read_manifest(plan_path: Path) -> Manifest:
    """Read a plan's manifest without comparing it with the plan.

    Errors:
        PK530: there is no plan.  PK531: there is no manifest.  PK532: the manifest is damaged.
    """
    try:
        open_file(plan_path).close()
    except OSError as error:
        raise PlanError(
            "PK530", f"{plan_path} cannot be read: {error.strerror}; expected a plan."
        ) from error
    path = manifest_path(plan_path)
    try:
        return Manifest.from_json(read_file(path).decode())
    except FileNotFoundError:
        if plan_path.suffix == ".onnx":
            raise PlanError(
                "PK530",
                f"{plan_path} is a model; expected a plan.",
                fix="build one first: pluginkit build.",
            ) from None
        raise PlanError(
            "PK531",
            f"{plan_path} has no manifest; expected {path.name} in its folder.",
            fix="copy the manifest together with its plan, or build the plan with pluginkit build.",
        ) from None
    except (ValueError, RecursionError) as error:
        raise PlanError(
            "PK532",
            f"{path} is no manifest of this pluginkit.",
            cause=str(error),
            fix="build the plan again.",
        ) from error
    except OSError as error:
        raise PlanError("PK531", f"{path} cannot be read: {error.strerror}.") from error
