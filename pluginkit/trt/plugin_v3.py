"""The IPluginV3 adapter."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Plugin
from pluginkit.interrupts import uninterrupted
from pluginkit.kernels.enqueue_code import keep_for_ever
from pluginkit.trt.adapter import AdapterCore
from pluginkit.trt.callbacks import guarded
from pluginkit.trt.fields import CreatorCore, FieldBlock, wire_for_plan
from pluginkit.trt.flavour import Flavour
from pluginkit.trt.native_enqueue import native_v3

_callback = guarded("IPluginV3")


class PluginV3Callbacks:
    """IPluginV3's callbacks; :func:`plugin_v3` adds a flavour's base classes."""

    interfaces: tuple[type, ...]

    def __init__(self, core: AdapterCore) -> None:
        # Each base holds a separate C++ object; super().__init__() would make only the first.
        for base in self.interfaces:
            base.__init__(self)  # type: ignore[misc]
        self.core = core
        self.plugin_name, self.plugin_version, self.plugin_namespace = core.plugin.spec.key
        self.num_outputs = len(core.plugin.spec.outputs)
        self._blocks: list[FieldBlock] = []
        self.enqueue = _enqueue(core)
        core.native = native_v3(self)
        # The process may die when Python frees an IPluginV3 that TensorRT has destroyed. The
        # bindings leak a reference to each adapter that TensorRT asks for a capability interface.
        # But in a build that fails, TensorRT destroys clones without asking them.
        keep_for_ever(self)

    def failed(self, callback: str, error: BaseException) -> None:
        self.core.failed(callback, error)

    @uninterrupted
    def get_capability_interface(self, type: Any) -> PluginV3Callbacks:
        # One object for all three capabilities: TensorRT would free separate ones twice.
        return self

    @uninterrupted
    def clone(self) -> Any:
        return plugin_v3(self.core.copy())

    @uninterrupted
    def attach_to_context(self, context: Any) -> Any:
        attached = self.clone()
        attached.core.fix_types(True)
        return attached

    @_callback
    def get_output_data_types(self, input_types: Sequence[Any]) -> list[Any]:
        return self.core.output_data_types(input_types)

    @_callback
    def get_output_shapes(
        self, inputs: Sequence[Any], shape_inputs: Sequence[Any], builder: Any
    ) -> list[Any]:
        return self.core.output_dims(inputs, builder, shape_inputs)

    @_callback
    def supports_format_combination(self, pos: int, in_out: Sequence[Any], num_inputs: int) -> bool:
        return self.core.supports(pos, [dynamic.desc for dynamic in in_out], num_inputs)

    @_callback
    def configure_plugin(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.core.fix_types(False)  # a builder tries several
        ends = [
            (end, self.core.bounds(inputs, end), [tuple(getattr(each, end)[:]) for each in outputs])
            for end in ("min", "opt", "max")
        ]
        self.core.check_profile(ends, self._dtypes(inputs))

    @_callback
    def get_workspace_size(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
        ends = [
            (
                self.core.bounds(inputs, bound),
                [tuple(getattr(each, bound)[:]) for each in outputs],
            )
            for bound in ("min", "opt", "max")
        ]
        return self.core.workspace_bytes(ends, self._dtypes(inputs))

    def _dtypes(self, inputs: Sequence[Any]) -> list[DType]:
        return [self.core.flavour.dtype(dynamic.desc.type) for dynamic in inputs]

    @_callback
    def on_shape_change(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.core.prepare_for(inputs, outputs)

    @uninterrupted
    def get_valid_tactics(self) -> list[int]:
        return list(range(1, len(self.core.plugin.spec.tactics) + 1))

    @_callback
    def set_tactic(self, tactic: int) -> None:
        self.core.set_tactic(tactic)

    @uninterrupted
    def get_aliased_input(self, output_index: int) -> int:
        """Return the input whose memory an output takes over, -1 for none (aliased I/O only)."""
        seen = [port.name for port in calls.device_ports(self.core.plugin)]
        aliases = self.core.plugin.spec.outputs[output_index].aliases
        return seen.index(aliases) if aliases else -1

    @_callback
    def get_fields_to_serialize(self) -> Any:
        # Kept, because TensorRT goes on pointing into the blocks.
        self._blocks.append(FieldBlock(self.core.flavour.module, wire_for_plan(self.core)))
        return self._blocks[-1].returned

    @uninterrupted
    def destroy(self) -> None:
        self.core.release()


def _enqueue(core: AdapterCore) -> Callable[..., None]:
    """Return the callback ``enqueue``, for what :class:`NativeEnqueue` leaves to Python.

    A function in the object itself: TensorRT finds it without making a method.
    """

    def enqueue(
        input_desc: Sequence[Any],
        output_desc: Sequence[Any],
        inputs: Sequence[int],
        outputs: Sequence[int],
        workspace: int,
        stream: int,
    ) -> None:
        try:
            prepared = core.prepared or core.prepare_for(input_desc, output_desc)
            prepared.enqueue(inputs, outputs, workspace, stream)
        except BaseException as error:
            core.failed("IPluginV3.enqueue", error)
            raise

    return enqueue


@functools.cache
def _plugin_class(flavour: Flavour, has_aliases: bool) -> Any:
    trt = flavour.module
    build = trt.IPluginV3OneBuild
    if has_aliases:  # before 10.3 there is no aliased I/O, and outputs get separate memory
        build = getattr(trt, "IPluginV3OneBuildV2", build)
    bases = (trt.IPluginV3, trt.IPluginV3OneCore, build, trt.IPluginV3OneRuntime)
    return type("PluginV3", (PluginV3Callbacks, *bases), {"interfaces": bases})


def plugin_v3(core: AdapterCore) -> Any:
    """Return the IPluginV3 object of a plugin on one node."""
    return _plugin_class(core.flavour, core.plugin.spec.has_aliases)(core)


class CreatorV3Callbacks(CreatorCore):
    """The callbacks of IPluginCreatorV3One."""

    @uninterrupted
    def create_plugin(self, name: str, fields: Any, phase: Any) -> Any:
        return plugin_v3(self.core_from_fields(name, fields))


@functools.cache
def _creator_class(flavour: Flavour) -> Any:
    base = flavour.module.IPluginCreatorV3One
    return type("CreatorV3", (CreatorV3Callbacks, base), {"interface": base})


def creator_v3(plugin_class: type[Plugin], flavour: Flavour) -> Any:
    """Return the IPluginCreatorV3One of a plugin class."""
    return _creator_class(flavour)(plugin_class, flavour)
