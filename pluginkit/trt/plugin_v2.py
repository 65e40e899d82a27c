"""The IPluginV2DynamicExt adapter."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from pluginkit.contract.dims import are_known
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import PlanError, RegistrationError
from pluginkit.interrupts import uninterrupted
from pluginkit.trt.adapter import AdapterCore, Shapes
from pluginkit.trt.callbacks import guarded
from pluginkit.trt.fields import CreatorCore, wire_for_plan
from pluginkit.trt.flavour import Flavour
from pluginkit.trt.native_enqueue import native_v2

_callback = guarded("IPluginV2DynamicExt")
#: The layout of the serialized bytes; raise it when an old reader would misread them.
SERIALIZED_FORMAT = 1


class PluginV2Callbacks:
    """IPluginV2DynamicExt's callbacks; :func:`plugin_v2` adds a flavour's base class."""

    interface: type

    def __init__(self, core: AdapterCore) -> None:
        self.interface.__init__(self)  # type: ignore[misc]
        self.core = core
        self.plugin_type, self.plugin_version, self.plugin_namespace = core.plugin.spec.key
        self.num_outputs = len(core.plugin.spec.outputs)
        self._is_initialized = False
        self._smallest: Shapes = []  # the input shapes at the configured profile's minimum
        self.enqueue = _enqueue(core)
        self._native = core.native = native_v2(self, core.flavour)

    def failed(self, callback: str, error: BaseException) -> None:
        self.core.failed(callback, error)

    @uninterrupted
    def clone(self) -> Any:
        other = plugin_v2(self.core.copy())
        other._is_initialized = self._is_initialized
        return other

    @_callback
    def get_output_datatype(self, index: int, input_types: Sequence[Any]) -> Any:
        return self.core.output_data_types(input_types)[index]

    @_callback
    def get_output_dimensions(self, output_index: int, inputs: Sequence[Any], builder: Any) -> Any:
        return self.core.output_dims(inputs, builder)[output_index]

    @_callback
    def supports_format_combination(self, pos: int, in_out: Sequence[Any], num_inputs: int) -> bool:
        return self.core.supports(pos, in_out, num_inputs)

    @_callback
    def configure_plugin(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        if self._is_initialized:
            descs = [dynamic.desc for dynamic in inputs]
            shapes: Shapes = [tuple(desc.dims[:]) for desc in descs]
            if are_known(shapes):
                # The execution phase: the builder's timing, or the first enqueue with these shapes.
                self.core.prepare_shapes(shapes, (), self.core.dtypes_of(descs))
                return
        self.core.use(None)
        self.core.fix_types(False)  # a builder tries several
        dtypes = [self.core.flavour.dtype(dynamic.desc.type) for dynamic in inputs]
        self._smallest = [tuple(dynamic.min[:]) for dynamic in inputs]
        largest: Shapes = [tuple(dynamic.max[:]) for dynamic in inputs]
        self.core.check_profile([("min", self._smallest, ()), ("max", largest, ())], dtypes)

    @_callback
    def get_workspace_size(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
        dtypes = [self.core.flavour.dtype(desc.type) for desc in inputs]
        largest: Shapes = [tuple(desc.dims[:]) for desc in inputs]
        return self.core.workspace_bytes([(self._smallest or largest, ()), (largest, ())], dtypes)

    @uninterrupted
    def initialize(self) -> None:
        """Begin the execution phase, in which types do not change and shapes become known."""
        self._is_initialized = True
        self.core.fix_types(True)

    @uninterrupted
    def terminate(self) -> None:
        self.core.release()

    @uninterrupted
    def destroy(self) -> None:
        self.core.release()
        self._native.restore()

    @_callback
    def serialize(self) -> bytes:
        return self._payload()

    @uninterrupted
    def get_serialization_size(self) -> int:
        return len(self._payload())

    def _payload(self) -> bytes:
        document = {"pluginkit": SERIALIZED_FORMAT, "attributes": wire_for_plan(self.core)}
        return json.dumps(document, separators=(",", ":")).encode()


def _enqueue(core: AdapterCore) -> Callable[..., None]:
    """Return the callback ``enqueue``, a function in the object as for IPluginV3.

    configure_plugin gives shapes before an enqueue; TensorRT may change them without telling.
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
            prepared = core.prepared
            if prepared is None or any(
                desc.dims != shape for desc, shape in zip(input_desc, core.shapes, strict=False)
            ):
                _check_was_configured(core, inputs)
                prepared = core.prepare_for(input_desc, ())
            prepared.enqueue(inputs, outputs, workspace, stream)
        except BaseException as error:
            core.failed("IPluginV2DynamicExt.enqueue", error)
            raise

    return enqueue


def _check_was_configured(core: AdapterCore, inputs: Sequence[int]) -> None:
    if len(inputs) != sum(core.plugin.present):
        raise RegistrationError(
            "PK211",
            f"{type(core.plugin).__name__}: enqueue got {len(inputs)} inputs; "
            f"expected {sum(core.plugin.present)}.",
            cause="IPluginV2DynamicExt objects that were never configured get no inputs.",
            fix="call configure_plugin on the clone before its enqueue.",
        )


@functools.cache
def _plugin_class(flavour: Flavour) -> Any:
    base = flavour.module.IPluginV2DynamicExt
    return type("PluginV2", (PluginV2Callbacks, base), {"interface": base})


def plugin_v2(core: AdapterCore) -> Any:
    """Return the IPluginV2DynamicExt object of a plugin on one node."""
    return _plugin_class(core.flavour)(core)


class CreatorV2Callbacks(CreatorCore):
    """The callbacks of IPluginCreator."""

    @uninterrupted
    def create_plugin(self, name: str, fields: Any) -> Any:
        return plugin_v2(self.core_from_fields(name, fields))

    @uninterrupted
    def deserialize_plugin(self, name: str, payload: bytes) -> Any:
        with self.recorded("deserialize_plugin", name):
            wire = _wire_from_payload(self.plugin_class.spec.name, bytes(payload))
            return plugin_v2(self.core_from_wire(name, wire))


def _wire_from_payload(owner: str, payload: bytes) -> dict[str, Any]:
    try:
        document = json.loads(payload)
        if document["pluginkit"] == SERIALIZED_FORMAT:
            return dict(document["attributes"])
        problem = f"format {document['pluginkit']}; expected {SERIALIZED_FORMAT}"
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{len(payload)} bytes that cannot be read ({error})"
    raise PlanError(
        "PK207",
        f"{owner}: the plan holds {problem}.",
        fix="build the plan again with this pluginkit.",
    )


@functools.cache
def _creator_class(flavour: Flavour) -> Any:
    base = flavour.module.IPluginCreator
    return type("CreatorV2", (CreatorV2Callbacks, base), {"interface": base})


def creator_v2(plugin_class: type[Plugin], flavour: Flavour) -> Any:
    """Return the IPluginCreator of a plugin class."""
    return _creator_class(flavour)(plugin_class, flavour)
