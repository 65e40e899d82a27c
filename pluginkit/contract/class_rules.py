"""Check that the parts of a declaration fit together."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from pluginkit.contract.class_source import ClassSource, function_of
from pluginkit.contract.dtypes import DType, int8
from pluginkit.contract.launches import CudaKernel
from pluginkit.contract.output_shape_rules import check_output_shapes
from pluginkit.contract.spec import RESERVED_ATTRIBUTES, PluginSpec

#: Methods by which pluginkit makes and compares plugins from their declared attributes.
_OWN_METHODS = (
    "__init__", "__new__", "__setattr__", "__eq__", "__hash__",
    "from_wire", "to_wire", "with_inputs", "with_tactic",
)  # fmt: skip


def check_spec(source: ClassSource, spec: PluginSpec) -> None:
    """Check a spec against its class.

    Errors:
        PK100, PK103, PK105 to PK107, each naming the line.
    """
    _check_ports(source, spec)
    _check_types(source, spec)
    _check_scales(source, spec)
    check_output_shapes(source, spec)
    _check_names(source, spec)
    _check_tolerance(source)
    _check_methods(source, spec)
    _check_kernels(source, spec)


def _check_ports(source: ClassSource, spec: PluginSpec) -> None:
    has_input = any(port.is_on_device for port in spec.inputs)
    if not has_input or not spec.results:
        missing = "Output" if has_input else "Input"
        raise source.error(
            "PK100",
            "class",
            f"declares no {missing}; expected at least one.",
            f"add an {missing}.",
        )


def _check_types(source: ClassSource, spec: PluginSpec) -> None:
    used = {port.variable for port in spec.inputs + spec.outputs}
    for variable in spec.types:
        if variable not in used:
            raise source.error(
                "PK103",
                "types",
                f"types declares '{variable}', which no input or output uses.",
                "remove it.",
            )
    if "output_types" in spec.overrides:
        return
    inputs = {port.variable for port in spec.inputs if not port.optional}
    for port in spec.outputs:
        if port.variable not in inputs and len(port.dtypes) > 1:
            raise source.error(
                "PK103",
                port.name,
                f"the type of output '{port.name}' does not follow from a required input.",
                "use such an input's type variable, a single dtype, or define output_types.",
            )


def _check_scales(source: ClassSource, spec: PluginSpec) -> None:
    """Refuse a scale that no attribute holds, or that a value of the same type lacks."""
    floats = [attribute.name for attribute in spec.attributes if attribute.kind == "float"]
    ports = spec.inputs + spec.outputs
    scaled = {port.variable for port in ports if port.scale and port.variable}
    for port in ports:
        if port.scale and (port.scale not in floats or int8 not in port.dtypes):
            raise source.error(
                "PK103",
                port.name,
                f"'{port.name}' has scale '{port.scale}' and is "
                f"{', '.join(dtype.name for dtype in port.dtypes)}; expected int8 among its types, "
                f"and one of the float attributes: {', '.join(floats) or 'none'}.",
                f"declare {port.scale}: float = attribute(default=1.0), and int8.",
            )
        if port.variable in scaled and not port.scale:
            raise source.error(
                "PK103",
                port.name,
                f"'{port.name}' has no scale; expected one, since others of type "
                f"'{port.variable}' have.",
                f"write {port.name} = {'Input' if port in spec.inputs else 'Output'}("
                f'"{port.variable}", scale="...").',
            )


def _check_names(source: ClassSource, spec: PluginSpec) -> None:
    ports = [port.name for port in spec.inputs + spec.outputs]
    for name in [*ports, *(attribute.name for attribute in spec.attributes)]:
        if (
            name in RESERVED_ATTRIBUTES
            or name in ("self", "workspace", "stream")
            or hasattr(source.base, name)
        ):
            raise source.error(
                "PK107",
                name,
                f"'{name}' is a name that pluginkit uses itself.",
                f"rename it, say to '{name}_'.",
            )


def _check_tolerance(source: ClassSource) -> None:
    tolerance = getattr(source.cls, "tolerance", {})
    if not isinstance(tolerance, Mapping) or not all(
        isinstance(dtype, DType) and isinstance(error, (int, float)) and error >= 0
        for dtype, error in tolerance.items()
    ):
        raise source.error(
            "PK107",
            "tolerance",
            f"tolerance is {tolerance!r}; expected an error, 0 or more, for each dtype.",
            "write tolerance = {pluginkit.float32: 1e-5}.",
        )


def _check_methods(source: ClassSource, spec: PluginSpec) -> None:
    for method in _OWN_METHODS:
        if source.overrides(method):
            raise source.error(
                "PK105",
                method,
                f"defines {method}, which is pluginkit's own.",
                "declare each value as an attribute, which the constructor then takes; "
                "compute what follows from them in a property or a method.",
            )
    if not source.overrides("reference"):
        raise source.error(
            "PK105", "class", "has no reference().", "define def reference(self, ...)."
        )
    if {"launches", "enqueue"} <= spec.overrides:
        raise source.error(
            "PK105",
            "enqueue",
            "defines both launches and enqueue; expected one.",
            "remove one.",
        )
    if not {"launches", "enqueue"} & spec.overrides:
        raise source.error(
            "PK105",
            "class",
            "defines neither launches nor enqueue.",
            "define launches(self, ...).",
        )
    inputs = [port.name for port in spec.inputs]
    everything = inputs + [port.name for port in spec.outputs]
    everything += ["workspace"] if "workspace_bytes" in spec.overrides else []
    expected = dict.fromkeys(
        (
            *("check", "output_shapes", "output_types"),
            *("workspace_bytes", "workspace_bound", "reference"),
        ),
        inputs,
    )
    expected |= {
        "launches": everything,
        "enqueue": ["inputs", "outputs", "workspace", "stream"],
    }
    for method, names in expected.items():
        if source.overrides(method):
            _check_signature(source, method, names)
    if inspect.isfunction(inspect.getattr_static(source.cls, "cases")):
        raise source.error(
            "PK105",
            "cases",
            "cases is a method of instances; expected a classmethod.",
            "write @classmethod above def cases(cls).",
        )


def _check_signature(source: ClassSource, method: str, names: list[str]) -> None:
    function = function_of(source.cls, method)
    if not inspect.isfunction(function):
        raise source.error(
            "PK105",
            method,
            f"{method} is {function!r}; expected a method.",
            f"write def {method}(self, {', '.join(names)}).",
        )
    parameters = list(inspect.signature(function).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return
    got = [parameter.name for parameter in parameters]
    if got != names:
        raise source.error(
            "PK105",
            method,
            f"{method}(self, {', '.join(got)}) does not take what the class declares; "
            f"expected {method}(self, {', '.join(names)}).",
            f"write def {method}(self, {', '.join(names)}).",
        )


def _is_property(member: object) -> bool:
    return isinstance(member, property)


def _check_kernels(source: ClassSource, spec: PluginSpec) -> None:
    known = set(spec.types) | {attribute.name for attribute in spec.attributes}
    known |= {name for name, _ in inspect.getmembers_static(source.cls, _is_property)}
    for name, kernel in spec.kernels.items():
        kernel.locate(source.cls)
        if not isinstance(kernel, CudaKernel):
            continue
        try:
            placeholders = kernel.placeholders
        except ValueError as error:
            raise source.error(
                "PK106", name, f"kernel name '{kernel.name}': {error}.", "balance the braces."
            ) from None
        try:
            kernel.definitions()
        except ValueError as error:
            raise source.error(
                "PK106",
                name,
                f"kernel '{kernel.name}' defines: {error}.",
                "give what both Python and CUDA C++ have.",
            ) from None
        for placeholder in placeholders - known - set(kernel.constants):
            raise source.error(
                "PK106",
                name,
                f"kernel name '{kernel.name}' uses {{{placeholder}}}; expected a type, "
                f"attribute, property or constant: {sorted(known | set(kernel.constants))}.",
                "declare it, or correct its name.",
            )
