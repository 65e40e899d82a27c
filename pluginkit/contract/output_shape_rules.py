"""Check what a declaration says of its outputs' shapes."""

from __future__ import annotations

from pluginkit.contract.class_source import ClassSource
from pluginkit.contract.spec import PluginSpec


def check_output_shapes(source: ClassSource, spec: PluginSpec) -> None:
    """Check what a class says of its outputs' shapes against its inputs and its methods.

    Errors:
        PK103, PK105, each naming the line.
    """
    _check_aliases(source, spec)
    _check_likes(source, spec)
    _check_declared(source, spec)
    _check_method(source, spec)


def _check_aliases(source: ClassSource, spec: PluginSpec) -> None:
    taken: set[str] = set()
    for output in spec.outputs:
        if not output.aliases:
            continue
        input_ = next((port for port in spec.inputs if port.name == output.aliases), None)
        if (
            input_ is None
            or input_.optional
            or input_.is_shape_input
            or (input_.variable, input_.dtypes) != (output.variable, output.dtypes)
            or input_.name in taken
        ):
            raise source.error(
                "PK103",
                output.name,
                f"output '{output.name}' aliases {output.aliases!r}; expected a required input "
                "of its type that no other output aliases.",
                f"name one of {[port.name for port in spec.inputs]}, or remove aliases.",
            )
        taken.add(input_.name)


def _check_likes(source: ClassSource, spec: PluginSpec) -> None:
    shaped = {port.name for port in spec.inputs if not port.optional and port.is_on_device}
    for output in spec.results:
        if output.like and output.like not in shaped:
            raise source.error(
                "PK103",
                output.name,
                f"output '{output.name}' is like {output.like!r}; expected a required input that "
                "is no shape input.",
                f"name one of {sorted(shaped)}, or define output_shapes.",
            )
        if output.aliases and output.like != output.aliases:
            raise source.error(
                "PK103",
                output.name,
                f"output '{output.name}' aliases {output.aliases!r} and is like {output.like!r}; "
                "expected one shape.",
                "remove like: an output has the shape of the input that it aliases.",
            )


def _check_declared(source: ClassSource, spec: PluginSpec) -> None:
    """Check that the names in an output's shape are those of required inputs."""
    names = {
        name
        for port in spec.inputs
        if port.shape is not None and not port.optional
        for name in port.shape.names
    }
    for output in spec.results:
        if output.shape is None:
            continue
        open_item = next((item for item in output.shape.items if item in (None, ...)), "")
        unknown = next((name for name in output.shape.names if name not in names), None)
        if output.like or open_item != "" or unknown is not None:
            why = (
                f"and is like '{output.like}'; expected one"
                if output.like
                else f"with {'...' if open_item is ... else open_item}; expected sizes and names"
                if open_item != ""
                else f"with '{unknown}'; expected names of required inputs' dimensions"
            )
            known = ", ".join(sorted(names)) or "none yet"
            raise source.error(
                "PK103",
                output.name,
                f"output '{output.name}' has the shape {output.shape} {why}.",
                f"use the names in shape= of the inputs: {known}; or define output_shapes.",
            )


def _check_method(source: ClassSource, spec: PluginSpec) -> None:
    unlike = next((port for port in spec.results if not port.has_shape), None)
    if not source.overrides("output_shapes"):
        if unlike is not None:
            raise source.error(
                "PK105",
                unlike.name,
                f"has no output_shapes(), and output '{unlike.name}' has no shape.",
                "define def output_shapes(self, ...), or write Output(..., like=...) or "
                "Output(..., shape=(...)).",
            )
        return
    for output in spec.results:
        if output.shape is not None:
            raise source.error(
                "PK105",
                "output_shapes",
                f"defines output_shapes, and output '{output.name}' has the shape {output.shape}; "
                "expected one.",
                "remove output_shapes, or shape where it cannot be said of every output.",
            )
        if output.like and (unlike is None or not output.aliases):
            raise source.error(
                "PK105",
                "output_shapes",
                f"defines output_shapes, and output '{output.name}' is like '{output.like}'; "
                "expected one.",
                "remove output_shapes, or like where it cannot be said of every output.",
            )
