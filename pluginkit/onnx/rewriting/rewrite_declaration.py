"""Check the class of a rewrite when it is made, and read its pattern and its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import DeclarationError
from pluginkit.onnx.inference.element_types import elem_type
from pluginkit.onnx.rewriting.pattern import Op, node_names, value_names
from pluginkit.onnx.rewriting.traced_pattern import trace_pattern
from pluginkit.trt.flavour import FLAVOURS, numbers


def check_class_members(cls: type[Any], undefined: Callable[..., Any]) -> None:
    """Check all members of a rewrite class but the parameters of its methods.

    Args:
        cls: the class.
        undefined: the ``rewrite`` of the base class, which does nothing.

    Errors:
        PK420: a member is wrong.
    """
    pattern, plugin = getattr(cls, "pattern", None), cls.plugin
    if not (isinstance(pattern, Op) or callable(pattern) or (isinstance(pattern, str) and pattern)):
        raise _wrong(
            cls,
            f"pattern is {pattern!r}; expected a method, an Op or an op_type.",
            "write def pattern(self, op, x): return op.Relu(x).",
        )
    if plugin is not None and not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise _wrong(
            cls, f"plugin is {plugin!r}; expected a Plugin class.", "write plugin = MyPlugin."
        )
    if not isinstance(cls.native_since, Mapping) or not all(
        flavour in FLAVOURS and isinstance(version, str) and numbers(version)
        for flavour, version in cls.native_since.items()
    ):
        raise _wrong(
            cls,
            f"native_since is {cls.native_since!r}; expected versions by TensorRT flavour.",
            'write native_since = {"tensorrt": "11.2"}.',
        )
    if not _are_dtypes(cls.input_dtypes):
        raise _wrong(
            cls,
            f"input_dtypes is {cls.input_dtypes!r}; expected names of dtypes.",
            'write input_dtypes = ("uint8",).',
        )
    if not isinstance(cls.order, int):
        raise _wrong(cls, f"order is {cls.order!r}; expected an int.", "write order = 1.")
    if not isinstance(cls.opt_in, bool):
        raise _wrong(cls, f"opt_in is {cls.opt_in!r}; expected a bool.", "write opt_in = True.")
    if cls.rewrite is undefined:
        raise _wrong(cls, "has no rewrite().", "define def rewrite(self, match).")
    if "->" not in (cls.__doc__ or "").partition("\n")[0]:
        made = plugin.__name__ if plugin else "..."
        raise _wrong(
            cls,
            "its docstring does not start with a formula; expected 'before -> after'.",
            f'write """{pattern if isinstance(pattern, str) else "..."} -> {made}""" first.',
        )


def _are_dtypes(names: Any) -> bool:
    if isinstance(names, str) or not isinstance(names, Collection):
        return False
    try:
        return all(elem_type(name) for name in names)
    except (TypeError, ValueError):
        return False


def pattern_of(cls: type[Any]) -> Op:
    """Return the pattern of a rewrite class; trace it if it is a function.

    Errors:
        PK420: the function does not describe a pattern.
    """
    pattern = cls.pattern
    if isinstance(pattern, Op):
        return pattern
    if isinstance(pattern, str):
        return Op(pattern)
    is_method = inspect.isfunction(inspect.getattr_static(cls, "pattern"))
    return trace_pattern(cls, cls().pattern if is_method else pattern)


def parameter_names(
    cls: type[Any], method: Callable[..., Any], *, facts: bool = False
) -> tuple[str, ...]:
    """Return the parameters of ``check`` or ``rewrite`` after ``self`` and the match.

    Args:
        cls: the class, whose ``op`` is set.
        method: the method.
        facts: whether a parameter may be called ``facts``.

    Errors:
        PK420: there is no parameter for the match, or the pattern binds no such name.
    """
    parameters = list(inspect.signature(method).parameters.values())
    name = method.__name__
    if len(parameters) < 2:
        raise _wrong(
            cls,
            f"{name}({', '.join(map(str, parameters))}) takes no match; expected (self, match).",
            f"write def {name}(self, match).",
        )
    known = value_names(cls.op) | node_names(cls.op) | ({"facts"} if facts else set())
    wanted = [
        each
        for each in parameters[2:]
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        and (each.default is each.empty or each.name in known)
    ]
    for each in wanted:
        if each.name not in known:
            raise _wrong(
                cls,
                f"{name}() has the parameter '{each.name}'; expected names of the pattern: "
                f"{', '.join(sorted(known)) or 'it has none'}.",
                "name it in the pattern, or take it out.",
            )
    return tuple(each.name for each in wanted)


def _wrong(cls: type, message: str, fix: str) -> DeclarationError:
    where = f"{inspect.getsourcefile(cls) or cls.__module__}, class {cls.__name__}"
    return DeclarationError("PK420", f"{cls.__name__}: {message}", where=where, fix=fix)
