"""Enqueues that are computed from recorded calls are those that the author's methods give."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluginkit.checking.plugin_under_test import Subject
from pluginkit.contract import calls
from pluginkit.contract.launches import Launch
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.tensors import Slot
from pluginkit.discovery import find_plugins
from pluginkit.kernels import enqueue_program, known_kernels, prepare, recorded_enqueue
from pluginkit.kernels.arguments import parameters
from pluginkit.kernels.load import LoadedKernel
from pluginkit.trt.new_call import NewCall
from pluginkit.trt.recorded_sizes import RecordedSizes

PLUGINS = {plugin.__name__: plugin for plugin in find_plugins().values()}
#: Sizes at which launches are likely to change, and others.
SIZES = st.one_of(
    st.sampled_from([0, 1, 2, 3, 4, 8, 31, 32, 33, 64, 128, 255, 256, 1000, 1024, 4096, 65536]),
    st.integers(0, 2**9),
    st.integers(0, 2**20),
)


class UnloadedKernel(LoadedKernel):
    """A kernel of a GPU that is not there."""

    def allow_shared_bytes(self, nbytes: int) -> None:
        if nbytes > self._shared_bytes:
            self._shared_bytes = nbytes


@pytest.fixture(scope="module", autouse=True)
def no_gpu() -> Iterator[None]:
    kernels: dict[object, LoadedKernel] = {}

    def kernel_of(plugin: Plugin, launch: Launch) -> LoadedKernel:
        sizes = tuple(8 if isinstance(part, Slot) else len(part) for part in parameters(launch))
        overlaps = getattr(launch.kernel, "overlaps", False)
        kernel = UnloadedKernel(launch.kernel.name, len(kernels) + 1, sizes, None, overlaps)
        return kernels.setdefault((plugin, known_kernels._key(launch), sizes), kernel)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enqueue_program, "_driver_functions", lambda: (1, 2, 3, 4))
        patch.setattr(
            prepare,
            "kernels_of",
            lambda plugin, inputs, outputs, launches, device: [
                kernel_of(plugin, launch) for launch in launches
            ],
        )
        for module in (prepare, recorded_enqueue):
            patch.setattr(module, "current_device", lambda: 0)
        yield


@cache
def cases_of(name: str) -> list[NewCall]:
    """Return the calls of a plugin's cases, with as much workspace as they may need."""
    made = []
    for call in Subject(PLUGINS[name]).calls("first"):
        inputs = call.describe()
        seen = [desc for desc in inputs if desc is not None and desc.slot.kind == "input"]
        outputs: list[Any] = []
        if call.plugin.spec.has_shape_inputs:
            outputs = [desc.shape for desc in calls.describe_outputs(call.plugin, inputs)]
        shapes, dtypes = [desc.shape for desc in seen], [desc.dtype for desc in seen]
        made.append(NewCall(call.plugin, RecordedSizes(), {}, shapes, outputs, dtypes, 2**40))
    return made


def asked(call: NewCall) -> prepare.PreparedSteps | None:
    """Ask the author's methods; None if they refuse the call."""
    try:
        made = prepare.prepare(call.plugin, *call.described())
    except Exception:
        return None
    assert isinstance(made, prepare.PreparedSteps)
    return made


def learned(recorded: recorded_enqueue.RecordedEnqueues, call: NewCall, answer: Any) -> None:
    recorded.learn(
        call.plugin, answer, call.numbers(), lambda others: call.with_numbers(others).described()
    )


@pytest.mark.parametrize("name", PLUGINS)
def test_each_plugin_can_be_recorded(name: str) -> None:
    for call in cases_of(name)[:4]:
        recorded = recorded_enqueue.RecordedEnqueues()
        answer = asked(call)
        assert answer is not None
        for _ in range(3):
            assert recorded.prepared(call.numbers()) is None
            learned(recorded, call, answer)
        found = recorded.prepared(call.numbers())
        assert found is not None
        assert answer.layout().is_in(found.program.memory)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLUGINS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_other_sizes_are_as_if_the_author_was_asked(name: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(cases_of(name)), "case")
    *dims, most_bytes = case.numbers()
    # Dimensions that are equal stay equal, or most calls would be refused.
    changes = st.dictionaries(st.sampled_from([*dims, most_bytes]), SIZES)
    recorded = recorded_enqueue.RecordedEnqueues()
    for sizes in data.draw(st.lists(changes, min_size=10, max_size=10), "sizes"):
        call = case.with_numbers([sizes.get(number, number) for number in case.numbers()])
        answer, found = asked(call), recorded.prepared(call.numbers())
        if found is not None:
            assert answer is not None
            assert answer.layout().is_in(found.program.memory)
        elif answer is not None:
            learned(recorded, call, answer)
