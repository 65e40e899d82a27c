"""Prepare enqueues for shapes never seen without calling the author's methods.

What the methods say of two calls differs in numbers only, as long as they take the same decisions.
So one call is recorded, and others are computed from what was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.tensors import TensorDesc
from pluginkit.kernels.enqueue_program import ProgramOffset, program_layout
from pluginkit.kernels.load import current_device
from pluginkit.kernels.prepare import Prepared, PreparedSteps, steps_and_kernels
from pluginkit.tracing.asked_types import noting_asked_types
from pluginkit.tracing.recording import NotRecordableError, Recording

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

    #: Returns, for a call's numbers, what ``prepare`` gets besides the plugin.
    Described = Callable[[Sequence[Any]], tuple[calls.Inputs, Sequence[TensorDesc], int]]
    #: Computes the memory of a program from numbers; and an enqueue of the same steps.
    _Way = tuple[Callable[..., Any], PreparedSteps]

#: The most ways that are kept for a plugin on inputs of the same types and ranks.
_MOST_WAYS = 16


class RecordedEnqueues:
    """The ways that calls of one plugin take, for inputs of the same types and ranks.

    A call's numbers are its dimensions and whatever else its enqueue follows from.
    """

    def __init__(self) -> None:
        self._ways: dict[int, list[_Way]] = {}  # by device
        self._untried: list[tuple[int, _Way]] = []  # with the device
        self._is_new = True
        self._is_recordable = True
        self._learning = Lock()

    def prepared(self, numbers: Sequence[int]) -> PreparedSteps | None:
        """Return the enqueue of a call; None if it takes a way that is not recorded."""
        for way in self._ways.get(current_device(), ()) if self._ways else ():
            memory = _computed(way, numbers)
            if memory is not None:
                return way[1].with_memory(memory)
        return None

    def learn(
        self, plugin: Plugin, prepared: Prepared, numbers: Sequence[int], described: Described
    ) -> None:
        """Record the way of a call; not the first, since most plugins see one set of shapes.

        A way is taken from the first call on for which it gives what the author says. If it gives
        something else, the author's code sees recorded numbers otherwise than plain ones, and
        nothing of this kind is computed. Nor is it if that code uses ``type``.

        Args:
            plugin: the plugin.
            prepared: the enqueue of the call.
            numbers: the call's numbers.
            described: describes calls of other numbers, and checks them.
        """
        if self._learning.acquire(blocking=False):  # what another thread learns will do
            try:
                self._learn(plugin, prepared, numbers, described)
            finally:
                self._learning.release()

    def _learn(
        self, plugin: Plugin, prepared: Prepared, numbers: Sequence[int], described: Described
    ) -> None:
        if self._is_new or not self._is_recordable or not isinstance(prepared, PreparedSteps):
            self._is_new = False
            return
        device = current_device()
        for one in [one for one in self._untried if one[0] == device]:
            memory = _computed(one[1], numbers)
            if memory is None:
                continue
            if not prepared.layout().is_in(memory):
                self._is_recordable = False
                self._ways.clear()
                self._untried.clear()
                return
            self._untried.remove(one)
            self._ways.setdefault(device, []).append(one[1])
            return
        if len(self._ways.get(device, ())) + len(self._untried) < _MOST_WAYS:
            way = _recorded_way(plugin, prepared, numbers, described)
            self._is_recordable = way is not None
            if way is not None:
                self._untried.append((device, (way, prepared)))


def _computed(way: _Way, numbers: Sequence[int]) -> Any:
    """Return the memory of a call's program; None if the call takes another way, or is refused."""
    try:
        return way[0](*numbers)
    except Exception:  # the author's methods will say what is wrong
        return None


def _recorded_way(
    plugin: Plugin, prepared: PreparedSteps, numbers: Sequence[int], described: Described
) -> Callable[..., Any] | None:
    """Return what computes a program's memory; None if it cannot be had, or is another's here."""
    recording = Recording()
    try:
        traced = [recording.number(number) for number in numbers]
        with noting_asked_types() as asked:
            layout = program_layout(*steps_and_kernels(plugin, *described(traced)))
        if asked:
            return None
        way = recording.function(
            lambda text: [
                "memory = empty()",
                "base, _ = memory.buffer_info()",
                f"pack(memory, 0, {', '.join(_entry(one, text) for one in layout.entries)})",
                "return memory",
            ],
            empty=layout.empty,
            pack=layout.packing.pack_into,
        )
        return way if prepared.layout().is_in(way(*numbers)) else None
    except (NotRecordableError, Exception):  # so each call asks the author
        return None


def _entry(entry: Any, text: Callable[[Any], str]) -> str:
    return f"base + {int(entry)}" if type(entry) is ProgramOffset else text(entry)


#: The kinds of calls in this process, the newest last.
_by_kind: dict[tuple[object, ...], RecordedEnqueues] = {}
#: The most of them: programs that load ever new models do not grow without end.
_MOST_KINDS = 1024


def recorded_enqueues(plugin: Plugin, kind: tuple[object, ...]) -> RecordedEnqueues:
    """Return what is recorded for calls of one kind, such as types and ranks."""
    key = plugin, plugin.tactic, plugin.present, kind  # equal plugins have equal attributes only
    found = _by_kind.get(key)
    if found is None:
        for oldest in list(_by_kind)[: max(0, len(_by_kind) + 1 - _MOST_KINDS)]:
            _by_kind.pop(oldest, None)
        found = _by_kind.setdefault(key, RecordedEnqueues())
    return found
