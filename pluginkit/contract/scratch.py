"""Plugins that take their scratch memory as an output, where TensorRT gives no workspace.

TensorRT's compiler fails on a plugin in an If, Loop or Scan that asks for a workspace, and builds
the same plugin with another output that nobody reads. So each plugin class with a workspace has a
variant, a class of another plugin_name, whose last output is as many bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pluginkit.contract.dims import Dim, Shape, dim_max, known
from pluginkit.contract.dtypes import DType, int8
from pluginkit.contract.spec import PluginKey, Port
from pluginkit.contract.tensors import TensorDesc, Workspace
from pluginkit.errors import TensorError

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin, Plugins

_variants: dict[type[Plugin], type[Plugin]] = {}
#: What a variant's class name ends with.
VARIANT = "Scratch"
_SUFFIX = "_Scratch"
_PORT = Port("scratch", None, (int8,), False, (1, 1), "scratch memory; nobody reads it")


def scratch_variant(plugin: type[Plugin]) -> type[Plugin] | None:
    """Return the variant of a class; None if it has none.

    A class has one if it asks for a workspace, says what to launch and has no size outputs.
    """
    spec = plugin.spec
    needed = {"workspace_bytes", "launches"}
    if spec.sizes or not needed <= spec.overrides or spec.plugin_name.endswith(_SUFFIX):
        return None
    if plugin not in _variants:
        _variants[plugin] = _variant(plugin)
    return _variants[plugin]


def plugin_class(key: PluginKey, plugins: Plugins) -> type[Plugin] | None:
    """Return the plugin class of a key, a variant of one too; None if there is none."""
    name, version, namespace = key
    if key in plugins or not name.endswith(_SUFFIX):
        return plugins.get(key)
    plugin = plugins.get((name.removesuffix(_SUFFIX), version, namespace))
    return scratch_variant(plugin) if plugin is not None else None


def with_variants(plugins: Plugins, keys: Iterable[PluginKey]) -> dict[PluginKey, type[Plugin]]:
    """Return plugins by key, with the variants among ``keys``."""
    found = {key: plugin_class(key, plugins) for key in keys}
    return {**plugins, **{key: plugin for key, plugin in found.items() if plugin is not None}}


def names_a_plugin(op_type: str, names: Collection[str]) -> bool:
    """Whether a node's operator is one of these plugin names, or the name of a variant."""
    return op_type in names or op_type.removesuffix(_SUFFIX) in names


def scratch_bytes(plugin: Plugin, inputs: Sequence[TensorDesc | None]) -> Dim:
    """Return the scratch memory that suffices for inputs, whose shapes may be symbolic.

    Errors:
        UnknownDimError: it does not follow from symbolic shapes.
    """
    tactics = [plugin.with_tactic(each) for each in plugin.spec.tactics] or [plugin]
    method = "workspace_bound" if "workspace_bound" in plugin.spec.overrides else "workspace_bytes"
    return dim_max(1, *(getattr(each, method)(*inputs) for each in tactics))


def is_scratch(port: Port) -> bool:
    """Whether an output is a variant's scratch memory, of which a launch may use a part or none."""
    return port is _PORT


def _variant(plugin: type[Plugin]) -> type[Plugin]:
    base: Any = plugin
    spec = plugin.spec

    class ScratchVariant(base, abstract=True):  # type: ignore[misc, call-arg]
        __doc__ = base.__doc__

        def output_types(self, *inputs: Any) -> tuple[DType, ...]:
            from pluginkit.contract import calls

            return (*calls.output_types(self._base, inputs), int8)

        def output_shapes(self, *inputs: Any) -> tuple[Shape, ...]:
            from pluginkit.contract import calls

            return (
                *calls.output_shapes(self._base, inputs),
                (scratch_bytes(self._base, inputs),),
            )

        def workspace_bytes(self, *inputs: Any) -> Dim:
            return 0

        def launches(self, *tensors: Any) -> Any:
            given, scratch = tensors[:-1], tensors[-1]
            needed = base.workspace_bytes(self, *given[: len(spec.inputs)])
            return super().launches(*given, _workspace_of(self, scratch, needed))

        def reference(self, *arrays: Any) -> tuple[Any, ...]:
            import numpy as np

            from pluginkit.contract import calls

            given = [array for array in arrays if array is not None]
            nbytes = known(scratch_bytes(self._base, calls.describe_arrays(self, given)))
            results = super().reference(*arrays)
            is_one = isinstance(results, (np.ndarray, np.generic))
            return (*((results,) if is_one else results), np.zeros(nbytes, np.int8))

        @property
        def _base(self) -> Plugin:
            made: Plugin = base(**self.attribute_values)
            made = made._changed("_present", self.present)
            return made.with_tactic(self.tactic) if self.tactic else made

    ScratchVariant.__name__ = f"{plugin.__name__}{VARIANT}"
    ScratchVariant.__qualname__ = f"{plugin.__qualname__}{VARIANT}"
    ScratchVariant.__module__ = plugin.__module__
    ScratchVariant.spec = replace(
        spec,
        name=ScratchVariant.__name__,
        plugin_name=f"{spec.plugin_name}{_SUFFIX}",
        outputs=(*spec.outputs, _PORT),
        onnx_op=None,
        overrides=(spec.overrides | {"output_types"}) - {"workspace_bytes", "workspace_bound"},
    )
    return cast("type[Plugin]", ScratchVariant)


def _workspace_of(plugin: Plugin, scratch: TensorDesc, needed: Dim) -> Workspace:
    """Return the scratch output as the workspace.

    Errors:
        PK217: it is smaller than the workspace that the plugin asks for.
    """
    if needed > scratch.nbytes:
        raise TensorError(
            "PK217",
            f"{type(plugin).__name__} needs {needed} bytes of workspace; its scratch output has "
            f"{scratch.nbytes}.",
            cause="workspace_bound returns less than workspace_bytes.",
            fix="let workspace_bound return at least what workspace_bytes returns.",
        )
    return Workspace(cast(int, needed), scratch.slot)
