"""Compile a generated library, and link it for ``loadLibrary`` and for plain ``dlopen``."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pluginkit.atomic_files import replace_file
from pluginkit.current_work import scratch_prefix
from pluginkit.errors import UsageError
from pluginkit.export.compile.compiler import Compiler
from pluginkit.export.parallel import in_parallel
from pluginkit.export.progress import Report, silent
from pluginkit.kernels.disk_cache import cache_folder

RUNTIME = Path(__file__).parent.parent / "runtime"

#: The layout of TensorRT's interfaces, by major version.
_MAJORS = {"8": 8, "10": 10, "11": 11, "rtx": 11}
#: The macro with which a library registers itself when plain ``dlopen`` loads it.
_SELF_REGISTER = "PLUGINKIT_SELF_REGISTER=1"
_ENTRY_POINTS = "library.cpp"
#: The size in bytes up to which generated C++ is optimised. It runs only once for each new shape,
#: and the code of a plugin with dozens of variants would take minutes to optimise and not shrink.
_OPTIMISED = 60_000


def tensorrt_major(version: str) -> int:
    """Return the layout of TensorRT's interfaces: 8, 10 or 11.

    Args:
        version: ``"8.6"``, ``"10.3"``, ``"11"`` or ``"rtx"``.

    Errors:
        PK807: exported libraries do not support this TensorRT.
    """
    first = version.partition(".")[0]
    if first not in _MAJORS or version.startswith(("8.4", "8.5")):
        raise UsageError(
            "PK807",
            f"TensorRT {version}; expected 8.6, 10.x, 11.x or rtx.",
            fix="name one of them.",
        )
    return _MAJORS[first]


class LibraryBuilder:
    """Compiles the files of a generated library once, and links them in several ways.

    Args:
        files: the files of a GeneratedLibrary.
        compiler: the compiler.
        major: the layout of TensorRT's interfaces.
        report: called with the progress.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        compiler: Compiler,
        major: int,
        report: Report = silent,
    ) -> None:
        self._compiler = compiler
        self._layout = [f"PLUGINKIT_TENSORRT_MAJOR={major}"]
        self._scratch = tempfile.TemporaryDirectory(prefix=scratch_prefix("export"))
        self._folder = Path(self._scratch.name)
        for name, content in files.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sources = [name for name in files if name.endswith((".cpp", ".S"))]
        self._objects = in_parallel(self._compile, sources, "compiling the C++", report)

    def __enter__(self) -> LibraryBuilder:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def link(
        self, target: Path, definitions: Sequence[str] = (), *, self_registering: bool = False
    ) -> None:
        """Link a library.

        Args:
            target: the file to write.
            definitions: macros of the entry points, ``PLUGINKIT_INTERFACE=2``.
            self_registering: whether it is for plain ``dlopen`` instead of ``loadLibrary``.

        Errors:
            PK804: the runtime does not compile, or linking fails.
        """
        registering = [_SELF_REGISTER] if self_registering else []
        runtime = self._runtime([*definitions, *registering])
        self._compiler.link([*self._objects, *runtime], target, can_unload=not self_registering)

    def link_probe(self, target: Path) -> None:
        """Link the library with the probe, an entry point for the comparison with Python."""
        runtime = self._runtime([])
        probe = self._compiled(["recording/probe.cpp"], [])
        self._compiler.link([*self._objects, *runtime, probe], target)

    def _compile(self, source: str) -> Path:
        target = self._folder / f"{source}.o"
        is_long = (self._folder / source).stat().st_size > _OPTIMISED
        compiler = replace(self._compiler, optimization="-O0") if is_long else self._compiler
        compiler.compile(
            self._folder,
            source,
            target,
            includes=[".", str(RUNTIME)],
            definitions=self._layout,
        )
        return target

    def _runtime(self, definitions: Sequence[str]) -> list[Path]:
        """Compile it as two files: reading the headers takes most of the time."""
        names = sorted(path.name for path in RUNTIME.glob("*.cpp") if path.name != _ENTRY_POINTS)
        jobs = [(names, []), ([_ENTRY_POINTS], definitions)]
        return in_parallel(lambda job: self._compiled(*job), jobs)

    def _compiled(self, sources: Sequence[str], definitions: Sequence[str]) -> Path:
        return compiled_runtime(
            self._compiler, sources, [*self._layout, *definitions], self._folder
        )


def _facts(compiler: Compiler) -> tuple[str, ...]:
    return compiler.command, compiler.arch, compiler.optimization, compiler.version


def compiled_runtime(
    compiler: Compiler, sources: Sequence[str], definitions: Sequence[str], scratch: Path
) -> Path:
    """Return one object file of sources of the runtime, from the cache if it was compiled before.

    Args:
        compiler: the compiler.
        sources: the sources, relative to the runtime's folder; several are compiled as one.
        definitions: macros.
        scratch: the folder to compile in; the object file stays there if the cache is read-only.

    Errors:
        PK804: a source does not compile.
    """
    digest = hashlib.sha256()
    for fact in (*_facts(compiler), *sources, *definitions):
        digest.update(fact.encode() + b"\0")
    for path in (*(RUNTIME / source for source in sources), *sorted(RUNTIME.rglob("*.h"))):
        digest.update(path.read_bytes() + b"\0")
    kept = cache_folder() / "runtime" / f"{digest.hexdigest()}.o"
    if kept.is_file():
        return kept
    target = scratch / f"{digest.hexdigest()}.o"
    folder, source = RUNTIME, sources[0]
    if len(sources) > 1:
        folder, source = scratch, f"{digest.hexdigest()}.cpp"
        (folder / source).write_text("".join(f'#include "{each}"\n' for each in sources))
    compiler.compile(folder, source, target, includes=[str(RUNTIME)], definitions=definitions)
    with suppress(OSError):
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(kept, target.read_bytes())
        return kept
    return target
