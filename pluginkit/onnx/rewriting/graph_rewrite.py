"""Define :class:`GraphRewrite`, a rewrite that changes a whole model instead of single matches."""

from __future__ import annotations

from typing import NoReturn

import onnx

from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import Place
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.match import Match
from pluginkit.onnx.rewriting.rewrite import Rewrite


class GraphRewrite(Rewrite, abstract=True):
    """Change the graphs of a model where no pattern of a few nodes says what to change.

    A subclass is found, chosen, listed and skipped as any other rewrite. Its ``pattern`` is an Op
    with the operators whose nodes it may change, for people to read.
    """

    def rewrite_graphs(
        self, model: onnx.ModelProto, types: Types, names: ModelNames
    ) -> list[Place]:
        """Change the model in place, and return the places that the changed nodes had.

        It is called again until it changes nothing, so it must find nothing in its own result.

        Args:
            model: the model.
            types: the types of its values.
            names: makes names that are new to the model.
        """
        raise NotImplementedError

    def rewrite(self, match: Match) -> NoReturn:
        """Fail: there are no matches."""
        raise NotImplementedError(f"{type(self).__name__} rewrites graphs, not matches")
