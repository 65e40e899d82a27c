"""Inputs and outputs that a Plugin class declares, and the frozen PluginSpec made from the class.

Adapters, rewrites, documentation and tests read the spec. It needs no TensorRT, ONNX or GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

from pluginkit.contract.attributes import AttributeSpec
from pluginkit.contract.declared_shapes import DeclaredShape, ShapeItem
from pluginkit.contract.dims import Dim, SizeDim
from pluginkit.contract.dtypes import DType, int32, int64
from pluginkit.contract.launches import Kernel
from pluginkit.contract.tensors import Slot

#: What identifies a plugin in TensorRT's registry: plugin_name, plugin_version, plugin_namespace.
PluginKey = tuple[str, str, str]
TypeConstraint = str | DType | tuple[DType, ...]

#: The field that names the inputs of a node, for a plugin that has optional ones.
PRESENT_INPUTS = "pluginkit_inputs"
#: The field in which a plan keeps the output shapes and workspace sizes that the plugin gave.
RECORDED_SIZES = "pluginkit_recorded_sizes"
#: Names that TensorRT and pluginkit use on the ONNX node of every plugin.
RESERVED_ATTRIBUTES = frozenset(
    {
        "plugin_version",
        "plugin_namespace",
        "tensorrt_plugin_shape_input_indices",
        PRESENT_INPUTS,
        RECORDED_SIZES,
    }
)
#: TensorRT allows 8 dimensions.
MAX_RANK = 8


@dataclass(frozen=True)
class Input:
    """An input of a plugin.

    Args:
        types: a type variable declared in ``types``, one dtype, or a tuple of dtypes.
        shape: a size or a name for each dimension, ``("N", 4)``: dimensions of one name are equal.
            ``None`` is a dimension of any size, ``...`` any number of dimensions, and ``"*S"`` any
            number of them that are the same in every input that has ``"*S"``.
        optional: whether the ONNX node may leave it out; the plugin's methods then get None.
        ranks: the lowest and the highest allowed rank, where the shape does not fix it.
        doc: one line of documentation.
        scale: the float attribute that a quantized model sets to what one step of int8 is worth: a
            number q of the input then stands for q * scale. Without it int8 means integers.
    """

    types: TypeConstraint
    shape: tuple[ShapeItem, ...] | None = None
    optional: bool = False
    ranks: tuple[int, int] = (0, MAX_RANK)
    doc: str = ""
    scale: str = ""


@dataclass(frozen=True)
class ShapeInput:
    """An input whose values decide output shapes: TensorRT's shape tensor, kept on the host.

    ``output_shapes`` reads its ``values``, which are dimensions like those of a shape. Each value
    must by itself be a dimension of an output: at run time TensorRT tells plugins the output
    shapes and not the values. A kernel never sees the tensor. Needs IPluginV3.

    Args:
        length: the number of values; the tensor is 1-D.
        types: int64, int32 or both.
        doc: one line of documentation.
    """

    length: int = 1
    types: TypeConstraint = int64
    doc: str = ""


@dataclass(frozen=True)
class Output:
    """An output of a plugin.

    Args:
        types: as for :class:`Input`.
        shape: sizes, and names of dimensions of required inputs, ``("N", "M", 2)``. A class in
            which every output has a ``shape`` or is ``like`` an input needs no ``output_shapes``.
        like: the required input whose shape the output has.
        aliases: the input whose memory the output takes over if TensorRT offers aliased I/O
            (IPluginV3 only). Otherwise the output gets separate memory, so kernels must work both
            ways. The output has the input's type and shape. A build must enable TensorRT's preview
            feature ALIASED_PLUGIN_IO_10_03; ``pluginkit build`` does.
        doc: one line of documentation.
        scale: as for :class:`Input`; inputs and outputs of one attribute have one scale.
    """

    types: TypeConstraint
    shape: tuple[ShapeItem, ...] | None = None
    like: str = ""
    aliases: str = ""
    doc: str = ""
    scale: str = ""


@dataclass(frozen=True)
class SizeOutput:
    """A 0-D output to which kernels write a dimension of other outputs: TensorRT's size tensor.

    ``output_shapes`` uses it as a dimension, ``(2, self.count.up_to(x.size))``, and returns no
    shape for the size itself. ``launches`` sees the upper bound in such a dimension; kernels write
    outputs densely for the dimension that they find. Needs IPluginV3.

    Args:
        types: int32 or int64.
        doc: one line of documentation.
    """

    types: TypeConstraint = int32
    doc: str = ""
    name: str = field(default="", init=False)

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)

    def up_to(self, upper: Dim, opt: Dim | None = None) -> Dim:
        """Return the dimension that kernels write to this output.

        Args:
            upper: its upper bound.
            opt: the value that TensorRT tunes for; half of ``upper`` by default.
        """
        return SizeDim(self.name, upper, upper // 2 if opt is None else opt)


@dataclass(frozen=True)
class OnnxOp:
    """The ONNX operator that a plugin implements, and the first opset whose schema fits."""

    op_type: str
    since: int
    domain: str = ""


@dataclass(frozen=True)
class Port:
    """One input or output.

    Attributes:
        name: the declared name.
        variable: the type variable, or None.
        dtypes: the allowed dtypes.
        optional, ranks, doc: as declared.
        length: the number of values of a shape input; 0 for every other port.
        is_size: whether it is a size output.
        like: the input whose shape an output has, or "".
        aliases: the input whose memory an output takes over, or "".
        shape: the declared shape, or None.
        scale: the attribute that says what one step of int8 is worth, or "".
    """

    name: str
    variable: str | None
    dtypes: tuple[DType, ...]
    optional: bool
    ranks: tuple[int, int]
    doc: str
    length: int = 0
    is_size: bool = False
    like: str = ""
    aliases: str = ""
    shape: DeclaredShape | None = None
    scale: str = ""

    @property
    def has_shape(self) -> bool:
        """Whether the declaration says which shape an output has."""
        return bool(self.like) or self.shape is not None

    @cached_property
    def is_shape_input(self) -> bool:
        """Whether it is a shape input, whose values the host reads and kernels never see."""
        return self.length > 0

    @cached_property
    def is_on_device(self) -> bool:
        """Whether kernels get a pointer to it: true of every port but shape inputs."""
        return not self.is_shape_input


@dataclass(frozen=True)
class PluginSpec:
    """Everything that a Plugin class declares.

    Attributes:
        name: the class's name.
        plugin_name, plugin_version, plugin_namespace: the key in TensorRT's plugin registry.
        attributes, inputs, outputs: in declaration order, size outputs last.
        types: each type variable with its dtypes.
        kernels: each declared kernel by its name on the class.
        onnx_op: the ONNX operator that it implements, or None.
        tactics: names of the ways to compute it, of which TensorRT may choose one.
        overrides: the names of the optional methods that the class defines.
        doc: the class's docstring.
        module: the module that defines it.
    """

    name: str
    plugin_name: str
    plugin_version: str
    plugin_namespace: str
    attributes: tuple[AttributeSpec, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    types: Mapping[str, tuple[DType, ...]]
    kernels: Mapping[str, Kernel]
    onnx_op: OnnxOp | None
    tactics: tuple[str, ...]
    overrides: frozenset[str]
    doc: str
    module: str

    @property
    def key(self) -> PluginKey:
        """The key in the plugin registry: name, version, namespace."""
        return self.plugin_name, self.plugin_version, self.plugin_namespace

    @cached_property
    def has_optional_inputs(self) -> bool:
        """Whether any input may be left out."""
        return any(port.optional for port in self.inputs)

    @cached_property
    def has_shape_inputs(self) -> bool:
        """Whether any input is a shape tensor."""
        return any(port.is_shape_input for port in self.inputs)

    @cached_property
    def has_aliases(self) -> bool:
        """Whether any output takes over an input's memory."""
        return any(port.aliases for port in self.outputs)

    @cached_property
    def results(self) -> tuple[Port, ...]:
        """The outputs without the size outputs."""
        return tuple(port for port in self.outputs if not port.is_size)

    @cached_property
    def sizes(self) -> tuple[Port, ...]:
        """The size outputs."""
        return tuple(port for port in self.outputs if port.is_size)

    @property
    def needs_v3(self) -> str | None:
        """Why IPluginV2DynamicExt cannot express the plugin, or None if it can."""
        if self.sizes:
            return f"output '{self.sizes[0].name}' makes a shape depend on data"
        shape = next((port.name for port in self.inputs if port.is_shape_input), None)
        return f"'{shape}' is a shape input" if shape is not None else None

    @cached_property
    def has_declared_shapes(self) -> bool:
        """Whether any input declares its shape."""
        return any(port.shape is not None for port in self.inputs)

    @cached_property
    def right_calls(self) -> dict[tuple[object, ...], tuple[tuple[Port, DType, Slot], ...]]:
        """The inputs of calls whose types and ranks were found to be right, in this process."""
        return {}

    @cached_property
    def _ports(self) -> dict[tuple[bool, ...], tuple[Port, ...]]:
        return {}

    def present_ports(self, present: tuple[bool, ...]) -> tuple[Port, ...]:
        """Return the inputs that a node has, given for each declared one whether it has it."""
        found = self._ports.get(present)
        if found is None:
            pairs = zip(self.inputs, present, strict=True)
            found = self._ports[present] = tuple(port for port, is_there in pairs if is_there)
        return found

    def attribute(self, name: str) -> AttributeSpec:
        """Return the attribute called ``name``; raise KeyError if there is none."""
        for spec in self.attributes:
            if spec.name == name:
                return spec
        raise KeyError(name)

    def type_bindings(self) -> Iterator[dict[str, DType]]:
        """Yield every assignment of dtypes to the type variables, in declaration order."""
        names = list(self.types)
        for combination in product(*self.types.values()):
            yield dict(zip(names, combination, strict=True))
