"""The IPluginV2DynamicExt adapter."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pluginkit.contract.dims import are_known
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import PlanError, RegistrationError
from pluginkit.interrupts import uninterrupted
from pluginkit.trt.adapter import AdapterCore, Shapes
from pluginkit.trt.callbacks import guarded
from pluginkit.trt.fields import CreatorCore, wire_for_plan
from pluginkit.trt.flavour import Flavour

_callback = guarded("IPluginV2DynamicExt")
#: The layout of the serialized bytes; raise it when an old reader would misread them.
SERIALIZED_FORMAT = 1
#: After configure_plugin this many enqueues compare a shape with the one that it gave, and later
#: one of so many.
_FIRST_LOOKS, _ENQUEUES_A_LOOK = 16, 8


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
        self._is_open: list[bool] | None = None  # which inputs' shapes the profile lets change
        self._shapes = _PreparedShapes()
        self.enqueue = _enqueue(core, self._shapes)

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
        self.core.prepared = None
        if self._is_initialized:
            descs = [dynamic.desc for dynamic in inputs]
            shapes: Shapes = [tuple(desc.dims[:]) for desc in descs]
            if are_known(shapes):
                # The execution phase: the builder's timing, or the first enqueue with these shapes.
                self.core.prepare_shapes(shapes, (), self.core.dtypes_of(descs))
                if self._is_open is None:
                    self._is_open = [dynamic.min[:] != dynamic.max[:] for dynamic in inputs]
                self._shapes.told(shapes, self._is_open)
                return
        self._is_open = None
        self.core.fix_types(False)  # a builder tries several
        dtypes = [self.core.flavour.dtype(dynamic.desc.type) for dynamic in inputs]
        self._smallest = [tuple(dynamic.min[:]) for dynamic in inputs]
        largest: Shapes = [tuple(dynamic.max[:]) for dynamic in inputs]
        for ends, bound in ((self._smallest, "min"), (largest, "max")):
            self.core.check_shapes(ends, dtypes, f"profile's {bound}", ())

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

    @_callback
    def serialize(self) -> bytes:
        return self._payload()

    @uninterrupted
    def get_serialization_size(self) -> int:
        return len(self._payload())

    def _payload(self) -> bytes:
        document = {"pluginkit": SERIALIZED_FORMAT, "attributes": wire_for_plan(self.core)}
        return json.dumps(document, separators=(",", ":")).encode()


class _PreparedShapes:
    """The input shapes that are prepared, and which of them an enqueue compares.

    Dims compare with lists and tuples only, with lists faster. Comparing one input takes a sixth of
    a launch. configure_plugin gives the shapes before an enqueue, so that enqueues need not look.
    The first ones do all the same, at one input that may change, in turn, and later one of eight.
    That finds out if TensorRT changes shapes without telling. From then on every enqueue compares
    all of them.

    Attributes:
        compared: for each enqueue the inputs to compare, numbers with lists of sizes.
    """

    def __init__(self) -> None:
        self.compared: Iterator[Sequence[tuple[int, list[int]]]] = itertools.repeat(())

    def told(self, shapes: Shapes, is_open: Sequence[bool]) -> None:
        """Compare an input in turn from now on: the shapes are those of configure_plugin."""
        every = _numbered_dims(shapes)
        looks = list(itertools.compress(every, is_open)) or every
        turn: list[Sequence[tuple[int, list[int]]]] = [[look] for look in looks] or [()]
        sparse = zip(*[itertools.repeat(())] * (_ENQUEUES_A_LOOK - 1), itertools.cycle(turn))
        self.compared = itertools.chain(
            itertools.islice(itertools.cycle(turn), _FIRST_LOOKS),
            itertools.chain.from_iterable(sparse),
        )

    def seen(self, descs: Sequence[Any]) -> None:
        """Compare all inputs from now on: the shapes are those of an enqueue."""
        self.compared = itertools.repeat(_numbered_dims([desc.dims[:] for desc in descs]))


def _numbered_dims(shapes: Sequence[Sequence[Any]]) -> list[tuple[int, list[int]]]:
    return [(number, list(shape)) for number, shape in enumerate(shapes)]


def _enqueue(core: AdapterCore, shapes: _PreparedShapes) -> Callable[..., None]:
    """Return the callback ``enqueue``, a function in the object as for IPluginV3."""

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
            compared = next(shapes.compared)
            if prepared is None or (
                compared and any(input_desc[index].dims != dims for index, dims in compared)
            ):
                _check_was_configured(core, inputs)
                prepared = core.prepare_for(input_desc, ())
                shapes.seen(input_desc)
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
