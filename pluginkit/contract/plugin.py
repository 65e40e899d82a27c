"""The base class of every plugin, which tells an author all there is to declare."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from sys import intern
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

from pluginkit.contract.attributes import WireValue, attribute
from pluginkit.contract.declared_shapes import result_shapes
from pluginkit.contract.dims import Dim
from pluginkit.contract.dtypes import DType
from pluginkit.contract.launches import Step
from pluginkit.contract.spec import (
    PRESENT_INPUTS,
    OnnxOp,
    PluginKey,
    PluginSpec,
)
from pluginkit.contract.spec_from_class import spec_from_class
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.errors import AttributeValueError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Case:
    """One sample call of a plugin, for checks and benchmarks.

    Attributes:
        name: a short name, unique among the plugin's cases.
        inputs: one array for each declared input, None for an optional input that is left out.
        attributes: the constructor's arguments.
    """

    name: str
    inputs: Sequence[npt.NDArray[Any] | None]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(attribute,))
class Plugin:
    """A TensorRT plugin: declare it, give it a shape function, a kernel and a numpy reference.

    A subclass declares its interface as class members. Each method below gets one argument for each
    declared input, named like the input; None for an optional input that is absent::

        class Scale(Plugin):
            '''y = factor * x'''

            types = {"T": (float32, float16)}
            factor: float = attribute(default=1.0)
            x = Input("T")
            y = Output("T", like="x")
            kernel = CudaKernel("scale.cu", "scale<{T}>")

            def launches(self, x, y):
                args = (y, x, x.size, self.factor)
                return Launch(self.kernel, grid=ceil_div(x.size, 256), block=256, args=args)

            def reference(self, x):
                return (x * self.factor).astype(x.dtype)

    Instances are immutable and hold only attribute values, which ``Scale(factor=2.0)`` validates.

    Class members:
        plugin_name: the name in TensorRT's registry, by default the class's name and ``_PK``. It
            must not be the name of an ONNX operator.
        plugin_version: by default ``"1"``.
        plugin_namespace: by default ``"pluginkit"``.
        onnx_op: the ONNX operator that the plugin implements.
        types: the type variables.
        tactics: names of several ways to compute the same result. TensorRT times them and chooses
            one (IPluginV3); ``launches`` reads ``self.tactic``. The first one is the default.
        tolerance: the largest error against the reference for each dtype, relative to
            max(1, expected); the result must be exact for a dtype that is absent.
        spec: the PluginSpec, made together with the class.

    Errors:
        PK100 to PK109 when the class is defined; PK104 for attribute values.
    """

    plugin_name: ClassVar[str] = ""
    plugin_version: ClassVar[str] = "1"
    plugin_namespace: ClassVar[str] = "pluginkit"
    onnx_op: ClassVar[OnnxOp | None] = None
    types: ClassVar[Mapping[str, tuple[DType, ...]]] = {}
    tactics: ClassVar[tuple[str, ...]] = ()
    tolerance: ClassVar[Mapping[DType, float]] = {}
    spec: ClassVar[PluginSpec]

    _present: tuple[bool, ...]
    _tactic: str

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not abstract:
            cls.spec = spec_from_class(cls)

    def __init__(self, **attributes: Any) -> None:
        owner = type(self).__name__
        unknown = sorted(set(attributes) - {spec.name for spec in self.spec.attributes})
        if unknown:
            declared = ", ".join(spec.name for spec in self.spec.attributes) or "none"
            raise AttributeValueError(
                "PK108", f"{owner}: no attribute '{unknown[0]}'; expected one of: {declared}."
            )
        for spec in self.spec.attributes:
            value = attributes.get(spec.name, spec.default)
            if value is spec.default and spec.is_required:
                raise AttributeValueError(
                    "PK109",
                    f"{owner}: attribute '{spec.name}' is missing; expected {spec.type_name}.",
                )
            object.__setattr__(self, spec.name, spec.validate(owner, value))
        object.__setattr__(self, "_present", (True,) * len(self.spec.inputs))
        object.__setattr__(self, "_tactic", next(iter(self.spec.tactics), ""))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{type(self).__name__} is immutable; make a new one instead of setting '{name}'"
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.attribute_values.items())
        return f"{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._wire_text == other._wire_text

    def __hash__(self) -> int:
        return hash(self._wire_text)

    @cached_property
    def _wire_text(self) -> str:
        return intern(repr((type(self), self.to_wire())))

    @property
    def attribute_values(self) -> dict[str, Any]:
        """Every attribute with its value, in declaration order."""
        return {spec.name: getattr(self, spec.name) for spec in self.spec.attributes}

    @property
    def present(self) -> tuple[bool, ...]:
        """For each declared input, whether this plugin's node has it."""
        return self._present

    @property
    def tactic(self) -> str:
        """The tactic to use, one of ``tactics``; "" if none are declared."""
        return self._tactic

    def with_tactic(self, tactic: str) -> Self:
        """Return the same plugin with another tactic.

        Errors:
            PK110: it is not declared.
        """
        if tactic not in self.spec.tactics:
            raise UsageError(
                "PK110",
                f"{type(self).__name__} has no tactic '{tactic}'; "
                f"expected one of {list(self.spec.tactics)}.",
            )
        return self._changed("_tactic", tactic)

    def _changed(self, member: str, value: object) -> Self:
        other = copy.copy(self)
        other.__dict__.pop("_wire_text", None)
        object.__setattr__(other, member, value)
        return other

    def with_inputs(self, *names: str) -> Self:
        """Return the same plugin for a node that has only these inputs.

        Errors:
            PK110: a name is not declared, or a required input is left out.
        """
        declared = [port.name for port in self.spec.inputs]
        for name in names:
            if name not in declared:
                raise UsageError(
                    "PK110",
                    f"{type(self).__name__} has no input '{name}'; expected names from {declared}.",
                )
        for port in self.spec.inputs:
            if not port.optional and port.name not in names:
                raise UsageError(
                    "PK110", f"{type(self).__name__}: required input '{port.name}' is absent."
                )
        return self._changed("_present", tuple(name in names for name in declared))

    def to_wire(self) -> dict[str, WireValue]:
        """Return the attributes and the names of the present inputs in wire form.

        An attribute that is None is left out. :mod:`pluginkit.contract.attributes` explains the
        form.
        """
        wire = {
            spec.name: spec.to_wire(getattr(self, spec.name))
            for spec in self.spec.attributes
            if getattr(self, spec.name) is not None
        }
        if self.spec.has_optional_inputs:
            ports = zip(self.spec.inputs, self._present, strict=True)
            wire[PRESENT_INPUTS] = ",".join(port.name for port, present in ports if present)
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any], where: str | None = None) -> Self:
        """Return the plugin whose ``to_wire`` is ``wire``; a missing attribute has its default.

        Errors:
            PK104, PK109: a value is wrong or missing.
        """
        owner = cls.__name__
        values = {
            spec.name: spec.from_wire(owner, wire[spec.name], where)
            for spec in cls.spec.attributes
            if spec.name in wire
        }
        plugin = cls(**values)
        inputs = wire.get(PRESENT_INPUTS)
        return plugin if inputs is None else plugin.with_inputs(*str(inputs).split(","))

    # The methods that an author defines. Each has one parameter for each input: a TensorDesc (an
    # array in reference), or None for an absent input. The bodies below are the defaults.

    def check(self, *inputs: Any, **named: Any) -> None:
        """Raise an :class:`InputError`, or a plain ValueError, for inputs that can never work.

        Called with symbolic shapes while the model is parsed, and again once shapes are known. The
        first call ends where the method asks for the value of an unknown dimension.
        """

    def output_types(self, *inputs: Any, **named: Any) -> Sequence[DType] | DType:
        """Return the outputs' dtypes, if type variables cannot express them.

        Raise an :class:`InputError` for dtypes that these attribute values rule out.
        """
        raise NotImplementedError

    def output_shapes(self, *inputs: Any, **named: Any) -> Sequence[Dim] | Sequence[Sequence[Dim]]:
        """Return the outputs' shapes: one shape, or a sequence with one for each output.

        Size outputs are left out. A class whose outputs all have a ``shape``, or are ``like`` an
        input, needs no method.
        """
        results = [(port.shape, port.like) for port in self.spec.results]
        return result_shapes([port.shape for port in self.spec.inputs], inputs, results)

    def workspace_bytes(self, *inputs: Any, **named: Any) -> Dim:
        """Return the scratch memory in bytes; TensorRT asks for the profile's largest inputs."""
        return 0

    def workspace_bound(self, *inputs: Any, **named: Any) -> Dim:
        """Return at least ``workspace_bytes``, of symbolic shapes, for nodes in an If or Loop."""
        return self.workspace_bytes(*inputs, **named)

    def launches(self, *tensors: Any, **named: Any) -> Step | Sequence[Step]:
        """Return the steps of one enqueue.

        The arguments are the inputs, the outputs and, if the class defines ``workspace_bytes``, the
        workspace. Called once for each shape. TensorRT's stream runs the steps in order.
        """
        raise NotImplementedError

    def enqueue(
        self,
        inputs: Sequence[DeviceTensor | None],
        outputs: Sequence[DeviceTensor],
        workspace: int,
        stream: int,
    ) -> None:
        """Do the work on ``stream``, in place of ``launches``; shape inputs are left out."""
        raise NotImplementedError

    def reference(self, *inputs: Any, **named: Any) -> Any:
        """Return the outputs in numpy: an array, or a sequence with one for each output.

        Size outputs are left out: they follow from the other outputs' shapes.
        """
        raise NotImplementedError

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Return sample calls for checks and benchmarks."""
        return ()


#: Plugin classes by their key in the plugin registry.
Plugins = Mapping[PluginKey, type[Plugin]]
