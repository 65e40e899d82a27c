"""The model that a plan is compared with: what it takes, and what ONNX Runtime computes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.contract.plugin import Plugins
from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import describe, output_names
from pluginkit.onnx.running.run_model import run_model

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class ComparedOriginal:
    """A model.

    Attributes:
        path: its file; its external data is in the same folder.
        model: the model, with plugin nodes in the place of those that ONNX Runtime does not know.
        plugins: the plugins of these nodes.
        substituted: the nodes that a plugin's reference computes.
    """

    path: Path
    model: onnx.ModelProto
    plugins: Plugins
    substituted: Sequence[str]

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs."""
        stored = {tensor.name for tensor in self.model.graph.initializer}
        return [value.name for value in self.model.graph.input if value.name not in stored]

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs."""
        return output_names(self.model.graph)

    @property
    def producers(self) -> dict[str, str]:
        """The node, in words, of every value of the main graph, in the nodes' order."""
        graph = self.model.graph
        return {name: describe(node) for node in graph.node for name in node.output if name}

    def read_by(self, name: str) -> list[str]:
        """Return the names of what the node reads that produces a value."""
        nodes = [node for node in self.model.graph.node if name in node.output]
        return [read for node in nodes for read in node.input if read]

    def run(self, feeds: Arrays, inside: Sequence[str]) -> dict[str, Array]:
        """Return the outputs, and these values inside."""
        found = run_model(
            self.model, feeds, self.plugins, base_dir=self.path.parent, taps=inside or None
        )
        return {name: found[name] for name in (*self.outputs, *inside)}

    def check_names(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Check that a plan takes the model's inputs and has its outputs.

        Args:
            inputs: the names of the plan's inputs.
            outputs: the names of its outputs.

        Errors:
            PK443: they differ.
        """
        for kind, ours, theirs, fits in (
            ("input", self.inputs, inputs, set(self.inputs) == set(inputs)),
            ("output", self.outputs, outputs, set(self.outputs) <= set(outputs)),
        ):
            if not fits:
                raise ModelError(
                    "PK443",
                    f"the plan's {kind}s are {', '.join(theirs)}; the model's are "
                    f"{', '.join(ours)}.",
                    fix="compare a plan with the model that it was built from.",
                )


def compared_original(path: Path, plugins: Plugins) -> ComparedOriginal:
    """Load a model.

    Args:
        path: the ONNX file.
        plugins: the plugins that its nodes may need, all those that were found.

    Errors:
        PK400 to PK408: it cannot be read, or is invalid.
    """
    from pluginkit.onnx.inference.annotations import correct_annotations
    from pluginkit.onnx.model.model_file import load_model
    from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
    from pluginkit.onnx.running.custom_nodes import (
        custom_nodes,
        with_custom_nodes_as_plugins,
    )

    model = load_model(path)
    correct_annotations(model)
    if not custom_nodes(model):
        return ComparedOriginal(path, model, {}, [])
    rewritten = rewrite_model(load_model(path), plugins=plugins, in_place=True)
    model, substituted = with_custom_nodes_as_plugins(model, rewritten.model, rewritten.plugins)
    return ComparedOriginal(path, model, rewritten.plugins, substituted)
