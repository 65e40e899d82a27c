"""Generate the files of a library: C++, kernels, and the assembly that embeds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pluginkit.contract.plugin import Plugin
from pluginkit.export.generate.cpp_names import function_name
from pluginkit.export.generate.kernels import KernelModule, compile_modules
from pluginkit.export.generate.program_code import ProgramWriter
from pluginkit.export.trace.methods import TracedPlugin
from pluginkit.kernels.specialise import Specialisation

#: Files next to this module that are the same in every library.
_SHARED = ("variants.h", "variants.cpp")


@dataclass(frozen=True)
class GeneratedLibrary:
    """The files of a library, without the runtime.

    Attributes:
        files: the content of each file, by its path in the library's source folder.
        traced: the traced variants of all plugins and tactics.
        code: for each variant the names of its C++ functions; variants with equal code share them.
        modules: the compiled kernels.
    """

    files: Mapping[str, bytes]
    traced: tuple[TracedPlugin, ...]
    code: tuple[tuple[str, ...], ...]
    modules: tuple[KernelModule, ...]

    @property
    def kernel_bytes(self) -> int:
        """The size of all machine code and PTX in bytes."""
        return sum(len(image.data) for module in self.modules for image in module.images)

    @property
    def symbols(self) -> dict[Specialisation, str]:
        """Return the name of each kernel in its module."""
        return {
            kernel: symbol
            for module in self.modules
            for kernel, symbol in zip(module.kernels, module.symbols, strict=True)
        }


def generate_library(
    traced: Sequence[TracedPlugin],
    capabilities: Sequence[str],
    compile_kernels: Callable[..., tuple[KernelModule, ...]] = compile_modules,
) -> GeneratedLibrary:
    """Compile the kernels of traced plugins and write their C++.

    Args:
        traced: the traced variants of the plugins, with all tactics.
        capabilities: the compute capabilities to compile for, without dots, in ascending order.
        compile_kernels: compiles the kernels of a plugin, as ``compile_modules`` does.

    Errors:
        PK310, PK320 to PK322: a kernel cannot be compiled.
    """
    by_class: dict[type[Plugin], list[TracedPlugin]] = {}
    for one in traced:
        by_class.setdefault(type(one.variant.plugin), []).append(one)
    files: dict[str, bytes] = {}
    embedded: list[tuple[str, str]] = []
    compiled: list[KernelModule] = []
    code: list[tuple[str, ...]] = []
    for variants in by_class.values():
        writer = ProgramWriter(variants)
        name = variants[0].variant.plugin.spec.name
        modules = compile_kernels(name, writer.kernels, capabilities)
        symbols = _embed(modules, files, embedded)
        files[f"{name}.cpp"] = writer.source(modules, symbols).encode()
        compiled += modules
        code += [(name, *functions) for functions in writer.functions]
    folder = Path(__file__).parent
    for name in _SHARED:
        files[name] = (folder / name).read_bytes()
    files["kernels.S"] = _assembly(embedded).encode()
    files["programs.cpp"] = _programs([cls.spec.name for cls in by_class]).encode()
    every = tuple(one for variants in by_class.values() for one in variants)
    return GeneratedLibrary(files, every, tuple(code), tuple(compiled))


def _embed(
    modules: Sequence[KernelModule], files: dict[str, bytes], embedded: list[tuple[str, str]]
) -> list[str]:
    symbols = []
    for module in modules:
        for image in module.images:
            symbols.append(f"pluginkit_image_{len(embedded)}")
            files[f"kernels/{image.file}"] = image.data
            embedded.append((symbols[-1], f"kernels/{image.file}"))
    return symbols


def _assembly(embedded: Sequence[tuple[str, str]]) -> str:
    lines = [
        "# The machine code of the kernels: made by pluginkit. Do not edit.",
        ".section .rodata",
    ]
    for symbol, file in embedded:
        lines += [
            f".global {symbol}",
            f".hidden {symbol}",
            ".balign 64",
            f"{symbol}:",
            f'.incbin "{file}"',
        ]
    return "\n".join([*lines, '.section .note.GNU-stack,"",%progbits', ""])


def _programs(names: Sequence[str]) -> str:
    constants = [function_name(name) for name in names]
    declared = "\n".join(f"extern const Program {name};" for name in constants)
    listed = ", ".join(f"&{name}" for name in constants)
    return (
        "// The plugins of this library: made by pluginkit. Do not edit.\n"
        '#include "program.h"\n\n'
        "namespace pluginkit {\n\n"
        f"{declared}\n\n"
        f"extern const Program* const kPrograms[] = {{{listed}}};\n"
        f"extern const std::size_t kProgramCount = {len(constants)};\n\n"
        "}  // namespace pluginkit\n"
    )
