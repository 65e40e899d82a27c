"""Check kernels without a GPU: their launches and their compilation."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from math import prod

from pluginkit.checking.author_line import root_of
from pluginkit.checking.check import check
from pluginkit.checking.checks.shape_checks import resized
from pluginkit.checking.large_sizes import large_sizes
from pluginkit.checking.outcomes import Failure, NotRun, outcome_of
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.contract import calls
from pluginkit.contract.launches import Launch, Step
from pluginkit.contract.tensors import TensorDesc, Workspace
from pluginkit.errors import PluginkitError
from pluginkit.kernels.specialise import (
    CudaSpecialisation,
    NumbaSpecialisation,
    Specialisation,
    specialise,
    type_bindings,
)
from pluginkit.quantities import counted

Wanted = tuple[PluginCall, Launch, Specialisation]


@check(105, needs=("cases",))
def launches(subject: Subject) -> str:
    """``launches`` gives valid steps for every case, type and size, and they reach every output.

    Arguments stay inside their buffers, grids and blocks inside CUDA's limits, every output that
    has elements is an argument of some step, and no step writes to an input. Steps are valid, too,
    as each dimension grows to the largest size that the class takes and a tensor has.

    Says which inputs no step reads. Does not prove what kernels do with their arguments, nor
    anything about several large dimensions at once.
    """
    if "launches" not in subject.plugin_class.spec.overrides:
        raise NotRun("launches(): the plugin overrides enqueue")
    count = 0
    given, taken = dict[str, None](), set[str | None]()
    for call in subject.calls("cover"):
        for sized in resized(call):
            inputs = sized.describe()
            outputs = calls.describe_outputs(sized.plugin, inputs)
            steps = _valid_steps(sized, sized.label, inputs, outputs)
            for step in steps:
                sources = step.args if isinstance(step, Launch) else vars(step).values()
                taken |= {_input_of(one) for one in sources}
            _expect_right_targets(sized, outputs, steps)
            present = (desc for desc in inputs if desc is not None and desc.slot.kind == "input")
            given |= {desc.name: None for desc in present if desc.size}
            count += 1
    for call in subject.calls("first"):
        for label, inputs, described in large_sizes(call):
            _valid_steps(call, label, inputs, described)
            count += 1
    unread = [name for name in given if name not in taken]
    listed = f"; no step reads {', '.join(map(repr, unread))}" if unread else ""
    return f"{counted(count, 'set of shapes')}{listed}"


def _valid_steps(
    call: PluginCall, label: str, inputs: calls.Inputs, outputs: Sequence[TensorDesc]
) -> tuple[Step, ...]:
    from pluginkit.kernels.enqueue_steps import enqueue_steps

    try:
        return enqueue_steps(call.plugin, inputs, outputs).steps
    except PluginkitError as error:
        raise outcome_of(error, label, call.case, "valid steps") from error


def _expect_right_targets(
    call: PluginCall, outputs: Sequence[TensorDesc], steps: Sequence[Step]
) -> None:
    """Expect that each output with elements is in some step, and that none writes to an input."""
    reached, written = set(), set()
    for step in steps:
        tensors = step.args if isinstance(step, Launch) else (step.target,)
        slots = {t.slot for t in tensors if isinstance(t, (TensorDesc, Workspace))}
        reached |= {(slot.kind, slot.index) for slot in slots}
        if not isinstance(step, Launch):
            written |= {slot.kind for slot in slots}
    for desc in outputs:
        if operator.index(desc.nbytes) and ("output", desc.slot.index) not in reached:
            raise Failure(
                f"{call.label}: '{desc.name}'",
                "no step has it",
                "a step that writes it",
                case=call.case,
            )
    if "input" in written:
        raise Failure(
            call.label, "a Copy or Fill into an input", "inputs left alone", case=call.case
        )


def _input_of(argument: object) -> str | None:
    """Return the name of the input that a step's argument lies in."""
    if isinstance(argument, TensorDesc) and argument.slot.kind == "input":
        return argument.name
    return None


@check(110, needs=("cases", "compilers"))
def compile(subject: Subject) -> str:  # noqa: A001  # the check's name
    """Every kernel of the cases compiles for every architecture from 7.5 to 12.0.

    CUDA C++ by NVRTC, numba kernels by numba-cuda and nvJitLink: the first case in every
    combination of types, every other case in the first; parameters fit the arguments, and blocks
    the registers that a thread takes and the kernel's ``__launch_bounds__``.

    Does not prove that a kernel computes anything, nor that its shared memory fits a GPU.
    """
    from pluginkit.kernels.compile import ARCHITECTURES

    wanted = list(_launches(subject))
    if not wanted:
        raise NotRun("launches of declared kernels")
    for arch in ARCHITECTURES:
        _compile_all(wanted, arch)
    return f"{counted(len(wanted), 'kernel')} for {', '.join(ARCHITECTURES)}"


def _launches(subject: Subject) -> Iterator[Wanted]:
    seen = set()
    for call in subject.calls("cover"):
        if "launches" not in call.plugin.spec.overrides:
            return
        inputs = call.describe()
        outputs = calls.describe_outputs(call.plugin, inputs)
        bindings = type_bindings(call.plugin, inputs, outputs)
        for step in calls.steps(call.plugin, inputs, outputs):
            if not isinstance(step, Launch):
                continue
            try:
                one = specialise(call.plugin, bindings, step)
            except PluginkitError as error:
                raise outcome_of(error, call.label, call.case, "a kernel") from error
            if one not in seen:
                seen.add(one)
                yield call, step, one


def _compile_all(wanted: list[Wanted], arch: str) -> None:
    """Compile the kernels of each source together, which is ten times faster."""
    from pluginkit.kernels.arguments import check_parameters, parameters
    from pluginkit.kernels.compile import compile_cuda, compile_numba
    from pluginkit.kernels.enqueue_steps import three
    from pluginkit.kernels.most_threads import most_threads

    groups: dict[object, list[Wanted]] = {}
    for call, launch, one in wanted:
        key: object = one
        if isinstance(one, CudaSpecialisation):
            key = (one.code, one.options, one.folder)
        groups.setdefault(key, []).append((call, launch, one))
    for group in groups.values():
        call, _, first = group[0]
        try:
            if isinstance(first, NumbaSpecialisation):
                compiled = compile_numba(first, arch)
            else:
                cuda = [one for _, _, one in group if isinstance(one, CudaSpecialisation)]
                compiled = compile_cuda(cuda, arch)
            for (call, launch, _), sizes in zip(group, compiled.parameter_sizes, strict=True):
                check_parameters(
                    call.plugin.spec.name, launch.kernel.name, parameters(launch), sizes
                )
        except PluginkitError as error:
            raise Failure(
                f"{call.label}, sm_{arch}",
                error.message,
                "machine code",
                cause="\n".join(filter(None, (error.cause, error.fix))),
                case=call.case,
                root=root_of(error),
            ) from error
        for (call, launch, _), symbol in zip(group, compiled.symbols, strict=True):
            threads, most = prod(three(launch.block)), most_threads(compiled.cubin, symbol)
            if threads > most:
                raise Failure(
                    f"{call.label}, sm_{arch}: kernel '{launch.kernel.name}'",
                    f"blocks of {threads} threads",
                    f"at most {most}",
                    cause="CUDA refuses the launch: the registers of a thread, or the kernel's "
                    "__launch_bounds__, allow no more.\nLaunch smaller blocks, or give the kernel "
                    f"__launch_bounds__({threads}), for which the compiler uses fewer registers.",
                    case=call.case,
                )
