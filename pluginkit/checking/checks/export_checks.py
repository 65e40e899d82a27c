"""Check that a plugin can be exported: its C++ makes the same launches as its class."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pluginkit.checking.check import check
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.contract import calls
from pluginkit.errors import ExportError, MissingDependencyError
from pluginkit.quantities import counted

if TYPE_CHECKING:
    from pluginkit.export.compile.compiler import Compiler
    from pluginkit.export.prove.compare import Proof
    from pluginkit.export.trace.methods import TracedPlugin
    from pluginkit.export.variant import Variant

#: The calls of each variant that are compared; ``pluginkit export`` compares 400.
_CALLS = 40
#: The range of a dimension that varies, and how many do. With each more, the number of paths
#: through the plugin's methods, and the time that tracing takes, multiply.
_SIZES = (0, 5000)
_DYNAMIC = 2
#: A method with more paths is traced for the sizes of its case only; an export follows 2000.
_PATHS = 60
#: After this many seconds of CPU time, the other cases are traced for their own sizes only.
_SECONDS = 5.0


@check(112, needs=("cases",))
def exports(subject: Subject) -> str:
    """Every case can be exported, and its C++ makes the same launches as the Python class.

    Exports the attributes, inputs and ranks of each case, with the first two dimensions of each
    input up to 5000 if that can be traced, or else fixed to the case's sizes: the first case in
    every combination of types, every other case in the first. The generated C++ is compiled and
    called with sampled shapes; steps, arguments, workspace, output shapes and refusals must be
    equal byte for byte. The remark says how many paths through launches, from one branch on
    dimensions to the next, the calls took; ``pluginkit export`` makes ten times as many.

    Does not prove that kernels compute anything, nor that TensorRT loads the library.
    """
    from pluginkit.export.compile.compiler import find_compiler

    if "launches" not in subject.plugin_class.spec.overrides:
        raise NotRun("launches(): the plugin overrides enqueue, which cannot be exported")
    try:
        compiler = replace(find_compiler(), optimization="-O0")
    except MissingDependencyError as error:
        raise NotRun(f"a C++ compiler: {error.fix}") from error
    traced, for_sizes = _traced(subject)
    proof = _compared(traced, compiler)
    remark = f"{counted(len(traced), 'variant')}, {counted(proof.calls, 'call')}"
    if proof.paths > 1:
        remark += f" on {proof.taken} of {counted(proof.paths, 'path')} through launches"
    return f"{remark}; for the cases' sizes only: {'; '.join(for_sizes)}" if for_sizes else remark


def _traced(subject: Subject) -> tuple[list[TracedPlugin], list[str]]:
    """Return the traces of the cases, and the labels of those traced for their own sizes only."""
    from pluginkit.export.trace.methods import trace_plugin

    found: dict[object, TracedPlugin] = {}
    for_sizes = []
    started = time.process_time()
    for call in subject.calls("cover"):
        variant = _variant(call, is_dynamic=True)
        if (variant.key, variant.plugin.tactic) in found:
            continue
        try:
            if time.process_time() - started > _SECONDS:
                raise ExportError("PK801", "the time of the check is over.")
            traced = trace_plugin(variant, _PATHS)
        except ExportError as error:
            try:
                traced = trace_plugin(_variant(call, is_dynamic=False))
            except ExportError as second:
                raise Failure(
                    call.label,
                    second.message,
                    "launches that can be written in C++",
                    cause="\n".join(filter(None, (second.where, second.fix))),
                    case=call.case,
                ) from second
            for_sizes.append(f"{call.label}: {error.message}")
        found[variant.key, variant.plugin.tactic] = traced
    return list(found.values()), for_sizes


def _variant(call: PluginCall, *, is_dynamic: bool) -> Variant:
    from pluginkit.export.variant import Variant

    ports = calls.present_ports(call.plugin)
    ranges = []
    for port, shape in zip(ports, call.shapes, strict=True):
        dims = call.values[port.name] if port.is_shape_input else shape
        varying = min(len(dims), _DYNAMIC) if is_dynamic else 0
        fixed = tuple((dim, dim) for dim in dims[varying:])
        ranges.append((_SIZES,) * varying + fixed)
    return Variant(call.plugin, tuple(call.dtypes), tuple(ranges))


def _compared(traced: list[TracedPlugin], compiler: Compiler) -> Proof:
    """Compare the C++ with the class."""
    from pluginkit.export.compile.library_builder import LibraryBuilder
    from pluginkit.export.generate.generate_library import generate_library
    from pluginkit.export.generate.kernel_names import named_kernels
    from pluginkit.export.prove.prove_library import prove_library

    library = generate_library(traced, ["90"], named_kernels(traced))
    try:
        with LibraryBuilder(library.files, compiler, 11) as builder:
            return prove_library(library, builder, compiler, _CALLS)
    except ExportError as error:
        raise Failure(
            error.where or "the generated C++",
            error.message,
            "what the Python class asks for",
            cause=error.cause or "",
        ) from error
