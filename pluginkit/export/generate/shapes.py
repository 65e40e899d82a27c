"""Generate the C++ of output shapes, in which each DimExpr becomes an expression of TensorRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pluginkit.contract import calls
from pluginkit.contract.dims import Dim, DimOperation, InputDim, Shape, ShapeValue, SizeDim
from pluginkit.contract.plugin import Plugin

_INFIX = {"SUM": "+", "SUB": "-", "PROD": "*"}
_CALLS = {
    "FLOOR_DIV": "floor_div",
    "CEIL_DIV": "ceil_div",
    "MAX": "dim_max",
    "MIN": "dim_min",
}


class ShapeWriter:
    """Generates the shapes of one plugin's outputs.

    Args:
        plugin: the plugin with the inputs that its node has.
    """

    def __init__(self, plugin: Plugin) -> None:
        spec = plugin.spec
        self._inputs = [port.name for port in calls.device_ports(plugin)]
        self._shaping: Mapping[str, int] = {
            port.name: index for index, port in enumerate(spec.inputs) if port.is_shape_input
        }
        self._sizes = {port.name: index for index, port in enumerate(spec.outputs) if port.is_size}

    def lines(self, shapes: Sequence[Shape]) -> list[str]:
        """Return the statement that returns the shapes."""
        texts = [f"OutputShape{{{', '.join(map(self._output_dim, shape))}}}" for shape in shapes]
        return ["return {", *(f"    {text}," for text in texts), "};"]

    def _output_dim(self, dim: Dim) -> str:
        if isinstance(dim, SizeDim):
            return (
                f"OutputDim({self._sizes[dim.name]}, Dim({self._text(dim.upper)}), "
                f"Dim({self._text(dim.opt)}))"
            )
        if isinstance(dim, ShapeValue):
            return f"OutputDim::value(context, {self._shaping[dim.name]}, {dim.index})"
        return self._text(dim)

    def _text(self, dim: Dim, *, is_operand: bool = False) -> str:
        if isinstance(dim, InputDim):
            return f"{self._inputs[dim.index]}.shape[{dim.axis}]"
        if isinstance(dim, ShapeValue):
            return f"{dim.name}.values[{dim.index}]"
        if isinstance(dim, SizeDim):
            return self._text(dim.upper, is_operand=is_operand)
        if isinstance(dim, DimOperation) and dim.op in _CALLS:
            return f"{_CALLS[dim.op]}({self._text(dim.a)}, {self._text(dim.b)})"
        if isinstance(dim, DimOperation):
            a, b = self._text(dim.a, is_operand=True), self._text(dim.b, is_operand=True)
            text = f"{a} {_INFIX[dim.op]} {b}"
            return f"({text})" if is_operand else text
        return str(dim)
