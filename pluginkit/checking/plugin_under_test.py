"""The plugin under test, and the calls that the checks make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pluginkit.checking.author_line import author_line
from pluginkit.checking.cast_inputs import cast, dtype_for
from pluginkit.checking.given_cases import given_cases
from pluginkit.checking.known_references import KnownReferences
from pluginkit.checking.outcomes import outcome_of
from pluginkit.checking.type_combinations import chosen_bindings
from pluginkit.contract import calls
from pluginkit.contract.declared_shapes import AxisLabel
from pluginkit.contract.dims import ConcreteShape
from pluginkit.contract.dtypes import DType, dtype_from_numpy
from pluginkit.contract.plugin import Case, Plugin
from pluginkit.errors import PluginkitError, TensorError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: The number of a present input, and one of its axes.
CallAxis = tuple[int, int]
#: The memory that ``enqueue`` works on: a GPU's, or for plugins made for tests the host's.
MemoryKind = Literal["gpu", "host"]
#: ``all``: each case in each chosen combination of types. ``cover``: the first case in each, each
#: other case in the first. ``first``: each case in the first combination.
TypeCoverage = Literal["all", "cover", "first"]


@dataclass(frozen=True)
class PluginCall:
    """One concrete call of the plugin.

    Attributes:
        plugin: the plugin with its attributes, for the inputs that are present.
        arrays: the arrays of the present inputs.
        label: the name of the call.
        case: the same call as a Case.
        sample: the case that it comes from, in the author's types.
        references: what the reference has returned for the subject's calls.
    """

    plugin: Plugin
    arrays: Sequence[Array]
    label: str
    case: Case
    sample: Case
    references: KnownReferences

    @property
    def shapes(self) -> list[ConcreteShape]:
        """The inputs' shapes."""
        return [tuple(array.shape) for array in self.arrays]

    @property
    def dtypes(self) -> list[DType]:
        """The inputs' dtypes."""
        return [dtype_from_numpy(array.dtype) for array in self.arrays]

    def describe(self) -> calls.Inputs:
        """The inputs as the author's methods see them."""
        return calls.describe_inputs(self.plugin, self.shapes, self.dtypes, self.values)

    @property
    def values(self) -> dict[str, ConcreteShape]:
        """The values of the shape inputs, by name."""
        return calls.shape_values_in(self.plugin, self.arrays)

    @property
    def labels(self) -> list[tuple[AxisLabel, ...]]:
        """The class's declaration of each axis: a size, a name, or None."""
        return [
            shape
            if port.is_shape_input
            else (None,) * len(shape)
            if port.shape is None
            else port.shape.labels(len(shape))
            for port, shape in zip(calls.present_ports(self.plugin), self.shapes, strict=True)
        ]

    @property
    def device_arrays(self) -> list[Array]:
        """The arrays of the inputs in device memory."""
        return calls.on_device(self.plugin, self.arrays)

    def reference(self) -> tuple[Array, ...]:
        """Return the reference's outputs, which are computed once and cannot be written to.

        Errors:
            PK111 to PK117, and what the author raises.
        """
        return self._expected

    @cached_property
    def _expected(self) -> tuple[Array, ...]:
        return self.references.outputs(self.plugin, self.arrays)

    @property
    def has_indices(self) -> bool:
        """Whether an input may hold indices; repeated ones can make the result ambiguous."""
        return any(
            array is not None and array.dtype.kind in "iu" and port.is_on_device
            for port, array in zip(self.plugin.spec.inputs, self.sample.inputs, strict=True)
        )

    def with_arrays(self, arrays: Sequence[Array], label: str) -> PluginCall:
        """The same call with other arrays."""
        given = iter(arrays)
        inputs = [next(given) if present else None for present in self.plugin.present]
        case = Case(self.case.name, inputs, self.case.attributes)
        label = f"{self.label}, {label}"
        return replace(self, arrays=list(arrays), label=label, case=case)

    def with_other_values(self) -> PluginCall:
        """Return the call with each floating-point input read backwards; integers may be indices.

        Values stay in their range: a decay stays below 0, a matrix positive definite. An input that
        reads the same backwards is negated.
        """
        import numpy as np

        def other(array: Array) -> Array:
            backwards = np.ascontiguousarray(np.flip(array.ravel()).reshape(array.shape))
            return np.negative(array) if backwards.tobytes() == array.tobytes() else backwards

        arrays = [
            other(array) if dtype.is_floating else array
            for dtype, array in zip(self.dtypes, self.arrays, strict=True)
        ]
        return self.with_arrays(arrays, "with other values")

    def resized(
        self, resize: Callable[[int], int], label: str, axes: Iterable[CallAxis] | None = None
    ) -> PluginCall | None:
        """Return the call with other dimensions, or None if the plugin refuses it.

        Equal dimensions stay equal, and those that the class declares as numbers do not change;
        values repeat, so that indices stay in range as sizes grow.

        Args:
            resize: returns the new size of a dimension.
            label: a name for the change.
            axes: the axes that change; by default all.
        """
        chosen = None if axes is None else set(axes)
        shapes = [
            tuple(
                dim
                if isinstance(name, int) or (chosen is not None and (number, axis) not in chosen)
                else resize(dim)
                for axis, (dim, name) in enumerate(zip(shape, names, strict=True))
            )
            for number, (shape, names) in enumerate(zip(self.shapes, self.labels, strict=True))
        ]
        return self.with_shapes(shapes, label)

    def groups(self) -> dict[str, list[CallAxis]]:
        """The axes that may change, by name; axes with the same name are together."""
        found: dict[str, list[CallAxis]] = {}
        ports = calls.present_ports(self.plugin)
        for number, (port, names) in enumerate(zip(ports, self.labels, strict=True)):
            for axis, name in enumerate(names):
                if not isinstance(name, int):
                    text = f"axis {axis} of '{port.name}'" if name is None else f"'{name}'"
                    found.setdefault(text, []).append((number, axis))
        return found

    def with_shapes(self, shapes: Sequence[ConcreteShape], label: str) -> PluginCall | None:
        """Return the same call with other shapes, or None if the plugin refuses them.

        Errors:
            Failure: the reference raises something for shapes that ``check`` accepts.
        """
        import numpy as np

        arrays = [np.resize(a, shape) for a, shape in zip(self.arrays, shapes, strict=True)]
        call = self.with_arrays(arrays, f"{label}: {', '.join(str(list(s)) for s in shapes)}")
        try:
            call.reference()
        except TensorError as error:
            if error.code != "PK117":  # a result of the wrong shape or type is not a refusal
                return None
        except Exception as error:  # the author's reference may raise anything
            raise outcome_of(error, call.label, call.case) from error
        return call


class Subject:
    """A plugin class with its usable sample cases.

    Attributes:
        plugin_class: the class.
        name: the class's name.
        cases: those that fit the declaration.
        unusable: the others, each with what is wrong with it.
        memory: where ``enqueue`` works.
        latest: the last call that a check made, or None.
        is_patient: whether kernels may take any time on the PTX machine.
    """

    def __init__(
        self,
        plugin_class: type[Plugin],
        cases: Iterable[Case] | None = None,
        memory: MemoryKind = "gpu",
        *,
        is_patient: bool = False,
    ) -> None:
        self.plugin_class = plugin_class
        self.name = plugin_class.__name__
        self.memory = memory
        self.is_patient = is_patient
        self.latest: PluginCall | None = None
        self._references = KnownReferences()
        self.cases: list[Case] = []
        self.unusable: list[tuple[str, str]] = []
        try:
            given = given_cases(plugin_class.cases() if cases is None else cases)
        except (Exception, SystemExit) as error:
            self.unusable.append(("cases()", f"{type(error).__name__}: {error}"))
            given = []
        self._bindings = chosen_bindings(plugin_class.spec.types)
        for case in given:
            try:
                call = self._call(case, self._bindings[0])
                calls.check(call.plugin, call.describe())
            except Exception as error:  # the author's check may raise anything
                text = str(error) if isinstance(error, PluginkitError) else repr(error)
                where = "\n".join(filter(None, (f"case '{case.name}'", author_line(error))))
                self.unusable.append((where, text))
            else:
                self.cases.append(case)

    def calls(self, types: TypeCoverage = "all") -> Iterator[PluginCall]:
        """The cases in every tactic, with their inputs cast to combinations of the declared types.

        Those that ``output_types`` refuses for a case's attributes are left out.
        """
        for index, case in enumerate(self.cases):
            for number, bindings in enumerate(self._bindings):
                if number and (types == "first" or (types == "cover" and index)):
                    break
                call = self._call(case, bindings)
                if calls.refuses_types(call.plugin, call.describe()):
                    continue
                self.latest = call
                yield call
                yield from self._other_tactics(call)

    def _other_tactics(self, call: PluginCall) -> Iterator[PluginCall]:
        for tactic in self.plugin_class.spec.tactics[1:]:
            plugin = call.plugin.with_tactic(tactic)
            yield replace(call, plugin=plugin, label=f"{call.label}, tactic '{tactic}'")

    def instances(self) -> Iterator[tuple[Plugin, str]]:
        """The plugins of the cases, each with a label."""
        for call in self.calls("first"):
            yield call.plugin, call.label

    def untaken_types(self) -> list[str]:
        """The combinations of declared types that no case accepts, as text."""
        if "output_types" not in self.plugin_class.spec.overrides:
            return []
        return [
            ", ".join(f"{name}={dtype.name}" for name, dtype in bindings.items())
            for bindings in self._bindings
            if all(
                calls.refuses_types(call.plugin, call.describe())
                for call in (self._call(case, bindings) for case in self.cases)
            )
        ]

    def _call(self, case: Case, bindings: Mapping[str, DType]) -> PluginCall:
        plugin = self.plugin_class(**case.attributes)
        ports = self.plugin_class.spec.inputs
        if len(case.inputs) != len(ports):
            raise TensorError(
                "PK111", f"{self.name}: got {len(case.inputs)} inputs; expected {len(ports)}."
            )
        inputs = [
            None if array is None else cast(array, dtype_for(port, array, bindings))
            for port, array in zip(ports, case.inputs, strict=True)
        ]
        present = [p.name for p, array in zip(ports, inputs, strict=True) if array is not None]
        if len(present) < len(ports):
            plugin = plugin.with_inputs(*present)
        types = ", ".join(f"{name}={dtype.name}" for name, dtype in bindings.items())
        label = f"case '{case.name}'" + (f" with {types}" if types else "")
        arrays = [array for array in inputs if array is not None]
        typed = Case(case.name, inputs, case.attributes)
        return PluginCall(plugin, arrays, label, typed, case, self._references)
