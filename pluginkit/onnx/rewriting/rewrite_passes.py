"""Apply rewrites to a model, pass after pass, until nothing changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import onnx

from pluginkit.errors import (
    AttributeValueError,
    ModelError,
    PluginkitError,
    RewriteError,
    TensorError,
)
from pluginkit.onnx.inference.element_types import elem_type
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.validate_model import complete_value_info, new_types, problem_of_node
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import describe, is_in_function, place_of, scopes
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.model.structure import missing_operator
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.graph_rewrite import GraphRewrite, Graphs
from pluginkit.onnx.rewriting.known_values import Extents
from pluginkit.onnx.rewriting.lazy_tensors import UnreadableError
from pluginkit.onnx.rewriting.match import Match
from pluginkit.onnx.rewriting.pattern_search import Bindings, explain_mismatch, find_bindings
from pluginkit.onnx.rewriting.rewrite import Rewrite
from pluginkit.onnx.rewriting.rewrite_outcomes import AppliedRewrite, RefusedRewrite
from pluginkit.onnx.rewriting.scope_edit import ScopeEdit, import_domains, removal_problem

#: No model needs so many rounds; a rewrite that matches its own result would go on forever.
_MAX_ROUNDS = 1000


class RewritePasses:
    """Applies rewrites to a model, which it edits, and records the outcomes.

    Attributes:
        types: the types of the model's values, those of new nodes included.
        applied: the rewritten matches, in order.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        types: Types,
        plugins: Plugins,
        *,
        extents: Extents,
        explain: bool,
    ) -> None:
        self._model = model
        self._names = ModelNames(model)
        self.types = types
        self._plugins = plugins
        self._extents = extents
        self.applied: list[AppliedRewrite] = []
        self._explains = explain
        self._refused: dict[str, list[RefusedRewrite]] = {}
        self._mismatched: dict[str, list[RefusedRewrite]] = {}
        self._indexes: list[GraphIndex] = []
        self._graphs: Graphs | None = None
        #: Whether what is read of the nodes that a pass makes may get a type: those of ONNX's
        #: operators are inferred by onnx, those of plugins are known where the old ones were.
        self._learns = False

    @property
    def refused(self) -> list[RefusedRewrite]:
        """The matches that were left, each with the reason."""
        return [refused for each in self._refused.values() for refused in each]

    @property
    def mismatched(self) -> list[RefusedRewrite]:
        """The nodes of the operator that a pattern ends with that do not match, and why."""
        return [refused for each in self._mismatched.values() for refused in each]

    def to_fixed_point(self, rewrites: Sequence[Rewrite]) -> None:
        """Apply each rewrite until it finds nothing more; repeat until none finds anything.

        A rewrite starts only when those of lower order find nothing more.
        """
        rounds = 0
        changed = True
        while changed:
            changed = False
            for number, rewrite in enumerate(rewrites):
                if changed and rewrite.order > rewrites[number - 1].order:
                    break
                if isinstance(rewrite, GraphRewrite):
                    if self._rewrite_graphs(rewrite):
                        changed = True
                        rounds += 1
                        if rounds > _MAX_ROUNDS:
                            raise self._endless(rewrite, rounds)
                    continue
                while self._pass(rewrite):
                    changed = True
                    rounds += 1
                    if rounds > _MAX_ROUNDS:
                        raise self._endless(rewrite, rounds)

    def _endless(self, rewrite: Rewrite, rounds: int) -> RewriteError:
        return RewriteError(
            "PK422",
            f"{_name(rewrite)} has matches after {rounds} rounds; expected none.",
            where=self.applied[-1].where,
            cause="it matches nodes that it, or another rewrite, has made.",
            fix="let check() refuse nodes that need no rewriting.",
        )

    def _pass(self, rewrite: Rewrite) -> bool:
        """Try every match in the model once; return whether any was rewritten."""
        self._refused[_name(rewrite)] = []
        self._mismatched[_name(rewrite)] = []
        before = len(self.applied)
        self._learns = rewrite.plugin is None
        for index in self._every_index():
            wanted = rewrite.op.op_types
            candidates = sorted(at for each in wanted for at in index.positions.get(each, ()))
            if rewrite.input_dtypes:
                types = [elem_type(each) for each in rewrite.input_dtypes]
                candidates = [at for at in candidates if self._reads(types, index, at)]
            if candidates:
                self._rewrite_scope(rewrite, index, candidates)
        if len(self.applied) == before:
            return False
        self._forget()
        if self._learns:
            self._infer_types()
        return True

    def _rewrite_graphs(self, rewrite: GraphRewrite) -> bool:
        """Let a rewrite change the whole model; return whether it did."""
        if self._graphs is None:
            self._graphs = Graphs(
                self._model, self.types, self._names, self._plugins, self._extents
            )
        try:
            if not rewrite.may_change(self._graphs):
                return False
            changes = rewrite.rewrite_graphs(self._graphs)
        except PluginkitError:
            raise
        except Exception as error:
            raise self._failed(rewrite, error) from error
        self.applied += (
            AppliedRewrite(_name(rewrite), *place, made, rewrite.cost) for place, made in changes
        )
        if changes:
            made = [] if rewrite.plugin is None else [rewrite.plugin.spec.plugin_namespace]
            # ONNX Runtime takes bodies whose nodes are of domains that the model does not import.
            import_domains(self._model, {*made, *(node.domain for node in self._model.graph.node)})
            self._forget()
            self._infer_types()
        return bool(changes)

    def _forget(self) -> None:
        """Forget what was found in nodes that have changed."""
        self._indexes = []
        self._graphs = None

    def _failed(self, rewrite: GraphRewrite, error: Exception) -> PluginkitError:
        """Return the error of a rewrite of graphs that fails; an invalid node explains it."""
        for scope in scopes(self._model):
            for node in scope.graph.node:
                problem = problem_of_node(node, scope)
                if problem is not None:
                    return ModelError(
                        "PK408",
                        f"{describe(node)} is invalid: {problem}",
                        where=scope.path,
                        fix="export the model again.",
                    )
        return RewriteError(
            "PK421",
            f"{_name(rewrite)} failed: {type(error).__name__}.",
            cause=str(error),
            fix="correct its rewrite_graphs(); -v says where it failed.",
        )

    def _infer_types(self) -> None:
        complete_value_info(self._model, self.types, self._plugins)
        self.types = infer_types(self._model)

    def _reads(self, elem_types: Collection[int], index: GraphIndex, at: int) -> bool:
        """Whether an input of the node is known to have one of the element types."""
        found = (self.types.find(index.scope, name) for name in index.nodes[at].input)
        return any(
            value_type is not None and value_type.tensor_type.elem_type in elem_types
            for value_type in found
        )

    def _every_index(self) -> list[GraphIndex]:
        """Return an index of the main graph and of every body, inner ones first.

        Local functions that are left hold nothing to rewrite.
        """
        if not self._indexes:
            found = [each for each in scopes(self._model) if not is_in_function(each)]
            self._indexes = [GraphIndex(scope) for scope in reversed(found)]
        return self._indexes

    def _rewrite_scope(self, rewrite: Rewrite, index: GraphIndex, candidates: list[int]) -> None:
        scope = index.scope
        edit = ScopeEdit(self._model, index, self._names)
        for root in candidates:
            bindings = find_bindings(rewrite.op, root, index)
            node = index.nodes[root]
            if bindings is None and self._explains:
                why = explain_mismatch(rewrite.op, root, index)
                mismatch = RefusedRewrite(_name(rewrite), *place_of(scope, node), why)
                self._mismatched[_name(rewrite)].append(mismatch)
            if bindings is None or edit.has_replaced(bindings.nodes.values()):
                continue
            reason = removal_problem(index, root, bindings)
            if reason is None:
                reason = self._rewrite_match(rewrite, edit, root, bindings)
            if reason is not None:
                outcome = _name(rewrite), *place_of(scope, node), reason, rewrite.plugin is not None
                self._refused[_name(rewrite)].append(RefusedRewrite(*outcome))
        edit.write()

    def _rewrite_match(
        self, rewrite: Rewrite, edit: ScopeEdit, root: int, bindings: Bindings
    ) -> str | None:
        """Rewrite one match; return the reason if it is refused."""
        match = Match(edit.index, self.types, rewrite.op, bindings)
        try:
            found = rewrite.check_match(match)
            if isinstance(found, str) and found:
                return found
            _check_facts(rewrite, found, match)
            returned = rewrite.rewrite_match(match, found)
            note = rewrite.note(match)
            new = edit.export(returned, match, _name(rewrite))
            if lacking := missing_operator(new.nodes, new.constants, match.onnx_opset):
                return f"opset {match.onnx_opset} has no {lacking}; export with a later opset"
            place = edit.position_for(root, bindings, new)
            if place is None:
                return "an output of the new nodes is read before all their inputs are computed"
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
                fix="correct its check() or rewrite(), or the plugin that they call; "
                "-v says where it failed.",
            ) from error
        for name, value_type in learned.items():
            self.types.set_plugin_output(edit.index.scope, name, value_type)
        untyped = [self.types.find(edit.index.scope, each) is None for each in match.proto.output]
        self._learns |= any(untyped)
        edit.replace(root, bindings, new, place)
        made = tuple(dict.fromkeys(node.op_type for node in edit.new_nodes(root)))
        where = place_of(edit.index.scope, edit.index.nodes[root])
        self.applied.append(AppliedRewrite(_name(rewrite), *where, made, note))
        return None


def _name(rewrite: Rewrite) -> str:
    return type(rewrite).__name__


def _where(match: Match) -> str:
    return f"{describe(match.proto)} in {match.where}"


def _check_facts(rewrite: Rewrite, found: Any, match: Match) -> None:
    """Check what ``check`` returned: facts if ``rewrite`` has a parameter for them, else None."""
    has_facts = "facts" in rewrite.rewrite_parameters
    if has_facts and found is not None and not isinstance(found, (bool, str)):
        return
    if not has_facts and found is None:
        return
    expected = "a reason, or facts for rewrite()" if has_facts else "a reason or None"
    raise RewriteError(
        "PK421",
        f"{_name(rewrite)}.check returned {found!r}; expected {expected}.",
        where=_where(match),
        fix="return facts, which rewrite() names as its parameter 'facts'."
        if has_facts
        else "return None if the match can be rewritten; facts need a parameter 'facts' of "
        "rewrite().",
    )
