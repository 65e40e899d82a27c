"""Parse and build a scanned model in a child process, so that a crash ends only that process."""

from __future__ import annotations

import faulthandler
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from pluginkit.engine.build.build_options import BuildOptions, ResolvedOptions
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.engine.build.compute_capabilities import Capability, choose_capabilities
from pluginkit.engine.build.fit_profiles import build_with_fitting_defaults
from pluginkit.engine.build.linked_dims import link_inputs
from pluginkit.engine.build.profile_checks import ProfileChecks
from pluginkit.engine.build.serialize_network import serialize_network
from pluginkit.engine.parse.parse_model import try_parse
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log
from pluginkit.engine.parse.refused_nodes import SearchObserver, find_refusals
from pluginkit.engine.parse.single_node_model import Signatures
from pluginkit.engine.parse.traceable_model import PrunedModel, nodes_inside
from pluginkit.errors import BuildError, CallbackError, MissingDependencyError, PluginkitError
from pluginkit.isolation.class_location import ClassLocation
from pluginkit.onnx.inference.network_inputs import inputs_of
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.onnx.model.graphs import is_op
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.flavour import load_flavour
from pluginkit.trt.plugin_registry import register

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin
    from pluginkit.engine.build.profiles import OptimizationProfile
    from pluginkit.engine.parse.parse_model import ParsedNetwork

#: Bytes of a node's name in the progress file.
_NAME_BYTES = 256
#: What TensorRT or a plugin says of shapes that do not fit, or of a constant that is missing.
_ABOUT_SHAPES = re.compile(
    r"violate shape constraints|the profile's (min|opt|max) shapes|is not a build-time constant"
)
#: The content of the progress file during the build of the whole model.
WHOLE_MODEL = "the whole model"


@dataclass(frozen=True)
class ScanQuestion:
    """What to ask TensorRT about a model.

    Attributes:
        flavour: the TensorRT; the installed one when None.
        model_path: the model's file, whose folder has the external data.
        plugins: the plugins that the model needs.
        builds: whether to build the model as well.
        capabilities: the compute capabilities to build for; one is chosen if none is given.
        shapes: the ranges of dynamic inputs, as for build_engine.
    """

    flavour: str | None
    model_path: Path
    plugins: tuple[ClassLocation, ...]
    builds: bool = False
    capabilities: tuple[Capability, ...] = ()
    shapes: Mapping[str, ShapeSpec] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A question, and what earlier processes found; the model's bytes follow.

    Attributes:
        question: the question.
        progress: the file to which the process writes what it is working on.
        refusals: reasons against nodes, by numbered name.
        build_problem: why the whole model does not build; None if no process has tried.
        node_builds: the nodes that were built as models of one node, and why that failed; empty if
            it did not.
    """

    question: ScanQuestion
    progress: Path
    refusals: Mapping[str, str]
    build_problem: str | None
    node_builds: Mapping[str, str]


@dataclass(frozen=True)
class NodeRefused:
    """The parser refuses a node."""

    name: str
    reason: str


@dataclass(frozen=True)
class NodesBuilt:
    """One of several nodes that are alike was built as a model; ``reason`` is empty on success."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class ModelBuilt:
    """The model was built without the refused nodes.

    Attributes:
        problem: why it does not build; empty if it does, None if it could not be tried.
        note: why it could not be tried.
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
            _ScanWorker(connection, task).run(model)
            connection.send(None)
        except PluginkitError as error:
            connection.send(error)
        except Exception:  # a bug of a plugin or of pluginkit, which may not pickle
            connection.send(RuntimeError(traceback.format_exc()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # skips the exit handlers, in which TensorRT may free plugins in the wrong order


class _ScanWorker:
    def __init__(self, connection: Connection, task: Task) -> None:
        self._connection = connection
        self._task = task
        self._question = task.question
        self._progress = os.open(task.progress, os.O_WRONLY)
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
        """Parse the model, and build it if the question says so."""
        observer = SearchObserver(
            self._work_on, lambda *found: self._connection.send(NodeRefused(*found))
        )
        with captured_log():
            findings, pruned = find_refusals(
                self._flavour,
                model,
                self._question.model_path,
                known=self._task.refusals,
                observer=observer,
            )
        self._connection.send(findings)
        if self._question.builds and not findings.problems:
            self._build(model, pruned)

    def _work_on(self, name: str) -> None:
        """Write the name of a node to the progress file."""
        content = name.encode()[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
        os.pwrite(self._progress, content, 0)

    def _build(self, model: onnx.ModelProto, pruned: PrunedModel | None) -> None:
        """Build what the parser takes; if that fails, build a node of each kind as a model."""
        given = self._question.capabilities
        capabilities = choose_capabilities(self._flavour, given, BuildObserver())
        options = ResolvedOptions(
            BuildOptions(),
            given or capabilities[:1],
            has_aliased_io=any(plugin.spec.has_aliases for plugin in self._plugins),
        )
        left = model if pruned is None else pruned.model
        problem = self._task.build_problem or self._build_model(left, options)
        if problem != "":
            pruned = PrunedModel(inline_functions(model)) if pruned is None else pruned
            self._build_nodes(pruned, options, dict(self._task.node_builds))

    def _build_model(self, model: onnx.ModelProto, options: ResolvedOptions) -> str | None:
        """Return why the model does not build; None if that cannot be tried."""
        shapes = self._question.shapes
        self._work_on(WHOLE_MODEL)
        try:
            problem = self._why_not_built(model, options, shapes)
            note = "" if problem is not None else "no remaining node produces an output."
            if problem and not shapes and _ABOUT_SHAPES.search(problem):
                # The model may build in its own shapes: none of its nodes is to blame.
                note = f"its default shapes do not fit it, so give --shapes. {problem}"
                problem = None
        except PluginkitError as error:
            if shapes:
                raise
            problem, note = None, error.message  # a placeholder is a shape tensor without values
        self._connection.send(ModelBuilt(problem, note))
        return problem

    def _build_nodes(
        self, pruned: PrunedModel, options: ResolvedOptions, built: dict[str, str]
    ) -> None:
        """Build one of each kind of node, nodes inside another node before that node."""
        signatures = Signatures(pruned)
        for names in reversed(signatures.classes()):
            node = pruned.nodes[names[0]][1]
            is_explained = any(built.get(inner.name) for inner in nodes_inside(node))
            if is_explained or is_op(node, "Constant"):
                continue
            if names[0] in built:  # by an earlier process, which may have died of it
                reason: str | None = built[names[0]]
            else:
                self._work_on(names[0])
                reason = self._why_node_not_built(signatures.model_of(names[0]), options)
            if reason is not None:
                built |= dict.fromkeys(names, reason)
                self._connection.send(NodesBuilt(tuple(names), reason))

    def _why_node_not_built(
        self, model: onnx.ModelProto | None, options: ResolvedOptions
    ) -> str | None:
        """Return why a model of one node does not build; None if it cannot be tried."""
        if model is None:
            return None
        try:
            reason = self._why_not_built(model, options, {})
        except PluginkitError:  # the node reads a shape tensor, whose values are unknown here
            return None
        # In the whole model the node has other shapes than the default ones that it refuses alone.
        return None if reason and _ABOUT_SHAPES.search(reason) else reason

    def _serialize(
        self,
        model: onnx.ModelProto,
        parsed: ParsedNetwork,
        options: ResolvedOptions,
        shapes: Mapping[str, ShapeSpec],
        errors: list[str],
    ) -> None:
        """Build a parsed model, with default ranges that the model takes where there are some."""
        plugins = {plugin.spec.key: plugin for plugin in self._plugins}
        linked = link_inputs(model, plugins, inputs_of(parsed.network))
        checks = ProfileChecks(model, plugins)

        def build(profiles: Sequence[OptimizationProfile]) -> bytes:
            errors.clear()
            checks.check(profiles)
            return serialize_network(parsed, profiles, options, BuildObserver(), errors)

        build_with_fitting_defaults(linked.inputs, shapes, build, linked.fixed)

    def _why_not_built(
        self, model: onnx.ModelProto, options: ResolvedOptions, shapes: Mapping[str, ShapeSpec]
    ) -> str | None:
        """Return what TensorRT says; empty if the model builds, None if it does not parse."""
        try:
            with captured_log() as errors, callback_errors():
                model_path = self._question.model_path
                parsed, is_accepted = try_parse(self._flavour, model, model_path)
                if not is_accepted:
                    return None
                self._serialize(model, parsed, options, shapes, errors)
        except (BuildError, CallbackError) as error:
            is_about_shapes = _ABOUT_SHAPES.search(error.message) is not None
            return error.message if is_about_shapes else error.cause or error.message
        return ""
