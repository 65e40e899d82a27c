"""Answer TensorRT's callbacks for a plugin; both plugin interfaces share this part."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.declared_shapes import widened
from pluginkit.contract.dims import Shape, are_known
from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import RegistrationError, TensorError
from pluginkit.kernels.compile_early import compile_early
from pluginkit.kernels.prepare import Prepared
from pluginkit.trt.callbacks import record
from pluginkit.trt.collected_calls import collect
from pluginkit.trt.dimension_exprs import Lowering, shapes_from_exprs, values_from_exprs
from pluginkit.trt.flavour import Flavour
from pluginkit.trt.native_enqueue import NativeEnqueue
from pluginkit.trt.new_call import NewCall
from pluginkit.trt.prepared_wrappers import live
from pluginkit.trt.recorded_sizes import RecordedSizes

Shapes = list[Shape]

#: An adapter keeps the prepared enqueues of this many sets of shapes, so that a program which
#: alternates between a few, such as batch sizes, prepares each once.
_KEPT_SHAPES = 16
#: The largest size that TensorRT says of a dimension of which it knows no bound.
_UNBOUNDED = 2**63 - 1


class AdapterCore:
    """One plugin on one node, with its known types and its prepared enqueues.

    Attributes:
        plugin: the author's plugin.
        flavour: the TensorRT that calls.
        node: the name of the node or layer.
        prepared: the enqueue for the current shapes, or None.
        shapes: the inputs' shapes that it is for.
        native: what TensorRT calls in place of the adapter's enqueue; the adapter sets it.
        recorded_sizes: the output and workspace sizes that the plugin stated.
        error: the first exception of a callback. Later callbacks then fail too, so that TensorRT
            builds no wrong engine.
    """

    def __init__(self, plugin: Plugin, flavour: Flavour, node: str | None) -> None:
        self.plugin = plugin
        self.flavour = flavour
        self.node = node
        self.dtypes: list[DType] | None = None
        self.prepared: Prepared | None = None
        self.shapes: Shapes = []
        self.native: NativeEnqueue | None = None
        self._prepared_by_key: dict[object, Prepared] = {}
        self.recorded_sizes = RecordedSizes()
        self._has_fixed_types = False
        self._fixed_dtypes: list[DType] | None = None
        self._value_places: calls.ValuePlaces = {}
        self.error: BaseException | None = None
        live.add(self)

    def copy(self) -> AdapterCore:
        """Return the same plugin for another layer or context, with nothing prepared."""
        other = copy.copy(self)
        other._prepared_by_key = {}
        other.prepared = other.native = None
        other.recorded_sizes = RecordedSizes(self.recorded_sizes)
        live.add(other)
        return other

    def failed(self, callback: str, error: BaseException) -> None:
        """Record the exception of a callback."""
        self.error = self.error or error
        record(type(self.plugin).__name__, callback, self.node, error)

    def _refuse_after_failure(self) -> None:
        if self.error is not None:
            self.use(None)
            raise RegistrationError(
                "PK206",
                f"{type(self.plugin).__name__}: an earlier callback of the plugin failed.",
                cause=str(self.error),
            )

    def output_data_types(self, input_types: Sequence[Any]) -> list[Any]:
        """Return the outputs' ``DataType`` for the inputs' ``DataType``."""
        self.dtypes = self._all_dtypes([self.flavour.dtype(each) for each in input_types])
        inputs = calls.describe_dtypes(self.plugin, self.dtypes)
        if self.flavour.is_always_strongly_typed:
            calls.check_dtypes(self.plugin, self.dtypes)
        return [self.flavour.data_type(dtype) for dtype in calls.output_types(self.plugin, inputs)]

    def output_dims(
        self, inputs: Sequence[Any], builder: Any, shape_inputs: Sequence[Any] = ()
    ) -> list[Any]:
        """Return the outputs' DimsExprs for those of the inputs and of the shape inputs' values."""
        ports = calls.present_ports(self.plugin)
        shaping = [port.name for port in ports if port.is_shape_input]
        by_name = dict(zip(shaping, shape_inputs, strict=True))
        shapes, _ = calls.with_shape_inputs(
            self.plugin, shapes_from_exprs(inputs), [ports[0].dtypes[0]] * len(inputs)
        )
        values = {name: values_from_exprs(name, exprs) for name, exprs in by_name.items()}
        descs = calls.describe_inputs(self.plugin, shapes, self._known_dtypes(), values)
        calls.check(self.plugin, descs)
        outputs = calls.output_shapes(self.plugin, descs)
        return self.lowered(outputs, inputs, by_name, builder)

    def lowered(
        self,
        shapes: Sequence[Shape],
        inputs: Sequence[Any],
        shape_inputs: Mapping[str, Any],
        builder: Any,
    ) -> list[Any]:
        """Return the outputs' shapes as DimsExprs."""
        sizes = {
            port.name: index for index, port in enumerate(self.plugin.spec.outputs) if port.is_size
        }
        operations = self.flavour.module.DimensionOperation
        lowering = Lowering(inputs, shape_inputs, sizes, builder, operations)
        return [lowering.exprs(shape) for shape in shapes]

    def _known_dtypes(self) -> list[DType]:
        """Return the inputs' dtypes; allowed ones if TensorRT has not told them yet."""
        allowed = calls.first_dtypes(self.plugin)
        if self.dtypes is None or not calls.dtypes_are_allowed(self.plugin, self.dtypes):
            return allowed
        return self.dtypes

    def supports(self, pos: int, descs: Sequence[Any], num_inputs: int) -> bool:
        """Whether the plugin takes the type and format at ``pos``, given those before it."""
        self._refuse_after_failure()
        if not self._is_linear(descs[pos]):
            return False
        try:
            found = self.flavour.dtype(descs[pos].type)
        except TensorError:  # FP8 and the like
            return False
        before = [self.flavour.dtype(desc.type) for desc in descs[: min(pos, num_inputs)]]
        if pos < num_inputs:
            return calls.dtypes_are_allowed(
                self.plugin, [*before, found], calls.device_ports(self.plugin)
            )
        inputs = calls.describe_dtypes(self.plugin, self._all_dtypes(before))
        if calls.refuses_types(self.plugin, inputs):
            return False
        return calls.output_types(self.plugin, inputs)[pos - num_inputs] is found

    def _all_dtypes(self, seen: Sequence[DType]) -> list[DType]:
        return calls.with_shape_inputs(self.plugin, [()] * len(seen), seen)[1]

    def _is_linear(self, desc: Any) -> bool:
        formats = getattr(self.flavour.module, "TensorFormat", None)
        # tensorrt_lean has no TensorFormat, and reading a descriptor's format raises there.
        return formats is None or desc.format == formats.LINEAR

    def check_profile(
        self,
        ends: Sequence[tuple[str, Shapes, Sequence[tuple[int, ...]]]],
        dtypes: list[DType],
    ) -> None:
        """Run the author's check and shape function on the shapes of a profile.

        Where data decide a size, TensorRT guesses its opt, which then need not fit the other sizes:
        opt is checked only if an end is not known. TensorRT may know no bound of such a size
        either: then the shapes are checked when they are known, at an enqueue.

        Args:
            ends: the name of each end, and TensorRT's shapes of inputs and outputs, the largest
                last.
            dtypes: the inputs' dtypes.
        """
        _, largest, _ = ends[-1]
        if any(_UNBOUNDED in shape for shape in largest):
            return
        has_ends = all(are_known(shapes) for end, shapes, _ in ends if end != "opt")
        for end, shapes, outputs in ends:
            if are_known(shapes) and not (end == "opt" and has_ends):
                self._check_shapes(shapes, dtypes, end, outputs)

    def _check_shapes(
        self, shapes: Shapes, dtypes: list[DType], end: str, outputs: Sequence[tuple[int, ...]]
    ) -> None:
        try:
            inputs = calls.describe_on_device(self.plugin, shapes, dtypes, lambda: outputs)
            calls.check(self.plugin, inputs)
            calls.describe_outputs(self.plugin, inputs)
        except TensorError as error:
            texts = ", ".join(str(list(shape)) for shape in shapes)
            error.where = f"the profile's {end} shapes {texts}"
            raise

    def bounds(self, inputs: Sequence[Any], bound: str) -> Shapes:
        """Return the inputs' shapes at one end of a profile.

        Args:
            inputs: DynamicPluginTensorDescs.
            bound: "min", "opt" or "max".
        """
        opt, ends = ([tuple(getattr(each, end)[:]) for each in inputs] for end in ("opt", bound))
        if bound == "opt" or not (are_known(opt) and are_known(ends)):
            return ends
        declared = [port.shape for port in calls.device_ports(self.plugin)]
        return widened(declared, opt, ends, min if bound == "min" else max)

    def workspace_bytes(
        self, ends: Sequence[tuple[Shapes, Sequence[tuple[int, ...]]]], dtypes: list[DType]
    ) -> int:
        """Return the workspace in bytes for a profile: the most that any tactic needs.

        Args:
            ends: the shapes of inputs and outputs at each end of the profile, the largest last.
            dtypes: the inputs' dtypes.
        """
        self._refuse_after_failure()
        for shapes, outputs in ends:
            if are_known(shapes) or shapes is ends[-1][0]:
                self.recorded_sizes.record(self.plugin, shapes, dtypes, outputs)
        collect(self.plugin, self.recorded_sizes)
        return self.recorded_sizes.workspace_bytes(dtypes) or 0

    def set_tactic(self, tactic: int) -> None:
        """Use one of the plugin's tactics, counted from 1; 0 means the default, the first."""
        tactics = self.plugin.spec.tactics
        if tactic == 0 or not tactics:
            return
        if tactic > len(tactics):
            raise RegistrationError(
                "PK215",
                f"{type(self.plugin).__name__}: the plan uses tactic {tactic}; "
                f"expected 1 to {len(tactics)}: {', '.join(tactics)}.",
                fix="build the plan again with this version of the plugin.",
            )
        self.plugin = self.plugin.with_tactic(tactics[tactic - 1])
        self.release()
        compile_early(self.plugin, self.recorded_sizes.described(self.plugin))

    def prepare_for(self, descs: Sequence[Any], output_descs: Sequence[Any]) -> Prepared:
        """Return the enqueue for these PluginTensorDescs, and prepare it if it is new."""
        # A slice of Dims takes a tenth of the time of going through them.
        shapes: Shapes = [tuple(desc.dims[:]) for desc in descs]
        outputs: list[tuple[int, ...]] = []  # which the values of shape inputs follow from
        if self.plugin.spec.has_shape_inputs:
            outputs = [tuple(desc.dims[:]) for desc in output_descs]
        return self.prepare_shapes(shapes, outputs, self.dtypes_of(descs))

    def prepare_shapes(
        self, shapes: Shapes, outputs: Sequence[Sequence[int]], dtypes: Sequence[DType]
    ) -> Prepared:
        """Return the enqueue for these shapes and types, and prepare it if it is new."""
        self._refuse_after_failure()
        key = (*shapes, *outputs, *[dtype.name for dtype in dtypes])
        prepared = self._prepared_by_key.pop(key, None)
        if prepared is None:
            self.use(None)
            sizes = self.recorded_sizes
            given_bytes = sizes.workspace_bytes(dtypes)
            call = (self.plugin, sizes, self._value_places, shapes, outputs, dtypes, given_bytes)
            prepared = NewCall(*call).prepared(self)
            if len(self._prepared_by_key) >= _KEPT_SHAPES:
                self._prepared_by_key.pop(
                    next(iter(self._prepared_by_key))
                )  # the least recently used
        self._prepared_by_key[key] = prepared
        self.use(prepared, shapes)
        return prepared

    def use(self, prepared: Prepared | None, shapes: Shapes | None = None) -> None:
        """Enqueue what is prepared for these shapes from now on; None prepares something first."""
        self.prepared, self.shapes = prepared, shapes or []
        if self.native is not None:
            self.native.use(prepared, self.shapes)

    def fix_types(self, are_fixed: bool) -> None:
        """Read the types of the next call anew, and keep them if they are fixed from now on."""
        self._has_fixed_types, self._fixed_dtypes = are_fixed, None

    def dtypes_of(self, descs: Sequence[Any]) -> list[DType]:
        """Return the types of an enqueue."""
        if not self._has_fixed_types:
            return [self.flavour.dtype(desc.type) for desc in descs]
        if self._fixed_dtypes is None:
            self._fixed_dtypes = [self.flavour.dtype(desc.type) for desc in descs]
        return self._fixed_dtypes

    def release(self) -> None:
        """Free what is prepared, for TensorRT's bindings never free a V3 adapter."""
        self.use(None)
        self._prepared_by_key.clear()
