"""Applies rewrites to a model, pass after pass, until nothing changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx

from pluginkit.errors import AttributeValueError, RewriteError, TensorError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.validate_model import complete_value_info, new_types, problem_of_node
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import Place, describe, place_of, scopes
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.rewriting.edit_model import Edit, why_untouchable
from pluginkit.onnx.rewriting.find_matches import (
    Bindings,
    GraphIndex,
    explain_mismatch,
    find_bindings,
)
from pluginkit.onnx.rewriting.match import Match, UnreadableError
from pluginkit.onnx.rewriting.new_nodes import Names
from pluginkit.onnx.rewriting.rewrite import Rewrite

#: More rounds than any model needs; a rewrite that matches its own result never ends.
_MAX_ROUNDS = 1000


@dataclass(frozen=True)
class _Matched:
    rewrite: str
    where: str
    node: str
    output: str

    @property
    def place(self) -> Place:
        """What tells the node from all others."""
        return self.where, self.node, self.output


@dataclass(frozen=True)
class Applied(_Matched):
    """One match that was rewritten.

    Attributes:
        rewrite: the rewrite's name.
        where: the path of the node's graph.
        node: the node's name, or that of its first output.
        output: its first output, since several nodes may have one name.
        made: the op_types that took its place, each once.
    """

    made: tuple[str, ...]


@dataclass(frozen=True)
class Refused(_Matched):
    """One match that was left as it is; ``reason`` says why, the rest is as in Applied."""

    reason: str


class Passes:
    """The passes of one call of rewrite_model over the model that it edits, and what they did.

    Attributes:
        types: the model's, with those of new nodes.
        applied: what was rewritten, in order.
    """

    def __init__(
        self, model: onnx.ModelProto, types: Types, plugins: Plugins, *, explain: bool
    ) -> None:
        self._model = model
        self._names = Names(model)
        self.types = types
        self._plugins = plugins
        self.applied: list[Applied] = []
        self._explains = explain
        self._refused: dict[str, list[Refused]] = {}
        self._mismatched: dict[str, list[Refused]] = {}
        self._indexes: list[GraphIndex] = []

    @property
    def refused(self) -> list[Refused]:
        """What matched and was left, with the reason."""
        return [refused for each in self._refused.values() for refused in each]

    @property
    def mismatched(self) -> list[Refused]:
        """The nodes that a pattern could end with and does not fit, with the reason."""
        return [refused for each in self._mismatched.values() for refused in each]

    def to_fixed_point(self, rewrites: Sequence[Rewrite]) -> None:
        """Bring each rewrite to its end in turn, and start again as long as one finds something.

        A rewrite begins only when none of a lower order finds anything more.
        """
        rounds = 0
        changed = True
        while changed:
            changed = False
            for number, rewrite in enumerate(rewrites):
                if changed and rewrite.order > rewrites[number - 1].order:
                    break
                while self._pass(rewrite):
                    changed = True
                    rounds += 1
                    if rounds > _MAX_ROUNDS:
                        raise RewriteError(
                            "PK422",
                            f"{_name(rewrite)} has matches after {rounds} rounds; expected an end.",
                            where=self.applied[-1].where,
                            cause="it matches what it, or another rewrite, has produced.",
                            fix="let check() refuse nodes that need no rewriting.",
                        )

    def _pass(self, rewrite: Rewrite) -> bool:
        """Try every match that the model now has; whether any was rewritten."""
        self._refused[_name(rewrite)] = []
        self._mismatched[_name(rewrite)] = []
        before = len(self.applied)
        for index in self._graphs():
            wanted = rewrite.op.op_types
            candidates = sorted(at for each in wanted for at in index.positions.get(each, ()))
            if rewrite.input_types:
                candidates = [
                    at for at in candidates if self._reads(rewrite.input_types, index, at)
                ]
            if candidates:
                self._sweep(rewrite, index, candidates)
        if len(self.applied) == before:
            return False
        self._indexes = []
        if rewrite.plugin is None:  # the types of new nodes of ONNX's own are onnx's to say
            complete_value_info(self._model, self.types, self._plugins)
            self.types = infer_types(self._model)
        return True

    def _reads(self, elem_types: Collection[int], index: GraphIndex, at: int) -> bool:
        """Whether an input of the node is known to have one of the types."""
        found = (self.types.find(index.scope, name) for name in index.nodes[at].input)
        return any(
            value_type is not None and value_type.tensor_type.elem_type in elem_types
            for value_type in found
        )

    def _graphs(self) -> list[GraphIndex]:
        """Every scope as it is now, inner ones first."""
        if not self._indexes:
            self._indexes = [GraphIndex(scope) for scope in reversed(list(scopes(self._model)))]
        return self._indexes

    def _sweep(self, rewrite: Rewrite, index: GraphIndex, candidates: list[int]) -> None:
        scope = index.scope
        edit = Edit(self._model, index, self._names)
        for root in candidates:
            bindings = find_bindings(rewrite.op, root, index)
            node = index.nodes[root]
            if bindings is None and self._explains:
                why = explain_mismatch(rewrite.op, root, index)
                mismatch = Refused(_name(rewrite), *place_of(scope, node), why)
                self._mismatched[_name(rewrite)].append(mismatch)
            if bindings is None or edit.has_replaced(bindings.nodes.values()):
                continue
            reason = why_untouchable(index, root, bindings)
            if reason is None:
                reason = self._rewrite(rewrite, edit, root, bindings)
            if reason is None:
                made = tuple(dict.fromkeys(new.op_type for new in edit.made_of(root)))
                self.applied.append(Applied(_name(rewrite), *place_of(scope, node), made))
            else:
                refused = Refused(_name(rewrite), *place_of(scope, node), reason)
                self._refused[_name(rewrite)].append(refused)
        edit.write()

    def _rewrite(self, rewrite: Rewrite, edit: Edit, root: int, bindings: Bindings) -> str | None:
        """Rewrite one match, or say why not."""
        match = Match(edit.index, self.types, rewrite.op, bindings)
        try:
            reason = rewrite.check(match)
            if reason is not None:
                return _checked_reason(rewrite, reason, match)
            returned = rewrite.rewrite(match)
            new = edit.export(returned, match, _name(rewrite))
            place = edit.place_of(root, bindings, new)
            if place is None:
                return "what the new nodes produce is read before what they read is there"
            learned = new_types(edit.index.scope, new.nodes, self.types, self._plugins)
        except RewriteError as error:
            error.where = _where(match)
            raise
        except (TensorError, AttributeValueError) as error:
            return error.message
        except UnreadableError as error:
            return f"the node or a constant that it reads is damaged: {error}"
        except Exception as error:
            problem = problem_of_node(edit.index.nodes[root], edit.index.scope)
            if problem is not None:
                return f"the node is invalid: {problem}"
            raise RewriteError(
                "PK421",
                f"{_name(rewrite)} failed: {type(error).__name__}.",
                where=_where(match),
                cause=str(error),
                fix="correct its check() or rewrite(), or what they call of the plugin; "
                "-v says where it failed.",
            ) from error
        for name, value_type in learned.items():
            self.types.set_plugin_output(edit.index.scope, name, value_type)
        edit.replace(root, bindings, new, place)
        return None


def _name(rewrite: Rewrite) -> str:
    return type(rewrite).__name__


def _where(match: Match) -> str:
    return f"{describe(match.proto)} in {match.where}"


def _checked_reason(rewrite: Rewrite, reason: object, match: Match) -> str:
    if isinstance(reason, str) and reason:
        return reason
    raise RewriteError(
        "PK421",
        f"{_name(rewrite)}.check returned {reason!r}; expected a reason or None.",
        where=_where(match),
        fix="return None when the match can be rewritten.",
    )
