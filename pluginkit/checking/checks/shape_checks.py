"""Check shape functions, output types and workspace, without TensorRT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pluginkit.checking.author_line import author_line, root_of
from pluginkit.checking.check import check
from pluginkit.checking.outcomes import Failure, NotRun, outcome_of
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.contract import calls
from pluginkit.contract.dims import ConcreteShape, Dim, InputDim, evaluate
from pluginkit.errors import PluginkitError, UnknownDimError

#: The sizes that are tried around a case: a label, and what each dimension becomes.
RESIZES = (
    ("the case's size", lambda dim: dim),
    ("min, all dimensions 1", lambda dim: min(dim, 1)),
    ("odd", lambda dim: 2 * dim + 1),
    ("max, all dimensions doubled", lambda dim: 2 * dim),
    ("empty", lambda dim: 0),
)


def resized(call: PluginCall) -> Iterator[PluginCall]:
    """Yield the call in each of the sizes that the plugin accepts."""
    return (one for one in sizes_of(call) if one is not None)


def sizes_of(call: PluginCall) -> Iterator[PluginCall | None]:
    """Yield the call in each size that is tried, None for one that the plugin refuses.

    All dimensions change together; where the plugin refuses all of that, each one by itself.
    """
    is_refused = True
    for label, resize in RESIZES:
        other = call.resized(resize, label)
        is_refused &= other is None or other.shapes == call.shapes
        yield other
    if not is_refused:
        return
    for label, resize in RESIZES[1:]:
        for number, port in enumerate(calls.present_ports(call.plugin)):
            axes = 0 if port.is_shape_input else len(call.shapes[number])
            for axis in range(axes):
                shapes = list(call.shapes)
                shape = list(shapes[number])
                shape[axis] = resize(shape[axis])
                shapes[number] = tuple(shape)
                if shapes != call.shapes:
                    yield call.with_shapes(shapes, f"{label}, axis {axis} of '{port.name}' alone")


@check(30, needs=("cases",))
def shape_function(subject: Subject) -> str:
    """Symbolic, concrete and reference output shapes agree over a range of sizes.

    The shape function runs with all dimensions unknown, and with every other one unknown, as
    TensorRT calls it. Its expressions are then evaluated for each case in its own size, at 1, odd,
    doubled and empty; where the plugin refuses all of these, with one dimension so at a time.

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
    return f"{count} sets of shapes" + (f"; the plugin refuses {refused} others" * bool(refused))


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
    """Output types follow from input types alone, and TensorRT can carry them.

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
    return f"{count} calls"


@check(70, needs=("cases",))
def workspace(subject: Subject) -> str:
    """No shape inside a profile needs more workspace than the profile's maximum.

    TensorRT asks once, at the maximum, and hands that much to every enqueue. Each case is taken as
    a maximum, with every dimension in turn, and all of them, at 0, 1, a quarter, a half and one
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
    shapes = call.shapes
    fixed = [port.is_shape_input for port in calls.present_ports(call.plugin)]
    sizes = sorted({dim for shape in shapes for dim in shape})
    for shrink in (
        lambda dim: 0,
        lambda dim: 1,
        lambda dim: dim // 4,
        lambda dim: dim // 2,
        lambda dim: max(dim - 1, 0),
    ):
        for chosen in (*([size] for size in sizes), sizes):
            yield [
                tuple(
                    min(dim, shrink(dim)) if dim in chosen and not is_fixed else dim
                    for dim in shape
                )
                for shape, is_fixed in zip(shapes, fixed, strict=True)
                if min(shape, default=1) >= 0
            ]
