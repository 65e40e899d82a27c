"""Ask the plugins whether they take a profile's shapes, before TensorRT asks.

A plugin that raises an error while TensorRT configures it leaves objects in TensorRT that crash the
process at its end. So a profile that a plugin can be seen to refuse never reaches TensorRT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.errors import BuildError, ModelError, TensorError
from pluginkit.onnx.inference.infer_types import infer_types, plugin_output_types
from pluginkit.onnx.model.graphs import describe, scopes
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.onnx.model.plugin_nodes import plugin_of_node
from pluginkit.onnx.model.weightless_model import skeleton_for_inference

_ENDS = ("min", "opt", "max")


class ProfileChecks:
    """The checks of a rewritten model's plugins."""

    def __init__(self, model: onnx.ModelProto, plugins: Plugins) -> None:
        self._light = skeleton_for_inference(model)
        self._plugins = plugins
        if self._light.functions:
            self._light = inline_functions(self._light)

    def check(self, profiles: Sequence[OptimizationProfile]) -> None:
        """Refuse profiles with shapes that a plugin refuses, as far as these follow from inputs.

        Errors:
            PK522: a plugin refuses the smallest, most likely or largest shapes.
        """
        for profile in profiles:
            for at, end in enumerate(_ENDS):
                shapes = {name: [*extent][at] for name, extent in profile.ranges.items()}
                self._check(shapes, end)

    def _check(self, shapes: Mapping[str, Sequence[int]], end: str) -> None:
        model = onnx.ModelProto()
        model.CopyFrom(self._light)
        for value in model.graph.input:
            dims = value.type.tensor_type.shape.dim
            for dim, size in zip(dims, shapes.get(value.name, ()), strict=False):
                if not dim.dim_value > 0:  # a shape tensor has values for a shape
                    dim.dim_value = size
        try:
            types = infer_types(model)
        except ModelError:  # TensorRT says what does not fit
            return
        for scope in scopes(model):
            for node in scope.graph.node:
                plugin = plugin_of_node(node, self._plugins)
                if plugin is None:
                    continue
                inputs = [types.find(scope, name) for name in node.input if name]
                try:
                    plugin_output_types(plugin, inputs)
                except TensorError as error:
                    given = ", ".join(f"{name} {list(dims)}" for name, dims in shapes.items())
                    raise BuildError(
                        "PK522",
                        f"{type(plugin).__name__} refuses the profile's {end} shapes {given}.",
                        where=f"{scope.path}, node {describe(node)}",
                        cause=str(error),
                        fix="give ranges that it takes at both ends: "
                        + " ".join(f"--shapes {name}:MIN,OPT,MAX" for name in shapes),
                    ) from error
