"""A small plugin that works, for its author to change: what every such example has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template

from pluginkit.scaffold.python_text import imports

#: What the texts of an example say in each language of kernels.
_LANGUAGES = {
    "cuda": {
        "language": "CUDA C++",
        "types": "float32 | float16 | bfloat16",
        "types_expression": "FLOAT_TYPES",
        "declared": "CudaKernel",
        "of_T": "<{T}>",
    },
    "numba": {
        "language": "numba.cuda",
        "types": "float32 | float16",
        "types_expression": "(float32, float16)",
        "declared": "NumbaKernel",
        "of_T": "",
    },
}
_IMPORTED = {"cuda": ("CudaKernel", "FLOAT_TYPES"), "numba": ("NumbaKernel", "float16", "float32")}


@dataclass(frozen=True)
class Example:
    """The texts of one example, with ``$name``, ``$module`` and the words of the kernel's language.

    Attributes:
        module: the plugin's module.
        cuda, numba: the kernel's file.
        test: what the test has beside the checks.
        imported: what the module imports from pluginkit, beside kernel and types.
        words: what else differs, by language.
        also_imported: what else is imported from pluginkit, by language.
    """

    module: Template
    cuda: Template
    numba: Template
    test: Template
    imported: tuple[str, ...]
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    also_imported: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def module_text(self, name: str, module: str, kernel: str) -> str:
        """The plugin's module."""
        names = (*self.imported, *_IMPORTED[kernel], *self.also_imported.get(kernel, ()))
        return self.module.substitute(
            name=name,
            module=module,
            file=kernel_file(module, kernel),
            imports=imports("pluginkit", names),
            **_LANGUAGES[kernel],
            **self.words.get(kernel, {}),
        )

    def kernel_text(self, name: str, module: str, kernel: str) -> str:
        """The kernel's file."""
        return (self.cuda if kernel == "cuda" else self.numba).substitute(name=name, module=module)

    def test_text(self, name: str) -> str:
        """What the test has beside the checks."""
        return self.test.substitute(name=name)


def kernel_file(module: str, kernel: str) -> str:
    """The name of the kernel's file."""
    return f"{module}.cu" if kernel == "cuda" else "kernel.py"
