"""Explore an author's method for all shapes: a tree of conditions, with results as leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from pluginkit.errors import ExportError
from pluginkit.export.trace.path import BranchDecision, ImpossiblePathError, Path, TraceTable
from pluginkit.tracing.expressions import Expr

T = TypeVar("T")

#: The most paths through one method of a plugin.
MOST_PATHS = 2000
#: Steps on all paths of one method: each is several lines of C++.
_MOST_STEPS = 10_000


@dataclass(frozen=True)
class Leaf(Generic[T]):
    """The result of one path, or of several paths with equal results."""

    result: T


@dataclass(frozen=True)
class Branch(Generic[T]):
    """A condition, and the tree for each answer.

    Attributes:
        condition: a comparison.
        if_true, if_false: the trees for the answers.
    """

    condition: Expr
    if_true: Tree[T]
    if_false: Tree[T]


Tree = Leaf[T] | Branch[T]


def explore(
    table: TraceTable, run: Callable[[Path], T], method: str, most_paths: int = MOST_PATHS
) -> Tree[T]:
    """Call ``run`` for every possible path.

    Args:
        table: the call's expressions.
        run: calls the author's method with traced numbers of a path.
        method: the method's name, for errors.
        most_paths: the most paths; a method with more is refused.

    Errors:
        PK800: the code cannot be traced.  PK801: the method has too many paths.
    """
    found: list[tuple[list[BranchDecision], T]] = []
    waiting: list[tuple[bool, ...]] = [()]
    steps = 0
    while waiting:
        given = waiting.pop()
        path = Path(table, given)
        with suppress(ImpossiblePathError):
            result = run(path)
            found.append((path.questions, result))
            steps += len(result) if isinstance(result, tuple) else 0
        if path.refused is not None:
            raise path.refused
        if len(found) > most_paths:
            raise _too_many(method, f"more than {most_paths} paths", path.questions)
        if steps > _MOST_STEPS:
            raise _too_many(method, f"more than {_MOST_STEPS} steps on its paths", path.questions)
        answers = tuple(question.answer for question in path.questions)
        for index in range(len(given), len(answers)):
            waiting.append((*answers[:index], not answers[index]))
    return _tree(found, 0)


def leaves(tree: Tree[T]) -> Iterator[T]:
    """Yield every result; ``if_true`` comes before ``if_false``."""
    if isinstance(tree, Leaf):
        yield tree.result
    else:
        yield from leaves(tree.if_true)
        yield from leaves(tree.if_false)


def conditions(tree: Tree[T]) -> Iterator[Expr]:
    """Yield every condition, in the order in which the code tests them."""
    if isinstance(tree, Branch):
        yield tree.condition
        yield from conditions(tree.if_true)
        yield from conditions(tree.if_false)


def pruned(tree: Tree[T], is_ruled_out: Callable[[T], bool]) -> Tree[T] | None:
    """Return the tree without the results that are ruled out; None if none is left."""
    if isinstance(tree, Leaf):
        return None if is_ruled_out(tree.result) else tree
    if_true, if_false = pruned(tree.if_true, is_ruled_out), pruned(tree.if_false, is_ruled_out)
    if if_true is None or if_false is None or if_true == if_false:
        return if_true if if_true is not None else if_false
    return Branch(tree.condition, if_true, if_false)


def _tree(found: list[tuple[list[BranchDecision], T]], depth: int) -> Tree[T]:
    questions, result = found[0]
    if len(questions) == depth:
        return Leaf(result)
    question = questions[depth]
    sides: dict[bool, list[tuple[list[BranchDecision], T]]] = {True: [], False: []}
    for one in found:
        sides[one[0][depth].answer].append(one)
    # A side is empty if every path there is impossible.
    trees = [_tree(sides[answer], depth + 1) for answer in (True, False) if sides[answer]]
    if len(trees) == 1 or trees[0] == trees[1]:
        return trees[0]
    return Branch(question.condition, *trees)


def _too_many(method: str, what: str, questions: list[BranchDecision]) -> ExportError:
    last = ", ".join(repr(question.condition) for question in questions[-3:])
    return ExportError(
        "PK801",
        f"{method} has {what}; expected fewer.",
        cause=f"each path becomes a list of steps in C++. The last branches met are on {last}.",
        fix="give ranges, or fixed sizes, with --shapes INPUT:MIN,OPT,MAX, or make more dimensions "
        "of the model static; an author can write where(condition, a, b) in place of an if.",
    )
