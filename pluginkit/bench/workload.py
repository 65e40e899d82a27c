"""Declare what is measured: workloads of a plugin, and peers that compute the same."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from pluginkit.contract.dtypes import ALL, DType, dtype_from_numpy
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.errors import UsageError

#: Put one execution on the stream. It returns None, or the first output, or a tuple of the first
#: outputs, if it allocates them itself.
TimedCall = Callable[[], Any]


@dataclass(frozen=True)
class Workload:
    """One call of a plugin, of a size worth measuring.

    Attributes:
        case: what the shapes are called.
        variant: what tells it from others of the case, such as the reduction.
        plugin: the plugin with its attributes.
        dtypes: one for each input; the first one gives the workload's type its name.
        arrays: makes the inputs from a module, cupy or numpy, and a seed; they are cast to
            ``dtypes``.
        sample: cuts from every input and output a smaller problem, which is compared
            with the reference; a mapping cuts those that it names, each in its own way.
        compulsory_bytes: what must be moved; all inputs and outputs once unless given.
        most_sets: how many sets of buffers rotate at most, for work that takes long beside what it
            moves; else 64.
    """

    case: str
    variant: str
    plugin: Plugin
    dtypes: tuple[DType, ...]
    arrays: Callable[[Any, int], Sequence[Any]]
    sample: tuple[slice, ...] | Mapping[str, tuple[slice, ...]] = ()
    compulsory_bytes: int | None = None
    most_sets: int | None = None


class NotOffered(Exception):  # noqa: N818  # an answer, not an error
    """A peer does not offer what a workload asks for; the message says what is missing."""


@dataclass(frozen=True)
class Peer:
    """Another implementation of a plugin.

    Attributes:
        name: as tables show it.
        bind: from the plugin, its inputs and its outputs to a call. It raises NotOffered where it
            cannot. The call works on the stream of the tensors, and either writes the outputs or
            returns new contiguous arrays for the first of them; the others are then not compared.
    """

    name: str
    bind: Callable[[Plugin, Sequence[DeviceTensor], Sequence[DeviceTensor]], TimedCall]


@dataclass(frozen=True)
class BenchFile:
    """The declarations in a file of benchmarks.

    Attributes:
        workloads: its function ``workloads()``, where it has one.
        peers: its ``PEERS``.
    """

    workloads: Callable[[], Iterable[Workload]] | None
    peers: tuple[Peer, ...]


def load_bench_file(path: Path) -> BenchFile:
    """Execute a Python file that declares ``PEERS``, ``workloads()`` or both.

    It may import modules from its folder, as a script can, unless others have their names.

    Errors:
        PK700: there is no such file, it cannot be executed, or it declares neither.
    """
    problem: str
    cause: Exception | None = None
    try:
        spec = importlib.util.spec_from_file_location(f"_pluginkit_bench_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ImportError("it is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses and Triton look names up
        with _modules_of_folder(path):
            spec.loader.exec_module(module)
    except Exception as error:  # the file may raise anything
        problem, cause = f"cannot be executed: {type(error).__name__}: {error}", error
    else:
        workloads, peers = getattr(module, "workloads", None), getattr(module, "PEERS", ())
        if workloads or peers:
            return BenchFile(workloads, tuple(peers))
        problem = "declares neither PEERS nor workloads()"
    raise UsageError(
        "PK700",
        f"benchmark file '{path.name}' {problem}.",
        where=str(path),
        fix="write PEERS = (Peer('name', bind), ...), and workloads() for inputs of your own.",
    ) from cause


@contextmanager
def _modules_of_folder(path: Path) -> Iterator[None]:
    folder = str(path.absolute().parent)
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def workloads_from_cases(
    plugin_class: type[Plugin], dtypes: Sequence[DType] = ()
) -> list[Workload]:
    """Return the plugin's own cases as workloads, in their types or in ``dtypes``."""
    found = []
    for case in plugin_class.cases():
        arrays = [array for array in case.inputs if array is not None]
        if any(prod(array.shape) == 0 for array in arrays):
            continue  # nothing to measure
        ports = [
            port
            for port, array in zip(plugin_class.spec.inputs, case.inputs, strict=True)
            if array is not None
        ]
        plugin = plugin_class(**case.attributes)
        if plugin_class.spec.has_optional_inputs:
            plugin = plugin.with_inputs(*(port.name for port in ports))
        own = [dtype_from_numpy(array.dtype) for array in arrays]
        first = ports[0].variable
        for dtype in dtypes or (own[0],):
            cast = [
                dtype if port.variable == first is not None or at == 0 else given
                for at, (port, given) in enumerate(zip(ports, own, strict=True))
            ]
            variant = " ".join(f"{name}={value}" for name, value in case.attributes.items())
            found.append(Workload(case.name, variant, plugin, tuple(cast), _uploaded(arrays)))
    return found


def _uploaded(arrays: Sequence[Any]) -> Callable[[Any, int], Sequence[Any]]:
    return lambda xp, seed: [xp.asarray(array) for array in arrays]


def select(
    workloads: Iterable[Workload], cases: Sequence[str], dtypes: Sequence[DType]
) -> list[Workload]:
    """Return the workloads of these cases and types; an empty sequence means all.

    Errors:
        PK701: there is no such case, or none with such a type.
    """
    listed = list(workloads)
    for what, wanted, there in (
        ("case", cases, {workload.case for workload in listed}),
        ("dtype", [d.name for d in dtypes], {workload.dtypes[0].name for workload in listed}),
    ):
        unknown = sorted(set(wanted) - there)
        if unknown:
            raise UsageError(
                "PK701",
                f"there is no workload of {what} '{unknown[0]}'; "
                f"expected one of {', '.join(sorted(there)) or 'none: the plugin has no cases'}.",
            )
    return [
        workload
        for workload in listed
        if (not cases or workload.case in cases) and (not dtypes or workload.dtypes[0] in dtypes)
    ]


def dtypes_from_names(names: Sequence[str]) -> list[DType]:
    """Return dtypes by their names.

    Errors:
        PK701: there is no such type.
    """
    known = {dtype.name: dtype for dtype in ALL}
    for name in names:
        if name not in known:
            raise UsageError(
                "PK701", f"dtype '{name}' does not exist; expected one of {', '.join(known)}."
            )
    return [known[name] for name in names]
