"""Work out what threads have told each other through flags, and what follows from it.

The facts form a graph that only grows: each telling or hearing adds one node, however much is
known. What follows from a node is computed on demand, which is only for possible races.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fact:
    """What a thread says when it writes a flag after a fence.

    Attributes:
        thread: who.
        block: its block.
        fenced: when it last ran a fence for the device; 0 for never.
        fenced_in_block: when it last ran any fence.
        barrier: when its block last met at a barrier.
        warp_barrier: when it last met others of its warp.
        lanes: these others, by their numbers, itself included.
    """

    thread: int
    block: int
    fenced: int
    fenced_in_block: int
    barrier: int
    warp_barrier: int
    lanes: tuple[int, ...]


@dataclass
class Known:
    """All that follows from some facts: times before which everything has happened.

    Attributes:
        of_thread: for a thread.
        of_block: for all threads of a block.
        of_fenced: for those of a block that have fenced it themselves.
        of_fenced_thread: for a thread that has fenced it itself.
        of_neighbour: for a thread, as its own block sees it.
    """

    of_thread: dict[int, int] = field(default_factory=dict)
    of_block: dict[int, int] = field(default_factory=dict)
    of_fenced: dict[int, int] = field(default_factory=dict)
    of_fenced_thread: dict[int, int] = field(default_factory=dict)
    of_neighbour: dict[int, int] = field(default_factory=dict)

    def add(self, fact: Fact) -> None:
        """Add a fact."""
        _raise(self.of_neighbour, fact.thread, fact.fenced_in_block)
        if fact.fenced:
            _raise(self.of_thread, fact.thread, fact.fenced)
            covers_block = fact.fenced > fact.barrier
            _raise(self.of_block if covers_block else self.of_fenced, fact.block, fact.barrier)
        if fact.warp_barrier:
            self._add_warp(fact)

    def _add_warp(self, fact: Fact) -> None:
        """Take in what others of the warp did before they met the one who says it."""
        time = fact.warp_barrier
        for lane in fact.lanes:
            if fact.fenced_in_block > time:
                _raise(self.of_neighbour, lane, time)
            if fact.fenced:
                covers = fact.fenced > time
                _raise(self.of_thread if covers else self.of_fenced_thread, lane, time)


def _raise(times: dict[int, int], key: int, time: int) -> None:
    if times.get(key, 0) < time:
        times[key] = time


class Node:
    """A fact or none, and the nodes that were known before."""

    __slots__ = ("before", "fact", "gathered")

    def __init__(self, fact: Fact | None, before: tuple[Node, ...]) -> None:
        self.fact, self.before = fact, before
        self.gathered: Known | None = None


def node(fact: Fact | None, *before: Node | None) -> Node:
    """Make a node of a fact and what was known before; nothing new is the node that was there.

    A thread that polls a flag hears the same again and again.
    """
    there = tuple({id(each): each for each in before if each is not None}.values())
    if fact is None:
        implied = {id(earlier) for each in there for earlier in each.before}
        there = tuple(each for each in there if id(each) not in implied)
        if len(there) == 1:
            return there[0]
    return Node(fact, there)


def known(of: Node) -> Known:
    """Return all that follows from a node."""
    if of.gathered is None:
        of.gathered = Known()
        seen, todo = {id(of)}, [of]
        while todo:
            each = todo.pop()
            if each.fact is not None:
                of.gathered.add(each.fact)
            for earlier in each.before:
                if id(earlier) not in seen:
                    seen.add(id(earlier))
                    todo.append(earlier)
    return of.gathered
