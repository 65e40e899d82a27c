"""Specialise a kernel for types and attributes: a C++ name expression, or a numba signature.

A specialisation holds everything that a compiler needs, and is the key of the compiled result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType
from pluginkit.contract.launches import CudaKernel, KernelConstant, Launch, NumbaKernel
from pluginkit.contract.tensors import TensorDesc
from pluginkit.errors import KernelError
from pluginkit.kernels.arguments import ArgumentType, argument_types

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin


@dataclass(frozen=True)
class CudaSpecialisation:
    """CUDA C++ source and the function in it.

    Attributes:
        code: the source text.
        expression: the C++ name expression, ``"scale<float>"``.
        options: the NVRTC options that the author added.
        folder: the source file's folder, which may hold headers; None for inline source.
        file: what compilers and findings call the source: the author's file.
        line: the line of the file on which the source begins.
        overlaps: whether it may begin before the launch that precedes it has ended.
    """

    code: str
    expression: str
    options: tuple[str, ...]
    folder: Path | None
    file: str = "kernel.cu"
    line: int = 1
    overlaps: bool = False

    def __str__(self) -> str:
        return self.expression


@dataclass(frozen=True)
class NumbaSpecialisation:
    """A Python function in a file, and the types of its arguments."""

    path: Path
    name: str
    types: tuple[ArgumentType, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.types))})"


Specialisation = CudaSpecialisation | NumbaSpecialisation


def type_bindings(
    plugin: Plugin, inputs: calls.Inputs, outputs: Sequence[TensorDesc]
) -> dict[str, DType]:
    """Return the dtype of each type variable that an input or an output binds."""
    bound = {
        port.variable: desc.dtype
        for port, desc in zip(plugin.spec.outputs, outputs, strict=True)
        if port.variable is not None
    }
    bound.update(calls.type_bindings(plugin, inputs))
    return bound


def specialise(plugin: Plugin, bindings: Mapping[str, DType], launch: Launch) -> Specialisation:
    """Return what one launch needs compiled.

    Errors:
        PK300, PK301: as for :func:`name_expression`.  PK302, PK303: of a numba kernel.
    """
    kernel = launch.kernel
    if isinstance(kernel, CudaKernel):
        return cuda_specialisation(
            kernel, name_expression(kernel, plugin, bindings, launch.constants)
        )
    path = located(_name(plugin), kernel)
    return NumbaSpecialisation(path, kernel.name, argument_types(kernel.name, launch.args))


def cuda_specialisation(kernel: CudaKernel, expression: str) -> CudaSpecialisation:
    """Return the kernel's definitions and source with one of its name expressions."""
    code, folder = kernel.code, kernel.path.parent if kernel.path else None
    if kernel.defines:
        name = kernel.path.name if kernel.path else "kernel.cu"
        code = (
            f'{kernel.definitions()}#line 1 "{name}"\n{code}'  # so the log counts the file's lines
        )
    if digest := kernel.headers_digest:
        # Caches of compiled code compare the source text, so headers must change it.
        code += f"\n// headers {digest}\n"
    return CudaSpecialisation(
        code, expression, kernel.options, folder, *kernel.origin, kernel.overlaps
    )


def name_expression(
    kernel: CudaKernel,
    plugin: Plugin,
    bindings: Mapping[str, DType],
    constants: Mapping[str, KernelConstant],
) -> str:
    """Return the C++ name expression of a kernel for one plugin, its types and the constants.

    Errors:
        PK300: a name in braces has no C++ form: an unknown type, a float or an array.
        PK301: ``constants`` differ from those that the kernel declares.
    """
    _check_constants(kernel, plugin, constants)
    values: dict[str, str] = {}
    for name in kernel.placeholders:
        if name in constants:
            values[name] = _cpp(plugin, name, constants[name])
        elif name in bindings:
            values[name] = bindings[name].cpp
        elif name in plugin.spec.types:
            raise KernelError(
                "PK300",
                f"{_name(plugin)}: kernel '{kernel.name}' needs the type '{name}', "
                "whose inputs are all absent.",
                fix="launch another kernel when the optional input is absent.",
            )
        else:
            values[name] = _cpp(plugin, name, getattr(plugin, name))
    return kernel.name.format_map(values)


def name_expressions(
    kernel: CudaKernel, plugin: Plugin, bindings: Mapping[str, DType]
) -> list[str]:
    """Return the kernel's name expressions for every choice of its constants."""
    return [
        name_expression(kernel, plugin, bindings, constants)
        for constants in kernel.constant_choices()
    ]


def _check_constants(
    kernel: CudaKernel, plugin: Plugin, constants: Mapping[str, KernelConstant]
) -> None:
    if constants.keys() != kernel.constants.keys():
        raise KernelError(
            "PK301",
            f"{_name(plugin)}: launch of '{kernel.name}' gives the constants {sorted(constants)}; "
            f"expected {sorted(kernel.constants)}.",
        )
    for name, value in constants.items():
        if value not in kernel.constants[name]:
            raise KernelError(
                "PK301",
                f"{_name(plugin)}: launch of '{kernel.name}' sets {name}={value!r}; "
                f"expected one of {list(kernel.constants[name])}.",
                fix="add the value to the kernel's constants: all of them are tested.",
            )


def _cpp(plugin: Plugin, name: str, value: Any) -> str:
    """Return an int, bool, str or tuple as C++ template arguments; a str is a C++ name."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, tuple):
        return ", ".join(_cpp(plugin, name, item) for item in value)
    raise KernelError(
        "PK300",
        f"{_name(plugin)}: attribute '{name}' is a {type(value).__name__}; "
        "expected int, bool or str, as a template argument.",
        fix="pass it in Launch.args instead.",
    )


def located(owner: str, kernel: NumbaKernel) -> Path:
    """Return the path of a numba kernel's source.

    Errors:
        PK302: the kernel is no member of a plugin class, whose folder would have the source.
    """
    if kernel.path is None:
        raise KernelError(
            "PK302",
            f"{owner}: numba kernel '{kernel.name}' is no member of a plugin class.",
            fix="make it a class attribute: kernel = NumbaKernel(...).",
        )
    return kernel.path


def _name(plugin: Plugin) -> str:
    return type(plugin).__name__
