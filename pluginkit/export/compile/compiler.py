"""Find the C++ compiler, and run it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pluginkit.errors import ExportError, MissingDependencyError

#: The cross compilers, as Debian and Ubuntu name them.
_CROSS = {"aarch64": "aarch64-linux-gnu-g++", "x86_64": "x86_64-linux-gnu-g++"}
#: No option puts paths or build ids into a library, so that equal sources give equal libraries.
_COMPILE = (
    "-std=c++17",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-DPLUGINKIT_STATIC_LIBSTDCXX",
    "-c",
)
_LINK = (
    "-shared",
    "-Wl,--build-id=none",
    "-Wl,--no-undefined",
    # Without it, two libraries in a process would share functions through weak symbols.
    f"-Wl,--version-script={Path(__file__).parent.parent / 'runtime' / 'exports.map'}",
    # The libstdc++ of the target machine may be older than the compiler's.
    "-static-libstdc++",
    "-static-libgcc",
    "-Wl,--gc-sections",
    "-Wl,-z,relro,-z,now",
    "-s",
)
_STAYS = "-Wl,-z,nodelete"


@dataclass(frozen=True)
class Compiler:
    """A g++, or a compiler with the same options.

    Attributes:
        command: the command.
        arch: the architecture that it compiles for, ``"x86_64"`` or ``"aarch64"``.
        optimization: the optimization level, ``"-O2"``.
    """

    command: str
    arch: str
    optimization: str = "-O2"

    @cached_property
    def version(self) -> str:
        """The first line of the output of ``--version``."""
        return self._run(["--version"], Path()).stdout.partition("\n")[0]

    def compile(
        self,
        folder: Path,
        source: str,
        target: Path,
        *,
        includes: Sequence[str] = (),
        definitions: Sequence[str] = (),
    ) -> None:
        """Compile one file of C++ or assembly.

        Args:
            folder: the folder of the sources, in which the compiler runs.
            source: the file, relative to the folder.
            target: the object file.
            includes: folders of headers, relative to ``folder`` or absolute.
            definitions: macros, ``NAME=1``.

        Errors:
            PK804: the source does not compile.
        """
        options = [*(f"-I{each}" for each in includes), *(f"-D{each}" for each in definitions)]
        self._checked(
            [*_COMPILE, self.optimization, *options, source, "-o", str(target.resolve())],
            folder,
            source,
        )

    def link(self, objects: Sequence[Path], target: Path, *, can_unload: bool = True) -> None:
        """Link object files to a shared library.

        Args:
            objects: in the order of linking.
            target: the library.
            can_unload: whether ``dlclose`` may unload the library.

        Errors:
            PK804: linking fails.
        """
        options = _LINK if can_unload else (*_LINK, _STAYS)
        files = [str(each.resolve()) for each in objects]
        self._checked(
            [*options, *files, "-ldl", "-o", str(target.resolve())], target.parent, target.name
        )

    def _checked(self, arguments: Sequence[str], folder: Path, subject: str) -> None:
        ended = self._run(arguments, folder)
        if ended.returncode != 0:
            raise ExportError(
                "PK804",
                f"{self.command} does not compile {subject}.",
                cause=ended.stderr,
                fix="report it, with the sources that --source writes.",
            )

    def _run(self, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603  # the compiler that the user has
            [self.command, *arguments],
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"},
            capture_output=True,
            text=True,
            check=False,
        )


def find_compiler(arch: str | None = None) -> Compiler:
    """Return the compiler for an architecture: CXX or g++ for this machine's, or a cross compiler.

    Args:
        arch: ``"x86_64"`` or ``"aarch64"``; by default this machine's.

    Errors:
        PK805: there is none.
    """
    wanted = arch or platform.machine()
    is_native = wanted == platform.machine()
    names = [os.environ.get("CXX", ""), "g++", "c++"] if is_native else [_CROSS.get(wanted, "")]
    for name in filter(None, names):
        if shutil.which(name):
            return Compiler(name, wanted)
    package = "g++" if is_native else f"g++-{wanted.replace('_', '-')}-linux-gnu"
    raise MissingDependencyError(
        "PK805",
        f"no C++ compiler for {wanted}; expected {' or '.join(filter(None, names)) or 'one'}.",
        fix=f"apt-get install {package}, or export the sources with --source and build them there.",
    )
