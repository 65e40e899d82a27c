"""Trace an author's methods into trees, for one variant of a plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pluginkit.contract import calls
from pluginkit.contract.dims import InputDim, Shape, ShapeValue
from pluginkit.contract.dtypes import DType
from pluginkit.contract.tensors import Workspace
from pluginkit.errors import ExportError, KernelError, PluginkitError
from pluginkit.export.trace.author import line_of_method, line_of_traceback
from pluginkit.export.trace.path import Path, TraceTable
from pluginkit.export.trace.simplify import simplified
from pluginkit.export.trace.steps import StepReader, TracedLaunch, TracedStep
from pluginkit.export.trace.tree import MOST_PATHS, Tree, explore, leaves, pruned
from pluginkit.export.variant import Variant
from pluginkit.kernels.specialise import Specialisation
from pluginkit.tracing.expressions import Expr
from pluginkit.tracing.extremes import tracing_extremes
from pluginkit.tracing.numbers import expr_of, traced

T = TypeVar("T")

#: Bytes of the largest tensor, and of the largest workspace.
_MOST_BYTES = 2**60
#: The symbol of the workspace's size.
WORKSPACE = "workspace_bytes"


@dataclass(frozen=True)
class Refusal:
    """An error that an author's code raises.

    Attributes:
        parts: the text, with the expressions in it.
        phase: which of the author's methods raises it.
    """

    parts: tuple[str | Expr, ...]
    phase: str


@dataclass(frozen=True)
class TracedPlugin:
    """The trees of one variant, from which its C++ is generated.

    Attributes:
        variant: the variant.
        output_types: the types of the outputs.
        output_shapes: the shapes of the outputs, as dimension expressions.
        check: the tree of the author's check; a leaf is None where it accepts the call.
        workspace_bytes: the tree of the author's workspace_bytes; None without that method.
        steps: the tree of the steps that the author's launches returns.
        kernels: the kernels that the launches choose from.
        paths: the trees of the three methods before they were simplified.
        names: expressions that are dimensions, values or sizes of inputs, or the size of the
            workspace, each with the input's name and the member.
    """

    variant: Variant
    output_types: tuple[DType, ...]
    output_shapes: tuple[Shape, ...]
    check: Tree[Refusal | None]
    workspace_bytes: Tree[Refusal | Expr] | None
    steps: Tree[Refusal | tuple[TracedStep, ...]]
    kernels: tuple[Specialisation, ...]
    paths: tuple[Tree[Any], ...]
    names: Mapping[Expr, tuple[str, str]]

    def launches(self) -> Iterator[TracedLaunch]:
        """Yield the launches of all paths."""
        for result in leaves(self.steps):
            if not isinstance(result, Refusal):
                yield from (step for step in result if isinstance(step, TracedLaunch))


def symbol_of_dim(port: str, axis: int) -> str:
    """Return the symbol of a dimension."""
    return f"{port}.shape[{axis}]"


def symbol_of_value(port: str, index: int) -> str:
    """Return the symbol of a value of a shape input."""
    return f"{port}.values[{index}]"


def trace_plugin(variant: Variant, most_paths: int = MOST_PATHS) -> TracedPlugin:
    """Trace the methods of a plugin.

    Args:
        variant: the calls to trace.
        most_paths: the most paths through a method; one with more is refused.

    Errors:
        PK800, PK801: a method cannot be traced, or has too many paths.
        PK113 to PK116, PK300 to PK303: the plugin is wrong.
    """
    return _Tracer(variant, most_paths).all()


class _Tracer:
    def __init__(self, variant: Variant, most_paths: int) -> None:
        self._variant = variant
        self._most_paths = most_paths
        self._plugin = variant.plugin
        self._owner = type(variant.plugin).__name__
        self._table = TraceTable()

    def all(self) -> TracedPlugin:
        plugin = self._plugin
        if "enqueue" in plugin.spec.overrides:
            raise ExportError(
                "PK802",
                f"{self._owner} overrides enqueue; expected launches.",
                where=line_of_method(type(plugin), "enqueue"),
                fix="return the kernels to launch from launches(): they can be written in C++.",
            )
        types = calls.output_types(plugin, calls.describe_dtypes(plugin, self._variant.dtypes))
        shapes = calls.output_shapes(plugin, self._symbolic_inputs())
        check = self._explored(self._check, "check")
        workspace = None
        if "workspace_bytes" in plugin.spec.overrides:
            workspace = self._pruned(self._explored(self._workspace_bytes, "workspace_bytes"))
        steps = self._pruned(self._explored(self._steps, "launches"))
        return TracedPlugin(
            self._variant,
            types,
            tuple(shapes),
            simplified(self._table, check),
            None if workspace is None else simplified(self._table, workspace),
            simplified(self._table, steps),
            tuple(self._table.kernels),
            tuple(tree for tree in (check, workspace, steps) if tree is not None),
            dict(self._names()),
        )

    def _names(self) -> Iterator[tuple[Expr, tuple[str, str]]]:
        path = Path(self._table)
        yield self._workspace(), ("context", WORKSPACE)
        for desc in self._inputs(path):
            if desc is None:
                continue
            for member, numbers in (("shape", desc.shape), ("values", desc.values)):
                for index, number in enumerate(numbers):
                    yield expr_of(path, number), (desc.name, f"{member}[{index}]")
            if len(desc.shape) > 1:
                yield expr_of(path, desc.size), (desc.name, "size()")
            yield expr_of(path, desc.nbytes), (desc.name, "nbytes()")

    def _pruned(self, tree: Tree[Any]) -> Tree[Any]:
        """Return the tree without the calls that check refuses."""
        left = pruned(tree, lambda one: isinstance(one, Refusal) and one.phase == "check")
        if left is None:
            raise ExportError(
                "PK803",
                f"{self._owner}.check refuses every shape of a call; expected some that work.",
                where=str(self._variant),
            )
        return left

    def _explored(self, run: Callable[[Path], T], method: str) -> Tree[Refusal | T]:
        def guarded(path: Path) -> Refusal | T:
            self._assume_sizes(path)
            with tracing_extremes(path), path.within(method):
                try:
                    return run(path)
                except (ExportError, KernelError):
                    raise
                except (PluginkitError, ValueError, ZeroDivisionError) as error:
                    return self._refusal(path, error)
                except Exception as error:
                    line = line_of_traceback(error.__traceback__)
                    if path.refused is not None or line is None:
                        raise
                    raise _untraceable(self._owner, method, error, line) from error

        return explore(self._table, guarded, f"{self._owner}.{method}", self._most_paths)

    def _refusal(self, path: Path, error: Exception) -> Refusal:
        is_ours = isinstance(error, PluginkitError)
        text = str(error) if is_ours else f"{type(error).__name__}: {error}"
        return Refusal(self._table.parts(text), path.failed_in)

    def _assume_sizes(self, path: Path) -> None:
        """Assume that every tensor fits into memory, so that no size overflows 64 bits."""
        most = self._table.expressions.constant(_MOST_BYTES)
        for desc in self._inputs(path):
            if desc is not None and desc.slot.kind == "input":
                size = expr_of(path, desc.nbytes)
                if not size.is_constant:
                    path.assume(self._table.apply("less_equal", size, most))

    def _check(self, path: Path) -> None:
        calls.check(self._plugin, self._inputs(path))

    def _workspace_bytes(self, path: Path) -> Expr:
        inputs = self._checked_inputs(path)
        return expr_of(path, calls.workspace_bytes(self._plugin, inputs))

    def _steps(self, path: Path) -> tuple[TracedStep, ...]:
        inputs = self._checked_inputs(path)
        outputs = calls.describe_outputs(self._plugin, inputs)
        workspace = Workspace(traced(path, self._workspace()))
        steps = calls.steps_within(self._plugin, inputs, outputs, workspace)
        reader = StepReader(path, self._plugin, inputs, outputs)
        return tuple(map(reader.read, steps))

    def _workspace(self) -> Expr:
        return self._table.expressions.symbol(WORKSPACE, 0, _MOST_BYTES)

    def _checked_inputs(self, path: Path) -> calls.Inputs:
        inputs = self._inputs(path)
        with path.within("check"):
            calls.check(self._plugin, inputs)
        return inputs

    def _inputs(self, path: Path) -> calls.Inputs:
        """Return descriptions of the inputs whose dimensions are traced integers."""

        def number(name: str, bounds: tuple[int, int]) -> Any:
            if bounds[0] == bounds[1]:
                return bounds[0]
            return traced(path, self._table.expressions.symbol(name, *bounds))

        shapes: list[Shape] = []
        values: dict[str, Shape] = {}
        ports = calls.present_ports(self._plugin)
        for port, ranges in zip(ports, self._variant.ranges, strict=True):
            name_of = symbol_of_dim if port.is_on_device else symbol_of_value
            numbers = tuple(number(name_of(port.name, k), one) for k, one in enumerate(ranges))
            if port.is_on_device:
                shapes.append(numbers)
            else:
                shapes.append((port.length,))
                values[port.name] = numbers
        return calls.describe_inputs(self._plugin, shapes, self._variant.dtypes, values)

    def _symbolic_inputs(self) -> calls.Inputs:
        """Return descriptions whose dimensions are DimExpr, as while TensorRT builds an engine."""
        shapes: list[Shape] = []
        values: dict[str, Shape] = {}
        ports = calls.present_ports(self._plugin)
        seen = 0
        for port, ranges in zip(ports, self._variant.ranges, strict=True):
            if port.is_shape_input:
                shapes.append((port.length,))
                values[port.name] = tuple(
                    ShapeValue(port.name, index) for index in range(port.length)
                )
                continue
            shapes.append(tuple(InputDim(seen, axis) for axis in range(len(ranges))))
            seen += 1
        return calls.describe_inputs(self._plugin, shapes, self._variant.dtypes, values)


def _untraceable(owner: str, method: str, error: Exception, line: str) -> ExportError:
    return ExportError(
        "PK800",
        f"{owner}.{method} raises {type(error).__name__} when it is traced: {error}; "
        "expected what can be written in C++ for every shape.",
        where=line,
        fix="compute with +, -, *, //, %, min, max and comparisons of dimensions.",
    )
