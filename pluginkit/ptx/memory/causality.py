"""The causality order across flags: which accesses a thread that read a flag may rely on.

Each write of a flag after a fence (a release) and each read of one (an acquire) adds a node to a
graph. What happened before a node is computed from its ancestors, and only when a possible race
asks for it: polling loops add many nodes, and few of them are ever asked about.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pluginkit.ptx.types import Array


@dataclass(frozen=True, slots=True)
class Release:
    """A thread writes a flag after a fence.

    Attributes:
        thread: the thread's number in the launch.
        block: its block.
        fenced: the time of its last fence with a scope beyond the block; 0 if there was none.
        fenced_in_block: the time of its last fence of any scope.
        barrier: the time of the last barrier at which it waited.
        warp_barrier: the time of its last ``bar.warp.sync``.
        lanes: the threads that took part in that one, itself included.
        row: in a kernel in which parts of a block meet, for each thread of its block up to which
            time it relied on it at its last fence; None without one.
        wide_row: the same for its last fence with a scope beyond the block.
    """

    thread: int
    block: int
    fenced: int
    fenced_in_block: int
    barrier: int
    warp_barrier: int
    lanes: tuple[int, ...]
    row: Array | None = None
    wide_row: Array | None = None


@dataclass
class HappenedBefore:
    """The accesses that happened before a node, as times: whatever ran earlier is included.

    Attributes:
        of_thread: the time for each thread.
        of_block: the time for all threads of a block.
        of_fenced: the time for those threads of a block that ran a fence of their own since.
        of_fenced_thread: the time for a thread, if it ran a fence of its own since.
        of_neighbour: the time for a thread, which counts only for readers in its own block.
    """

    of_thread: dict[int, int] = field(default_factory=dict)
    of_block: dict[int, int] = field(default_factory=dict)
    of_fenced: dict[int, int] = field(default_factory=dict)
    of_fenced_thread: dict[int, int] = field(default_factory=dict)
    of_neighbour: dict[int, int] = field(default_factory=dict)

    def add(self, release: Release) -> None:
        """Add what the releasing thread publishes."""
        _raise(self.of_neighbour, release.thread, release.fenced_in_block)
        if release.fenced:
            _raise(self.of_thread, release.thread, release.fenced)
            times = self.of_block if release.fenced > release.barrier else self.of_fenced
            _raise(times, release.block, release.barrier)
        if release.warp_barrier:
            self._add_warp(release)
        for row, times in ((release.row, self.of_neighbour), (release.wide_row, self.of_thread)):
            if row is not None:
                for place, time in enumerate(row.tolist()):
                    _raise(times, release.block * len(row) + place, time)

    def _add_warp(self, release: Release) -> None:
        """Add what the rest of the warp did before its ``bar.warp.sync`` with the thread."""
        time = release.warp_barrier
        for lane in release.lanes:
            if release.fenced_in_block > time:
                _raise(self.of_neighbour, lane, time)
            if release.fenced:
                covers = release.fenced > time
                _raise(self.of_thread if covers else self.of_fenced_thread, lane, time)


def _raise(times: dict[int, int], key: int, time: int) -> None:
    if times.get(key, 0) < time:
        times[key] = time


class CausalityNode:
    """A release, or None for an acquire, and the nodes that happened before it."""

    __slots__ = ("before", "happened_before", "release")

    def __init__(self, release: Release | None, before: tuple[CausalityNode, ...]) -> None:
        self.release, self.before = release, before
        self.happened_before: HappenedBefore | None = None


def causality_node(release: Release | None, *before: CausalityNode | None) -> CausalityNode:
    """Return a node after some others; one of these itself, if the new node would add nothing.

    That keeps the graph small while a thread polls a flag that nobody writes.
    """
    there = tuple({id(each): each for each in before if each is not None}.values())
    if release is None:
        implied = {id(earlier) for each in there for earlier in each.before}
        there = tuple(each for each in there if id(each) not in implied)
        if len(there) == 1:
            return there[0]
    return CausalityNode(release, there)


def happened_before(of: CausalityNode) -> HappenedBefore:
    """Return what happened before a node; the node keeps the answer."""
    if of.happened_before is None:
        of.happened_before = HappenedBefore()
        seen, todo = {id(of)}, [of]
        while todo:
            each = todo.pop()
            if each.release is not None:
                of.happened_before.add(each.release)
            for earlier in each.before:
                if id(earlier) not in seen:
                    seen.add(id(earlier))
                    todo.append(earlier)
    return of.happened_before
