"""A rewrite of whole graphs that fails: an invalid node is to blame, or else its author."""

import onnx
import pytest

from pluginkit import rewrite_model
from pluginkit.errors import ModelError, RewriteError
from pluginkit.onnx import GraphRewrite


class ReadFirstInputs(GraphRewrite):
    """Reads an input of every node."""

    def rewrite_graphs(self, graphs):
        for scope in graphs.scopes():
            for node in scope.graph.node:
                node.input[0]
        return []
