"""Define :class:`Rewrite`, the base class of every rewrite."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from pluginkit.contract.plugin import Plugin
from pluginkit.onnx.rewriting.export_nodes import NewNode
from pluginkit.onnx.rewriting.match import Match
from pluginkit.onnx.rewriting.pattern import AnyOf, Constant, Op, Optional
from pluginkit.onnx.rewriting.replacement import Replacement
from pluginkit.onnx.rewriting.rewrite_declaration import (
    check_class_members,
    parameter_names,
    pattern_of,
)

__all__ = ["AnyOf", "Constant", "Match", "Op", "Optional", "Replacement", "Rewrite"]


class Rewrite:
    """Replace nodes that TensorRT cannot take.

    A subclass says what to look for (``pattern``), when not to rewrite (``check``) and what to put
    in its place (``rewrite``). Its docstring starts with the formula, before -> after::

        class FuseSilu(Rewrite):
            '''Mul(x, Sigmoid(x)) -> Silu_PK(x)'''

            plugin = Silu

            def pattern(self, op, x):
                return op.Mul(x, op.Sigmoid(x))

            def rewrite(self, match, x):
                return match.plugin_node(Silu(), [x])

    If other nodes of ONNX's own do the same, no plugin is needed, and a Replacement collects the
    nodes::

        class ExpandSwish(Rewrite):
            '''Swish(x) -> Mul(x, Sigmoid(x))'''

            def pattern(self, op, x):
                return op.Swish(x)

            def rewrite(self, match, x):
                new = Replacement(match)
                return new.end("Mul", x, new.add("Sigmoid", x))

    **The pattern** is a function that builds the nodes to look for from ``op``
    (:class:`~pluginkit.onnx.PatternBuilder`) and returns the last one; each further parameter is a
    value. It is called once, when the class is made. ``low=None`` is an input that may be absent, a
    number is a constant, a keyword is an attribute. ``pattern`` may also be an :class:`Op`, or the
    op_type of a single node.

    **check** and **rewrite** get the match, and every value or node of the pattern that they name
    as a parameter. An absent input is None.

    **check** returns a reason, a string, to refuse the match; or None. It may instead return facts
    that it found, which ``rewrite`` gets as its parameter ``facts``: any object but a string, a
    bool or None. So a rewrite keeps no state.

    **note** tells the user what a rewritten match costs, such as the speed of integer kernels.

    The new nodes must produce the outputs of the last matched node, and of nodes that are
    ``.named(..., kept=True)``. The driver refuses a match whose other values are used elsewhere, or
    whose dtypes or ranks the plugin does not take.

    Class members:
        pattern: the nodes to look for.
        plugin: the plugin class that the new nodes call; None if they are ONNX's own.
        native_since: for each TensorRT flavour that takes the matched nodes by itself, the first
            version that does. The rewrite is not applied for that and later versions.
        input_dtypes: if not empty, only nodes are looked at that read a tensor of one of these
            dtypes, such as "uint8". For rewrites of common operators, which would otherwise have to
            refuse nearly every node of a model.
        order: rewrites are applied in ascending order; one with a higher number sees only what the
            others leave.
        opt_in: whether the rewrite is applied only if it is named: ``--with NAME`` or
            ``RewriteChoice(also=["NAME"])``. For nodes that TensorRT takes by itself: a plugin is
            then a choice, because TensorRT fuses nothing across it and needs it at run time.

    Errors:
        PK420 when the class is made.
    """

    pattern: ClassVar[Any]
    plugin: ClassVar[type[Plugin] | None] = None
    native_since: ClassVar[Mapping[str, str]] = {}
    input_dtypes: ClassVar[Collection[str]] = ()
    order: ClassVar[int] = 0
    opt_in: ClassVar[bool] = False

    #: The pattern as the driver reads it, and the parameters of check and rewrite after the match.
    op: ClassVar[Op]
    check_parameters: ClassVar[tuple[str, ...]]
    rewrite_parameters: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__()
        if abstract:
            return
        check_class_members(cls, Rewrite.rewrite)
        cls.op = pattern_of(cls)
        cls.check_parameters = parameter_names(cls, cls.check)
        cls.rewrite_parameters = parameter_names(cls, cls.rewrite, facts=True)

    def check(self, match: Match, *args: Any, **kwargs: Any) -> Any:
        """Return a reason not to rewrite this match, or None, or facts for ``rewrite``."""
        return None

    def rewrite(self, match: Match, *args: Any, **kwargs: Any) -> NewNode | Sequence[NewNode]:
        """Return the new node, or the new nodes in the order in which they run.

        They are onnx_graphsurgeon Nodes or NodeProtos.
        """
        raise NotImplementedError

    def note(self, match: Match) -> str:
        """Return what the user should know once the match is rewritten, in a sentence; or ""."""
        return ""

    def check_match(self, match: Match) -> Any:
        """Call ``check`` with the parameters that it names."""
        return self.check(match, **{name: match.bound(name) for name in self.check_parameters})

    def rewrite_match(self, match: Match, facts: Any) -> NewNode | Sequence[NewNode]:
        """Call ``rewrite`` with the parameters that it names."""
        given = {
            name: facts if name == "facts" else match.bound(name)
            for name in self.rewrite_parameters
        }
        return self.rewrite(match, **given)
