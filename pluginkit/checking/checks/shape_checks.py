"""Check shape functions, output types and workspace, without TensorRT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import prod

from pluginkit.checking.author_line import author_line, root_of
from pluginkit.checking.check import check
from pluginkit.checking.outcomes import Failure, NotRun, outcome_of
from pluginkit.checking.plugin_under_test import CallAxis, PluginCall, Subject
from pluginkit.contract import calls
from pluginkit.contract.dims import ConcreteShape, Dim, InputDim, evaluate
from pluginkit.errors import PluginkitError, UnknownDimError
from pluginkit.quantities import counted


def _odd(dim: int) -> int:
    return 2 * dim + 1


#: What is added to one axis after the other, so that axes that were equal differ.
_UNEVEN = (1, 2, 0)
#: Single axes change in cases of up to so many elements: there are many axes.
_FEW = 5000
#: The sizes to try for a case: a label, and a function from the old size to the new one.
RESIZES = (
    ("the case's size", lambda dim: dim),
    ("min, all dimensions 1", lambda dim: min(dim, 1)),
    ("odd", _odd),
    ("max, all dimensions doubled", lambda dim: 2 * dim),
    ("empty", lambda dim: 0),
)


def resized(call: PluginCall) -> Iterator[PluginCall]:
    """Yield the call in each of the sizes that the plugin accepts."""
    return (one for one in sizes_of(call) if one is not None)


def sizes_of(call: PluginCall) -> Iterator[PluginCall | None]:
    """Yield the call in each size to try, or None for a size that the plugin refuses.

    First all dimensions change together, except those that the class declares as numbers; then the
    dimensions of each declared name change by themselves. If the plugin refuses all of these, each
    dimension changes by itself. At the end come sizes that the plugin may refuse without a word.
    """
    is_refused = True
    groups = call.groups()
    for label, resize in RESIZES:
        other = call.resized(resize, label)
        is_refused &= other is None or other.shapes == call.shapes
        yield other
    for name, axes in groups.items() if len(groups) > 1 else ():
        if _is_declared(call, axes):
            other = call.resized(_odd, f"odd, {name} alone", axes)
            is_refused &= other is None
            yield other
    for label, resize in RESIZES[1:] if is_refused else ():
        for name, axes in groups.items():
            if any(resize(dim) != dim for dim in _dims(call, axes)):
                yield call.resized(resize, f"{label}, {name} alone", axes)
    yield from _further_sizes(call)


def _further_sizes(call: PluginCall) -> Iterator[PluginCall]:
    """Yield sizes in which inputs may not fit each other, where the reference has a result."""
    groups = call.groups()
    named = [axes for axes in groups.values() if _is_declared(call, axes)]
    unnamed = {name: axes[0] for name, axes in groups.items() if axes not in named}
    every = {axis: _dims(call, [axis])[0] for axes in groups.values() for axis in axes}
    added = {axis: _UNEVEN[number % 3] for number, axes in enumerate(named) for axis in axes}
    added |= {axis: _UNEVEN[(len(named) + axis[1]) % 3] for axis in unnamed.values()}
    changes = [("powers of two", {axis: _power_of_two(dim) for axis, dim in every.items()})]
    if len(set(added.values())) > 1:
        changes.append(("uneven", {axis: dim + added[axis] for axis, dim in every.items()}))
    if len(call.shapes) > 1 and sum(map(prod, call.shapes)) <= _FEW:
        changes += [
            (f"1, {name} alone", {axis: 1}) for name, axis in unnamed.items() if every[axis] > 1
        ]
    for label, sizes in changes:
        shapes = [
            tuple(sizes.get((number, axis), dim) for axis, dim in enumerate(shape))
            for number, shape in enumerate(call.shapes)
        ]
        with suppress(Failure):
            other = None if shapes == call.shapes else call.with_shapes(shapes, label)
            if other is not None and has_result(other):
                yield other


def _power_of_two(dim: int) -> int:
    return 1 << max(dim - 1, 0).bit_length()


def has_result(call: PluginCall) -> bool:
    """Whether the plugin and its reference take what a check has changed in a call."""
    try:
        calls.check(call.plugin, call.describe())
        call.reference()
    except Exception:  # the author's methods may raise anything; other checks report it
        return False
    return True


def _is_declared(call: PluginCall, axes: Sequence[CallAxis]) -> bool:
    """Whether the class declares a name for the axes."""
    number, axis = axes[0]
    return call.labels[number][axis] is not None


def _dims(call: PluginCall, axes: Sequence[CallAxis]) -> list[int]:
    return [call.shapes[number][axis] for number, axis in axes]


@check(30, needs=("cases",))
def shape_function(subject: Subject) -> str:
    """Symbolic, concrete and reference output shapes agree over a range of sizes.

    The shape function runs with all dimensions unknown, and with every other one unknown, as
    TensorRT calls it. Its expressions are then evaluated for each case in its own size, at 1, odd,
    doubled, a power of two and empty, and with the dimensions of each declared name odd. If the
    plugin refuses all of these, one dimension changes at a time.

    Does not prove anything about shapes far from those of the cases, nor about outputs whose shape
    depends on data.
    """
    seen, count, refused = set(), 0, 0
    for call in subject.calls("first"):
        for sized in sizes_of(call):
            if sized is None:
                refused += 1
                continue
            seen.add(tuple(sized.shapes))
            try:
                sized.reference()
            except PluginkitError as error:  # it disagrees with the declared shapes
                raise outcome_of(error, sized.label, sized.case, "a shape") from error
            outputs = calls.describe_outputs(sized.plugin, sized.describe())
            expected = [desc.shape for desc in outputs]
            _compare(sized, "concrete", sized.shapes, expected, sized.values)
            for label, is_unknown in (
                ("all dimensions unknown", lambda index, axis: True),
                ("every other dimension unknown", lambda index, axis: (index + axis) % 2 == 0),
            ):
                symbolic = [
                    tuple(
                        InputDim(index, axis) if is_unknown(index, axis) else dim
                        for axis, dim in enumerate(shape)
                    )
                    for index, shape in enumerate(sized.shapes)
                ]
                _compare(sized, label, symbolic, expected, None)
            count += 1
    if refused and len(seen) == 1:
        raise NotRun(
            f"shapes other than the cases': the plugin refuses all {refused} that were tried; add "
            "cases of other shapes"
        )
    return counted(count, "set of shapes") + (
        f"; the plugin refuses {refused} others" * bool(refused)
    )


def _compare(
    call: PluginCall,
    label: str,
    shapes: Sequence[tuple[Dim, ...]],
    expected: Sequence[tuple[Dim, ...]],
    values: Mapping[str, ConcreteShape] | None,
) -> None:
    where = f"{call.label}, {label}"
    try:
        inputs = calls.describe_inputs(call.plugin, shapes, call.dtypes, values)
        calls.check(call.plugin, inputs)
        outputs = calls.describe_outputs(call.plugin, inputs)
        got = [
            tuple(evaluate(dim, call.shapes, call.values) for dim in desc.shape) for desc in outputs
        ]
    except UnknownDimError as error:
        raise Failure(
            f"{where}\n{author_line(error)}",
            str(error),
            "a shape that follows from unknown dimensions",
            cause="TensorRT asks for output shapes while dimensions are unknown.",
            case=call.case,
            root=root_of(error),
        ) from error
    except PluginkitError as error:
        raise outcome_of(error, where, call.case, "a shape") from error
    for port, one, wanted in zip(call.plugin.spec.outputs, got, expected, strict=True):
        if one != wanted:
            raise Failure(
                f"{where}: '{port.name}'",
                list(one),
                f"{list(wanted)}, as the reference",
                case=call.case,
            )


@check(40, needs=("cases",))
def dtypes(subject: Subject) -> str:
    """Output types depend on input types only, and TensorRT supports them.

    For each combination of types, ``output_types`` without shapes agrees with the types of the
    reference's outputs; no output is bool or uint8, which IPluginV3 cannot have.

    Does not prove that kernels exist for them: ``compile`` does.
    """
    count = 0
    for call in subject.calls("cover"):
        inputs = calls.describe_dtypes(call.plugin, call.dtypes)
        declared = calls.output_types(call.plugin, inputs)
        results = call.reference()
        for port, dtype, array in zip(call.plugin.spec.outputs, declared, results, strict=True):
            if dtype.numpy != array.dtype:
                raise Failure(
                    f"{call.label}: '{port.name}' without shapes",
                    dtype.name,
                    array.dtype.name,
                    cause="TensorRT asks for types before it knows shapes.",
                    case=call.case,
                )
            if dtype.name in ("bool", "uint8"):
                raise Failure(
                    f"{call.label}: '{port.name}'",
                    dtype.name,
                    "a type that IPluginV3 can output",
                    case=call.case,
                )
        count += 1
    return counted(count, "call")


@check(70, needs=("cases",))
def workspace(subject: Subject) -> str:
    """No shape inside a profile needs more workspace than the profile's maximum.

    TensorRT asks once, at the maximum, and gives that much to every enqueue. Each case serves as a
    maximum; smaller shapes have each dimension, and all of them, at 0, 1, a quarter, a half and one
    less.

    Does not prove that the kernel stays inside its workspace: ``canaries`` does, on a GPU.
    """
    count = 0
    for call in subject.calls("cover"):
        most = calls.workspace_bytes(call.plugin, call.describe())
        for shapes in _smaller(call):
            try:
                inputs = calls.describe_inputs(call.plugin, shapes, call.dtypes, call.values)
                calls.check(call.plugin, inputs)
            except PluginkitError:
                continue
            nbytes = calls.workspace_bytes(call.plugin, inputs)
            if nbytes > most:
                raise Failure(
                    f"{call.label}: shapes {', '.join(str(list(shape)) for shape in shapes)}",
                    f"{nbytes} bytes",
                    f"at most {most}, the workspace of the larger "
                    f"{', '.join(str(list(shape)) for shape in call.shapes)}",
                    cause="TensorRT asks for the workspace at the profile's maximum alone.",
                    case=call.case,
                )
            count += 1
    return f"{count} smaller shapes"


def _smaller(call: PluginCall) -> Iterator[list[ConcreteShape]]:
    """Yield smaller shapes: of dimensions with one size or one declared name, and of all."""
    shapes = call.shapes
    named = [axes for axes in call.groups().values() if _is_declared(call, axes)]
    free = [axes[0] for axes in call.groups().values() if not _is_declared(call, axes)]
    sizes = sorted({dim for axis in free for dim in _dims(call, [axis])})
    alike = [[axis for axis in free if _dims(call, [axis]) == [size]] for size in sizes]
    every = [axis for axes in call.groups().values() for axis in axes]
    for shrink in (
        lambda dim: 0,
        lambda dim: 1,
        lambda dim: dim // 4,
        lambda dim: dim // 2,
        lambda dim: max(dim - 1, 0),
    ):
        for chosen in (*named, *alike, every):
            yield [
                tuple(
                    min(dim, max(shrink(dim), 0)) if (number, axis) in chosen else dim
                    for axis, dim in enumerate(shape)
                )
                for number, shape in enumerate(shapes)
            ]
