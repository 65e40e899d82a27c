"""What a Plugin class declares, and the frozen PluginSpec that every other part reads.

Adapters, rewrites, documentation and tests read the spec; it needs no TensorRT, ONNX or GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from pluginkit.attributes import AttributeSpec
from pluginkit.dtypes import DType
from pluginkit.kernels.declare import Kernel

TypeConstraint = str | DType | tuple[DType, ...]

#: Names that the ONNX node of every plugin uses for TensorRT and pluginkit themselves.
RESERVED_ATTRIBUTES = frozenset({"plugin_version", "plugin_namespace", "pluginkit_inputs"})
#: TensorRT allows 8 dimensions.
MAX_RANK = 8


@dataclass(frozen=True)
class Input:
    """An input of a plugin.

    Args:
        types: a type variable declared in ``types``, one dtype, or a tuple of dtypes.
        optional: whether the ONNX node may leave it out; the plugin's methods then get None for it.
        ranks: the allowed ranks, lowest and highest, both included.
        doc: one line of documentation.
    """

    types: TypeConstraint
    optional: bool = False
    ranks: tuple[int, int] = (0, MAX_RANK)
    doc: str = ""


@dataclass(frozen=True)
class Output:
    """An output of a plugin; ``types`` as for :class:`Input`."""

    types: TypeConstraint
    doc: str = ""


@dataclass(frozen=True)
class OnnxOp:
    """The ONNX operator that a plugin implements, and the first opset that it agrees with."""

    op_type: str
    since: int
    domain: str = ""


@dataclass(frozen=True)
class Port:
    """One input or output with its name and its constraint spelled out.

    Attributes:
        name: the declared name.
        variable: the type variable, or None.
        dtypes: every dtype that it may have.
        optional, ranks, doc: as declared.
    """

    name: str
    variable: str | None
    dtypes: tuple[DType, ...]
    optional: bool
    ranks: tuple[int, int]
    doc: str


@dataclass(frozen=True)
class PluginSpec:
    """Everything that a Plugin class declares.

    Attributes:
        name: the class's name.
        plugin_name, plugin_version, plugin_namespace: the key in TensorRT's plugin registry.
        attributes, inputs, outputs: in declaration order.
        types: each type variable with its dtypes.
        kernels: each declared kernel by the name it has on the class.
        onnx_op: the ONNX operator that it implements, or None.
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
    overrides: frozenset[str]
    doc: str
    module: str

    @property
    def key(self) -> tuple[str, str, str]:
        """The key in the plugin registry: name, version, namespace."""
        return self.plugin_name, self.plugin_version, self.plugin_namespace

    @property
    def has_optional_inputs(self) -> bool:
        """Whether any input may be left out."""
        return any(port.optional for port in self.inputs)

    def attribute(self, name: str) -> AttributeSpec:
        """The attribute called ``name``; KeyError when there is none."""
        for spec in self.attributes:
            if spec.name == name:
                return spec
        raise KeyError(name)

    def type_bindings(self) -> Iterator[dict[str, DType]]:
        """Every assignment of dtypes to the type variables, in declaration order."""
        names = list(self.types)
        for combination in product(*self.types.values()):
            yield dict(zip(names, combination, strict=True))
