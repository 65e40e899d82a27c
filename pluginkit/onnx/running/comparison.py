"""What a comparison of two models, or of a model and its plan, found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pluginkit.onnx.running.first_divergence import TapsComparison
from pluginkit.onnx.running.output_error import OutputComparison


@dataclass(frozen=True)
class ShapesComparison:
    """The comparison on inputs of one set of shapes.

    Attributes:
        inputs: the shape of each input.
        outputs: one entry for each graph output, with the largest difference of all runs.
        ok: whether every output agrees.
    """

    inputs: dict[str, tuple[int, ...]]
    outputs: list[OutputComparison]

    @property
    def ok(self) -> bool:
        """Whether every output agrees."""
        return all(output.ok for output in self.outputs)


@dataclass(frozen=True)
class Comparison:
    """The result of compare_models, or of compare_plan.

    Attributes:
        outputs: one entry for each graph output, with the largest difference of all runs.
        inputs: the shape of each input in the last run.
        runs: the number of runs of both models.
        cases: one entry for each set of shapes.
        taps: the comparison of the values inside; None unless asked for.
        computed_by: what computed the original, and what the rewritten model.
        substituted: the original's custom nodes that a plugin's reference computed on both sides.
        subject: what is compared with the original, ``"rewritten"`` for a rewritten model or
            ``"plan"``.
        ok: whether every output agrees.
    """

    outputs: list[OutputComparison]
    inputs: dict[str, tuple[int, ...]]
    runs: int
    cases: list[ShapesComparison]
    taps: TapsComparison | None = None
    computed_by: tuple[str, str] = ("", "")
    substituted: Sequence[str] = ()
    subject: str = "rewritten"

    @property
    def ok(self) -> bool:
        """Whether every output agrees."""
        return all(output.ok for output in self.outputs)
