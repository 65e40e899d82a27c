"""Generate the Python source of a declaration's parts."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from pluginkit.contract.declared_shapes import DeclaredShape
from pluginkit.contract.dtypes import FLOAT_TYPES, OUTPUT_TYPES, DType, bool_
from pluginkit.scaffold.operator_declaration import Attribute, OperatorPort, expression

#: Columns of a docstring's line.
WIDTH = 100


def task_of_shapes(sizes: Sequence[str]) -> str:
    """Return the text of what the author must write in output_shapes."""
    if not sizes:
        return "return the shape of each output"
    return f"return the shapes, one with self.{sizes[0]}.up_to(most)"


def names_of(ports: Sequence[OperatorPort]) -> list[str]:
    """Return the names of ports."""
    return [port.name for port in ports]


def tuple_of(item: str, count: int) -> str:
    """Return the annotation of a tuple with ``count`` items."""
    return f"tuple[{', '.join([item] * count)}]"


def optional_of(annotation: str, port: OperatorPort) -> str:
    """Return the annotation of an argument, with ``| None`` if it may be absent."""
    return f"{annotation} | None" if port.is_optional else annotation


def cpp_type(port: OperatorPort) -> str:
    """Return the type of a port in C++."""
    return port.variable or port.dtypes[0].cpp


def port_arguments(port: OperatorPort) -> str:
    """Return the arguments of an Input or Output."""
    types = f'"{port.variable}"' if port.variable else dtype_name(port.dtypes[0])
    optional = ", optional=True" if port.is_optional else ""
    like = f', like="{port.like}"' if port.like else ""
    return types + (f", shape={expression(port.shape)}" if port.shape else "") + optional + like


def described_port(port: OperatorPort) -> str:
    """Return the line about a port in the docstring."""
    dtypes = " | ".join(dtype.name for dtype in port.dtypes)
    if port.shape:
        dtypes = f"{DeclaredShape(port.shape)}, {dtypes}"
    if port.like:
        return f"{port.name}: the shape of {port.like}, {dtypes}."
    return f"{port.name}: {dtypes}{', or absent' if port.is_optional else ''}."


def explained_attribute(one: Attribute) -> str:
    """Return the line about an attribute in the docstring."""
    return f"{one.name}: {one.annotation}, " + (
        f"default {one.default}." if one.default else "required."
    )


def attribute_text(one: Attribute) -> str:
    """Return an attribute's declaration."""
    items = [f"default={one.default}"] if one.default else []
    remark = "" if one.name.islower() else "  # noqa: N815  # ONNX's name"
    return f"    {one.name}: {one.annotation} = attribute({', '.join(items)}){remark}"


def dtypes_expression(dtypes: Sequence[DType]) -> str:
    """Return the expression of dtypes in a declaration."""
    if tuple(dtypes) == OUTPUT_TYPES:
        return "OUTPUT_TYPES"
    if tuple(dtypes) == FLOAT_TYPES:
        return "FLOAT_TYPES"
    if tuple(dtypes) == (*OUTPUT_TYPES, bool_):
        return "(*OUTPUT_TYPES, bool_)"
    names = [dtype_name(dtype) for dtype in dtypes]
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


def dtype_name(dtype: DType) -> str:
    """Return the name under which pluginkit exports a dtype."""
    return "bool_" if dtype is bool_ else dtype.name


def import_order(name: str) -> tuple[int, str]:
    """Return a key for isort's order: constants, classes, then the rest; numbers by value."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, re.sub(r"\d+", lambda number: number[0].zfill(3), name)


def rows(items: Iterable[str], indent: int) -> str:
    """Return a line for each item; the final comma keeps ruff from joining them."""
    return "\n".join(f"{' ' * indent}{item}," for item in items)


def section_text(title: str, lines: Iterable[str]) -> str:
    """Return a section of a docstring: its title, and the lines in a column beside it."""
    width = WIDTH - 17
    rows = [row for line in lines for row in textwrap.wrap(line, width, subsequent_indent="    ")]
    return f"    {title + ':':<13}" + f"\n{' ' * 17}".join(rows)
