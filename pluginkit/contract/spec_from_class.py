"""Reads a Plugin class into its PluginSpec; a wrong declaration is an error that names the line."""

from __future__ import annotations

import inspect

from pluginkit.contract.class_members import ClassReader
from pluginkit.contract.class_rules import check_spec
from pluginkit.contract.launches import CudaKernel, NumbaKernel
from pluginkit.contract.spec import Input, Output, PluginSpec, Port, ShapeInput, SizeOutput

OPTIONAL_METHODS = ("check", "output_types", "workspace_bytes", "launches", "enqueue", "cases")


def spec_from_class(cls: type) -> PluginSpec:
    """Read and check the declaration of a Plugin class.

    Errors:
        PK100 to PK109, as in docs/errors.md, each naming the line.
    """
    reader = ClassReader(cls)
    types = reader.types()

    def ports(*kinds: type) -> tuple[Port, ...]:
        return tuple(reader.port(name, port, types) for name, port in reader.members(kinds))

    inputs = ports(Input, ShapeInput)
    outputs = ports(Output) + ports(SizeOutput)
    attributes = reader.attributes()
    spec = PluginSpec(
        name=cls.__name__,
        plugin_name=reader.text("plugin_name", f"{cls.__name__}_PK"),
        plugin_version=reader.text("plugin_version", "1"),
        plugin_namespace=reader.text("plugin_namespace", "pluginkit"),
        attributes=attributes,
        inputs=inputs,
        outputs=outputs,
        types=types,
        kernels=dict(reader.members((CudaKernel, NumbaKernel))),
        onnx_op=reader.onnx_op(),
        tactics=reader.tactics(),
        overrides=frozenset(name for name in OPTIONAL_METHODS if reader.overrides(name)),
        doc=inspect.cleandoc(str(cls.__doc__ or "")),
        module=cls.__module__,
    )
    check_spec(reader, spec)
    return spec
