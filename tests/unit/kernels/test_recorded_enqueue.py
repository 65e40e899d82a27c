"""Calls of new shapes are prepared without the author's methods, once one like them is recorded."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from pluginkit import (
    CudaKernel,
    Fill,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    ceil_div,
    float32,
    int32,
)
from pluginkit.errors import KernelError, TensorError
from pluginkit.kernels import enqueue_program, prepare, recorded_enqueue
from pluginkit.kernels.load import LoadedKernel
from pluginkit.trt.new_call import NewCall
from pluginkit.trt.prepared_wrappers import wrapping_prepared
from pluginkit.trt.recorded_sizes import RecordedSizes

#: The places of the number of calls, of the count of elements, of the grid and of the shared memory
#: in a program that begins with a launch of four parameters.
CALLS, COUNT, GRID, SHARED = 4, 9, 12, 18


class Halves(Plugin, abstract=True):
    """A copy of the rows that fit, for each of which a block is launched."""

    tactics = ("near", "far")
    x = Input(float32)
    y = Output(float32, like="x")
    kernel = CudaKernel("", "copy")
    asked: list[Any] = []

    def check(self, x: Any) -> None:
        self.asked.append(x.shape)
        if x.shape[0] == 7:
            raise InputError("no 7", code="seven")

    def workspace_bytes(self, x: Any) -> int:
        return x.nbytes

    def launches(self, x: Any, y: Any, workspace: Any) -> Any:
        blocks = ceil_div(x.size, 4) if self.tactic == "near" else 1
        launch = Launch(
            self.kernel, blocks, 32, (y, x, workspace, int32(x.size)), shared_bytes=x.shape[0]
        )
        return [launch, Fill(y)] if x.shape[0] > 100 else launch

    def reference(self, x: Any) -> Any:
        return x


class KernelWithLimit(LoadedKernel):
    """A kernel of a GPU that is not there; it notes the shared memory that it may use."""

    def allow_shared_bytes(self, nbytes: int) -> None:
        if nbytes > self._shared_bytes:
            self._shared_bytes = nbytes


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Plugin:
    """A plugin of a class of its own, and a device without kernels."""
    kernel = KernelWithLimit("copy", 77, (8, 8, 8, 4), None)
    monkeypatch.setattr(enqueue_program, "_driver_functions", lambda: (1, 2, 3, 4))
    monkeypatch.setattr(prepare, "kernels_of", lambda *call: [kernel for _ in call[3]])
    set_device(monkeypatch, 0)
    made: Plugin = type("Halved", (Halves,), {"__module__": __name__, "asked": []})()
    return made.with_tactic("near")


def set_device(monkeypatch: pytest.MonkeyPatch, device: int) -> None:
    for module in (prepare, recorded_enqueue):
        monkeypatch.setattr(module, "current_device", lambda: device)


def prepared(plugin: Plugin, *shape: int, given_bytes: int | None = 2**20) -> Any:
    dtypes = [float32]
    call = NewCall(plugin, RecordedSizes(), {}, [shape], [], dtypes, given_bytes)
    return call.prepared(SimpleNamespace())


def words(plugin: Plugin, *shape: int, **more: Any) -> list[int]:
    """Return the count of elements, the grid and the shared memory of the launch."""
    memory = prepared(plugin, *shape, **more).program.memory
    return [memory[place] for place in (COUNT, GRID, SHARED)]


def test_the_fourth_call_asks_the_author_for_nothing(plugin: Any) -> None:
    assert words(plugin, 3, 5) == [15, 4, 3]
    assert words(plugin, 4, 5) == [20, 5, 4]
    assert len(plugin.asked) == 3  # the second call, and its recording
    assert words(plugin, 5, 9) == [45, 12, 5]
    assert len(plugin.asked) == 4  # which the recording is compared with
    assert words(plugin, 6, 9) == [54, 14, 6]
    assert len(plugin.asked) == 4


def test_a_recording_that_the_author_contradicts_is_never_used(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launches(self: Any, x: Any, y: Any, rest: Any) -> Launch:
        blocks = 9 if type(x.shape[0]) is int and x.shape[0] > 4 else x.shape[0]
        return Launch(self.kernel, blocks, 32, (y, x, rest, int32(1)))

    monkeypatch.setattr(type(plugin), "launches", launches)
    assert [words(plugin, rows, 2)[1] for rows in (3, 4, 5, 6, 2)] == [3, 4, 9, 9, 2]


def test_code_that_asks_for_types_is_never_recorded(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that is recorded is no int, which shows only for some sizes."""

    def blocks_of(rows: int) -> int:
        return 9 if type(rows) is int and rows > 5 else rows

    def launches(self: Any, x: Any, y: Any, rest: Any) -> Launch:
        return Launch(self.kernel, blocks_of(x.shape[0]), 32, (y, x, rest, int32(1)))

    monkeypatch.setattr(type(plugin), "launches", launches)
    assert [words(plugin, rows, 2)[1] for rows in (2, 3, 4, 5, 6)] == [2, 3, 4, 5, 9]


def test_code_that_names_its_class_is_recorded(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        type(plugin), "workspace_bytes", lambda self, x: x.nbytes + len(type(self).__name__)
    )
    for rows in (3, 4, 5):
        words(plugin, rows, 2)
    plugin.asked.clear()
    assert words(plugin, 6, 2) == [12, 3, 6]
    assert plugin.asked == []


def test_as_many_kinds_are_kept_as_is_sensible(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_enqueue, "_by_kind", {})
    monkeypatch.setattr(recorded_enqueue, "_MOST_KINDS", 4)
    for ranks in (1, 2, 3, 4, 5, 3):
        recorded_enqueue.recorded_enqueues(plugin, (ranks,))
    assert [kind for *_, kind in recorded_enqueue._by_kind] == [(2,), (3,), (4,), (5,)]


def test_two_threads_that_learn_at_once_do_not_disturb_each_other(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in (3, 4):
        words(plugin, rows, 2)
    layout, others = prepare.PreparedSteps.layout, iter([5])

    def interrupted(self: Any) -> Any:
        for rows in others:
            with ThreadPoolExecutor(1) as threads:
                assert threads.submit(words, plugin, rows, 2).result() == [10, 3, 5]
        return layout(self)

    monkeypatch.setattr(prepare.PreparedSteps, "layout", interrupted)
    assert words(plugin, 6, 2) == [12, 3, 6]


def test_another_way_is_asked_for_and_recorded(plugin: Any) -> None:
    for rows in (3, 4, 5, 6):
        assert prepared(plugin, rows, 2).program.memory[CALLS] == 1
    for rows, times in ((101, 2), (103, 1), (102, 0)):  # with a Fill
        plugin.asked.clear()
        program = prepared(plugin, rows, 2).program
        assert (program.memory[CALLS], program.memory[COUNT], len(plugin.asked)) == (
            2,
            2 * rows,
            times,
        )


def test_ranks_tactics_workspaces_and_devices_are_recorded_apart(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in (3, 4, 5, 6):
        words(plugin, rows, 2)
    plugin.asked.clear()
    assert words(plugin, 6) == [6, 2, 6]
    assert words(plugin.with_tactic("far"), 6, 2) == [12, 1, 6]
    assert words(plugin, 6, 2, given_bytes=None) == [12, 3, 6]
    set_device(monkeypatch, 1)
    assert words(plugin, 6, 2) == [12, 3, 6]
    assert len(plugin.asked) == 5  # on another device the call is recorded at once


def test_what_the_author_refuses_stays_refused(plugin: Any) -> None:
    for rows in (3, 4, 5, 6):
        words(plugin, rows, 2)
    with pytest.raises(InputError, match="no 7"):
        prepared(plugin, 7, 2)
    with pytest.raises(TensorError, match="PK217 .* needs 48 bytes .* was asked for 47"):
        prepared(plugin, 6, 2, given_bytes=47)
    assert words(plugin, 6, 2, given_bytes=48) == [12, 3, 6]


def test_a_kernel_may_use_the_shared_memory_of_a_recorded_launch(plugin: Any) -> None:
    for rows in (101, 102, 104):
        words(plugin, rows, 1)
    (kernel,) = {*prepared(plugin, 103, 1)._kernels}
    assert kernel._shared_bytes == 48 * 1024
    assert words(plugin, 50_000, 1) == [50_000, 12_500, 50_000]
    assert kernel._shared_bytes == 50_000


def test_a_count_that_does_not_fit_is_refused_as_the_author_would_be(plugin: Any) -> None:
    for rows in (3, 4, 5):
        words(plugin, rows, 2, given_bytes=2**60)
    with pytest.raises(KernelError, match="PK303 kernel 'copy': argument is int32"):
        prepared(plugin, 5, 2**30, given_bytes=2**60)


def test_methods_that_say_something_else_each_time_are_always_asked(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = iter(range(1, 100))
    monkeypatch.setattr(type(plugin), "workspace_bytes", lambda self, x: x.nbytes + next(counted))
    monkeypatch.setattr(
        type(plugin),
        "launches",
        lambda self, x, y, rest: Launch(self.kernel, next(counted), 32, (y, x, rest, int32(1))),
    )
    grids = [words(plugin, rows, 2)[1] for rows in (3, 4, 5, 6)]
    assert grids == sorted({*grids})
    assert len(plugin.asked) == 5  # four calls, and one that was to be recorded


def test_what_is_put_around_enqueues_sees_each_call(plugin: Any) -> None:
    seen: list[Any] = []

    def around(adapter: Any, made: Any, described: Any) -> Any:
        seen.append(described[0][0].shape)
        return made

    with wrapping_prepared(around):
        for rows in (3, 4, 5, 6):
            words(plugin, rows, 2)
    assert seen == [(3, 2), (4, 2), (5, 2), (6, 2)]
