"""Compare the values inside two models, to find the first one that differs.

Both models run again with these values, the taps, as outputs. ONNX Runtime's optimizations are off,
so that every node is computed. That may change the last digits, and more of them in float16, where
ONNX Runtime may keep float32 between nodes. The models' outputs are therefore judged by runs
without taps, and ``shift`` says how much the taps changed the outputs of the original.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from pluginkit.onnx.inference.element_types import WIDER_TYPES, elem_type
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.model.graphs import (
    describe,
    has_bodies,
    names_read,
    output_names,
    scopes,
    sorted_nodes,
)
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.model.words import NumberedWords
from pluginkit.onnx.precision.precision_options import inputs_in_declared_types
from pluginkit.onnx.running.output_error import (
    Array,
    OutputComparison,
    Tolerance,
    compare_arrays,
    with_precision,
    worst_of,
)
from pluginkit.onnx.running.run_model import ExecutePlugin, run_model

#: The number of taps in one run, to bound the memory; larger models run several times.
_AT_ONCE = 512


@dataclass(frozen=True)
class Divergence:
    """The first value that differs.

    Attributes:
        value: the value.
        produced_by: the node that produces it in the original.
        rewritten_by: the node that produces it in the rewritten model.
        inputs: the comparison of each input of the rewritten model's node; None if the original
            has no such value. Initializers are left out.
    """

    value: OutputComparison
    produced_by: str
    rewritten_by: str
    inputs: dict[str, OutputComparison | None]


@dataclass(frozen=True)
class TapsComparison:
    """The comparison of the values inside two models.

    Attributes:
        values: every value of the main graph that both models have, in topological order.
        first: the first value that differs, if any.
        skipped: for each value that was not compared, the reason.
        shift: the largest difference that the taps made to an output of the original.
    """

    values: list[OutputComparison]
    first: Divergence | None
    skipped: dict[str, str]
    shift: float


@dataclass(frozen=True)
class ComparedModel:
    """One of the two models.

    Attributes:
        model: the model.
        folder: the folder of its external data.
        plugins: the plugins of its nodes.
        execute: the function that computes plugin nodes; by default their references.
        precision: the 16-bit type that was put into the model, "" for none. Its inputs are given
            in the types of the original, and what it computes is compared in those, wider integers
            in their own type.
        words: the numbers that it has instead of strings.
        narrow: the 16-bit types of which values of the original are made, by their names; what is
            float32 has their tolerance.
    """

    model: onnx.ModelProto
    folder: Path
    plugins: Plugins
    execute: ExecutePlugin | None = None
    precision: str = ""
    words: NumberedWords = field(default_factory=NumberedWords)
    narrow: Mapping[str, str] = field(default_factory=dict)

    def run(self, feeds: Mapping[str, Array], taps: Sequence[str] | None) -> dict[str, Array]:
        """Run the model; return its outputs and these values of the main graph."""
        if self.precision:
            feeds = inputs_in_declared_types(self.model, feeds)
        types = {value.name: value.type.tensor_type.elem_type for value in self.model.graph.input}
        feeds = {
            name: array.astype(wider)
            if (wider := WIDER_TYPES.get(array.dtype.name)) and types.get(name) == elem_type(wider)
            else self.words.numbered(array)
            if types.get(name) == elem_type("int64")
            else array
            for name, array in feeds.items()
        }
        return run_model(
            self.model,
            feeds,
            self.plugins,
            base_dir=self.folder,
            execute_plugin=self.execute,
            taps=taps,
            is_rounding=bool(self.precision),
        )

    def compare(
        self, name: str, expected: Array, got: Array, rtol: Tolerance, atol: Tolerance
    ) -> OutputComparison:
        """Compare a value that this model computed with the original's."""
        types = expected.dtype.name, got.dtype.name
        if types == ("float32", self.precision):
            got = got.astype(expected.dtype)
        elif WIDER_TYPES.get(types[0]) == types[1]:
            expected = expected.astype(got.dtype)
        elif got.dtype == np.int64:
            expected = self.words.numbered(expected)
        computed_in = self.precision or self.narrow.get(name, "")
        rtol, atol = (with_precision(each, computed_in) for each in (rtol, atol))
        return compare_arrays(name, expected, got, rtol, atol)


class InnerValues:
    """The values inside both models, and their differences in the runs so far."""

    def __init__(self, original: ComparedModel, rewritten: ComparedModel) -> None:
        self._original, self._rewritten = original, rewritten
        self.skipped: dict[str, str] = {}
        self._names = list(self._choose())
        self._found: list[OutputComparison] = []
        self._shift = 0.0
        self._feeds: dict[str, OutputComparison] = {}

    def _choose(self) -> Iterator[str]:
        """Yield the names of the values that both models have, in topological order."""
        theirs = _producers(self._rewritten.model)
        types = infer_types(self._original.model)
        main = next(scopes(self._original.model))
        for node in sorted_nodes(main) or main.graph.node:
            if has_bodies(node):
                self.skipped[describe(node)] = "values inside its bodies are not compared"
            for name in filter(None, node.output):
                value_type = types.find(main, name)
                if name not in theirs:
                    self.skipped[name] = "the rewritten model has no such value"
                elif value_type is None or not value_type.HasField("tensor_type"):
                    self.skipped[name] = "it is not known to be a tensor"
                else:
                    yield name

    def run(
        self,
        feeds: Mapping[str, Array],
        outputs: Mapping[str, Array],
        rtol: Tolerance,
        atol: Tolerance,
    ) -> None:
        """Run both models on these inputs and compare every value.

        Args:
            feeds: an array for each graph input.
            outputs: the outputs of the original without taps.
            rtol: as in ``compare_models``.
            atol: as in ``compare_models``.
        """
        for name, array in feeds.items():
            self._feeds[name] = compare_arrays(name, array, array)
        is_output = set(output_names(self._original.model.graph))
        inside = [name for name in self._names if name not in is_output]
        for start in range(0, max(len(inside), 1), _AT_ONCE):
            wanted = inside[start : start + _AT_ONCE]
            expected = self._original.run(feeds, wanted)
            got = self._rewritten.run(feeds, wanted)
            compared = wanted if start else [*wanted, *outputs]
            self._found += (
                self._rewritten.compare(name, expected[name], got[name], rtol, atol)
                for name in compared
            )
        moved = [compare_arrays(name, outputs[name], expected[name]) for name in outputs]
        self._shift = max([self._shift, *(each.max_abs_error for each in moved)])

    def result(self) -> TapsComparison:
        """Return the largest difference of each value, and the first value that differs."""
        worst = worst_of(self._found)
        values = [worst[name] for name in self._names if name in worst]
        bad = next((each for each in values if not each.ok), None)
        first = None if bad is None else self._divergence(bad, {**self._feeds, **worst})
        return TapsComparison(values, first, self.skipped, self._shift)

    def _divergence(
        self, value: OutputComparison, known: Mapping[str, OutputComparison]
    ) -> Divergence:
        ours = _producers(self._original.model)[value.name]
        theirs = _producers(self._rewritten.model)[value.name]
        stored = {tensor.name for tensor in self._rewritten.model.graph.initializer}
        read = sorted(names_read(theirs) - (stored - known.keys()))
        inputs = {name: known.get(name) for name in read}
        return Divergence(value, describe(ours), describe(theirs), inputs)


def _producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output if name}
