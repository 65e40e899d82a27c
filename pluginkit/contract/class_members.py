"""Read the members of a Plugin class other than its attributes: names, types, inputs, outputs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pluginkit.contract.class_source import ClassSource
from pluginkit.contract.declared_shapes import DeclaredShape, shape_problem
from pluginkit.contract.dtypes import DType, int32, int64
from pluginkit.contract.spec import MAX_RANK, Input, OnnxOp, Output, Port, ShapeInput, SizeOutput

DeclaredPort = Input | ShapeInput | Output | SizeOutput
TypeVariables = Mapping[str, tuple[DType, ...]]


def read_text(source: ClassSource, name: str, default: str) -> str:
    """Return a member that is text, ``default`` where it is not set."""
    own = name in source.cls.__dict__
    value = source.cls.__dict__[name] if own else getattr(source.cls, name, "") or default
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise source.error(
            "PK107",
            name,
            f"{name} is {value!r}; expected a printable ASCII string that is not empty.",
            f'write {name} = "..."',
        )
    return value


def read_onnx_op(source: ClassSource) -> OnnxOp | None:
    """Return the ONNX operator, or None."""
    op = getattr(source.cls, "onnx_op", None)
    if op is None or (
        isinstance(op, OnnxOp)
        and isinstance(op.op_type, str)
        and isinstance(op.domain, str)
        and isinstance(op.since, int)
    ):
        return op
    raise source.error(
        "PK107",
        "onnx_op",
        f"onnx_op is {op!r}; expected an OnnxOp.",
        'write onnx_op = OnnxOp("ScatterElements", since=18).',
    )


def read_tactics(source: ClassSource) -> tuple[str, ...]:
    """Return the names of the tactics."""
    tactics = getattr(source.cls, "tactics", ())
    if (
        not isinstance(tactics, tuple)
        or not all(isinstance(name, str) and name for name in tactics)
        or len(set(tactics)) != len(tactics)
    ):
        raise source.error(
            "PK107",
            "tactics",
            f"tactics is {tactics!r}; expected a tuple of different names.",
            'write tactics = ("radix", "sort").',
        )
    return tactics


def read_types(source: ClassSource) -> dict[str, tuple[DType, ...]]:
    """Return the type variables with their dtypes."""
    types = {}
    declared = getattr(source.cls, "types", {})
    if not isinstance(declared, Mapping) or not all(isinstance(name, str) for name in declared):
        raise source.error(
            "PK103",
            "types",
            f"types is {declared!r}; expected a dict of type variables.",
            'write types = {"T": (pluginkit.float32, pluginkit.float16)}',
        )
    for variable, dtypes in declared.items():
        dtypes = dtypes if isinstance(dtypes, tuple) else (dtypes,)
        if not dtypes or not all(isinstance(dtype, DType) for dtype in dtypes):
            raise source.error(
                "PK103",
                "types",
                f"types[{variable!r}] is {dtypes!r}; expected a tuple of pluginkit dtypes.",
                'write types = {"T": (pluginkit.float32, pluginkit.float16)}',
            )
        types[variable] = dtypes
    return types


def read_port(source: ClassSource, name: str, declared: DeclaredPort, types: TypeVariables) -> Port:
    """Return one input or output."""
    variable, dtypes = _constraint(source, name, declared, types)
    if isinstance(declared, Input):
        if not _are_ranks(declared.ranks):
            raise source.error(
                "PK103",
                name,
                f"'{name}' has ranks {declared.ranks}; expected 0 <= lowest <= highest <= 8.",
                f"write {name} = Input(..., ranks=(lowest, highest)).",
            )
        port = Port(name, variable, dtypes, declared.optional, declared.ranks, declared.doc)
        port = replace(port, scale=declared.scale)
        return _with_shape(source, port, _shape(source, name, declared))
    if isinstance(declared, Output):
        port = Port(name, variable, dtypes, False, (0, MAX_RANK), declared.doc)
        port = replace(port, shape=_shape(source, name, declared), scale=declared.scale)
        return replace(port, like=declared.like or declared.aliases, aliases=declared.aliases)
    if not set(dtypes) <= {int32, int64}:
        raise source.error(
            "PK103",
            name,
            f"'{name}' is {', '.join(dtype.name for dtype in dtypes)}; "
            "TensorRT has shape and size tensors of int32 and int64 only.",
            f"write {name} = {type(declared).__name__}(types=pluginkit.int64).",
        )
    if isinstance(declared, SizeOutput):
        return Port(name, variable, dtypes, False, (0, 0), declared.doc, is_size=True)
    if not isinstance(declared.length, int) or declared.length < 1:
        raise source.error(
            "PK103",
            name,
            f"'{name}' has length {declared.length!r}; expected the number of its values.",
            f"write {name} = ShapeInput(length=1).",
        )
    return Port(name, variable, dtypes, False, (1, 1), declared.doc, declared.length)


def _shape(source: ClassSource, name: str, declared: Input | Output) -> DeclaredShape | None:
    if declared.shape is None:
        return None
    problem = shape_problem(declared.shape)
    if problem is not None:
        raise source.error(
            "PK103",
            name,
            f"'{name}' has the shape {declared.shape!r}: {problem}.",
            f"""write {name} = {type(declared).__name__}(..., shape=("N", 4)): a size or a name """
            'for each dimension, None for any size, ... or "*S" for several.',
        )
    return DeclaredShape(declared.shape)


def _with_shape(source: ClassSource, port: Port, shape: DeclaredShape | None) -> Port:
    """Return an input with its shape, and the ranks that follow from it."""
    if shape is None:
        return port
    lowest, highest = port.ranks
    if shape.rest is None and port.ranks != (0, MAX_RANK):
        raise source.error(
            "PK103",
            port.name,
            f"'{port.name}' has the ranks {port.ranks} and the shape {shape}; expected one.",
            "remove ranks, which follow from the shape.",
        )
    lowest = max(lowest, shape.least_rank)
    highest = min(highest, MAX_RANK if shape.rest is not None else shape.least_rank)
    return replace(port, ranks=(lowest, highest), shape=shape)


def _constraint(
    source: ClassSource, name: str, declared: DeclaredPort, types: TypeVariables
) -> tuple[str | None, tuple[DType, ...]]:
    """Return the type variable, if there is one, and the dtypes."""
    constraint = declared.types
    if isinstance(constraint, str):
        if constraint in types:
            return constraint, types[constraint]
        near = difflib.get_close_matches(constraint, types, 1)
        raise source.error(
            "PK103",
            name,
            f"'{name}' has the type variable '{constraint}', which types does not declare; "
            f"expected one of {sorted(types)}.",
            f"did you mean '{near[0]}'?" if near else f'add "{constraint}": (...) to types.',
        )
    dtypes = constraint if isinstance(constraint, tuple) else (constraint,)
    if not dtypes or not all(isinstance(dtype, DType) for dtype in dtypes):
        raise source.error(
            "PK103",
            name,
            f"'{name}' has the type {constraint!r}; expected a type variable or dtypes.",
            f'write {name} = {type(declared).__name__}("T"), or (pluginkit.float32).',
        )
    return None, dtypes


def _are_ranks(ranks: Any) -> bool:
    return (
        isinstance(ranks, tuple)
        and len(ranks) == 2
        and all(isinstance(rank, int) for rank in ranks)
        and 0 <= ranks[0] <= ranks[1] <= MAX_RANK
    )
