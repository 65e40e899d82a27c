"""The process in which TensorRT reads a model that is scanned, so that a crash ends only that."""

from __future__ import annotations

import faulthandler
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from pluginkit.engine.build.build_options import BuildOptions, ResolvedOptions
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.engine.build.compute_capabilities import Capability, choose_capabilities
from pluginkit.engine.build.profiles import inputs_of, resolve_profiles
from pluginkit.engine.build.serialize_network import serialize_network
from pluginkit.engine.build.shape_ranges import ShapeSpec
from pluginkit.engine.parse.parse_model import try_parse
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log
from pluginkit.engine.parse.refused_nodes import Watch, find_refusals
from pluginkit.engine.parse.single_node_model import Signatures
from pluginkit.engine.parse.traceable_model import CutModel, nodes_inside
from pluginkit.errors import BuildError, CallbackError, MissingDependencyError, PluginkitError
from pluginkit.isolation.class_location import Location
from pluginkit.onnx.model.graphs import is_op
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.flavour import load_flavour
from pluginkit.trt.plugin_registry import register

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

#: Bytes of a node's name in the file that tells what the process is at.
_NAME_BYTES = 256
#: What the process is at while it builds the whole model.
WHOLE_MODEL = "the whole model"


@dataclass(frozen=True)
class Question:
    """How to ask TensorRT about a model.

    Attributes:
        flavour: the TensorRT; the installed one when None.
        model_path: the model's external data stands beside it.
        plugins: the plugins that it needs.
        builds: whether to build it as well.
        capabilities: for which compute capability; one is chosen where none is given.
        shapes: the ranges of dynamic inputs, as for build_engine.
    """

    flavour: str | None
    model_path: Path
    plugins: tuple[Location, ...]
    builds: bool = False
    capabilities: tuple[Capability, ...] = ()
    shapes: Mapping[str, ShapeSpec] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A question, and what earlier processes have found; the model's bytes follow.

    Attributes:
        question: how to ask.
        at: the file to write to what the process is at.
        known: reasons against nodes, by numbered name.
        problem: why the whole model could not be built; None when none has tried.
        tried: nodes that were built alone, and why that failed; empty where it did not.
    """

    question: Question
    at: Path
    known: Mapping[str, str]
    problem: str | None
    tried: Mapping[str, str]


@dataclass(frozen=True)
class Refused:
    """The parser refuses a node."""

    name: str
    reason: str


@dataclass(frozen=True)
class Tried:
    """Nodes that are alike were built alone; ``reason`` is empty where that went well."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Whole:
    """What came of building the model without the nodes that are refused.

    Attributes:
        problem: why it does not build; empty where it does, None where that could not be tried.
        note: why not.
    """

    problem: str | None
    note: str


def main(fd: int) -> None:
    """Do one task over the socket ``fd``; the answer ends with None or an exception."""
    faulthandler.enable()
    with Connection(fd) as connection:
        task: Task = connection.recv()
        model = onnx.ModelProto.FromString(connection.recv_bytes())
        try:
            _Scanner(connection, task).run(model)
            connection.send(None)
        except PluginkitError as error:
            connection.send(error)
        except Exception:  # of a plugin's or our own; the other side cannot see it otherwise
            connection.send(RuntimeError(traceback.format_exc()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # TensorRT frees plugins in an order of its own at exit; nothing here needs that


class _Scanner:
    def __init__(self, connection: Connection, task: Task) -> None:
        self._connection = connection
        self._task = task
        self._question = task.question
        self._at = os.open(task.at, os.O_WRONLY)
        self._flavour = load_flavour(self._question.flavour)
        if not self._flavour.has_parser:
            raise MissingDependencyError(
                "PK550",
                f"{self._flavour.name} reads no ONNX models; expected tensorrt or tensorrt_rtx.",
                fix="choose another with --tensorrt or PLUGINKIT_TENSORRT.",
            )
        bind_polygraphy(self._flavour)
        self._plugins: list[type[Plugin]] = [each.load() for each in self._question.plugins]
        register(*self._plugins, flavour=self._flavour)

    def run(self, model: onnx.ModelProto) -> None:
        """Ask the parser, and the builder where that is wanted."""
        watch = Watch(self._set_at, lambda *found: self._connection.send(Refused(*found)))
        with captured_log():
            findings, cuts = find_refusals(
                self._flavour, model, self._question.model_path, known=self._task.known, watch=watch
            )
        self._connection.send(findings)
        if self._question.builds and not findings.problems:
            self._build(model, cuts)

    def _set_at(self, name: str) -> None:
        os.pwrite(self._at, name.encode()[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0"), 0)

    def _build(self, model: onnx.ModelProto, cuts: CutModel | None) -> None:
        """Build what the parser takes; where that fails, each kind of node alone."""
        given = self._question.capabilities
        capabilities = choose_capabilities(self._flavour, given, BuildObserver())
        options = ResolvedOptions(
            BuildOptions(),
            given or capabilities[:1],
            has_aliased_io=any(plugin.spec.has_aliases for plugin in self._plugins),
        )
        left = model if cuts is None else cuts.model
        problem = self._task.problem or self._build_whole(left, options)
        if problem != "":
            cuts = CutModel(inline_functions(model)) if cuts is None else cuts
            self._build_alone(cuts, options, dict(self._task.tried))

    def _build_whole(self, model: onnx.ModelProto, options: ResolvedOptions) -> str | None:
        """Why all that the parser takes does not build; None where that cannot be tried."""
        shapes = self._question.shapes
        self._set_at(WHOLE_MODEL)
        try:
            problem = self._why_not_built(model, options, shapes)
            note = "" if problem is not None else "nothing that is left gives an output."
        except PluginkitError as error:
            if shapes:
                raise
            problem, note = None, error.message  # an input that stands in for a node is a shape
        self._connection.send(Whole(problem, note))
        return problem

    def _build_alone(self, cuts: CutModel, options: ResolvedOptions, tried: dict[str, str]) -> None:
        """Build one of each kind of node, those inside another node before it."""
        signatures = Signatures(cuts)
        for names in reversed(signatures.classes()):
            node = cuts.nodes[names[0]][1]
            is_explained = any(tried.get(inner.name) for inner in nodes_inside(node))
            if is_explained or is_op(node, "Constant"):
                continue
            if names[0] in tried:  # by a process that may have died of it
                reason: str | None = tried[names[0]]
            else:
                self._set_at(names[0])
                reason = self._why_not_alone(signatures.model_of(names[0]), options)
            if reason is not None:
                tried |= dict.fromkeys(names, reason)
                self._connection.send(Tried(tuple(names), reason))

    def _why_not_alone(self, model: onnx.ModelProto | None, options: ResolvedOptions) -> str | None:
        """Why a node does not build; None where it cannot be asked alone."""
        if model is None:
            return None
        try:
            return self._why_not_built(model, options, {})
        except PluginkitError:  # a shape that it reads has no known values here
            return None

    def _why_not_built(
        self, model: onnx.ModelProto, options: ResolvedOptions, shapes: Mapping[str, ShapeSpec]
    ) -> str | None:
        """What TensorRT says; empty where it builds the model, None where it does not parse it."""
        try:
            with captured_log() as errors, callback_errors():
                model_path = self._question.model_path
                parsed, is_accepted = try_parse(self._flavour, model, model_path)
                if not is_accepted:
                    return None
                profiles = resolve_profiles(inputs_of(parsed.network), shapes)
                serialize_network(parsed, profiles, options, BuildObserver(), errors)
        except (BuildError, CallbackError) as error:
            return error.cause or error.message
        return ""
