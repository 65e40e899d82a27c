"""Where time is limited, small calls run first, and what was left out is said."""

from types import SimpleNamespace

import numpy as np
import pytest

from pluginkit.checking.check import all_checks
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.time_budget import SHARES, Clock, run_affordable
from pluginkit.errors import KernelError


class Waiting:
    """As a GPU, which has no limit."""

    def start_clock(self, seconds):
        return None


class Limited:
    """Each call that runs takes a second."""

    def start_clock(self, seconds):
        self.clock = SimpleNamespace(left=4 * seconds)
        return self.clock


def calls(*sizes):
    return [
        SimpleNamespace(arrays=[np.zeros(size)], label=f"{size} elements", case=None)
        for size in sizes
    ]


def test_without_a_limit_all_run_in_their_order() -> None:
    seen = []
    tally = run_affordable(Waiting(), calls(3, 1, 2), lambda c: seen.append(c.label), "canaries")
    assert seen == ["3 elements", "1 elements", "2 elements"]
    assert str(tally) == "3 calls"


def test_small_ones_run_first_and_the_rest_is_said() -> None:
    device, seen = Limited(), []

    def run(call) -> None:
        seen.append(call.label)
        device.clock.left -= 1

    tally = run_affordable(device, calls(3, 1, 2), run, "canaries")
    assert seen == ["1 elements", "2 elements"]
    assert str(tally).startswith("2 calls; not run: 1 more, for time")


def test_making_the_calls_takes_none_of_the_time() -> None:
    device = Limited()

    def made():
        assert not hasattr(device, "clock")
        yield from calls(1)

    assert run_affordable(device, made(), lambda call: None, "canaries").run == 1


def stop(call) -> None:
    try:
        raise KernelError("PK357", "it takes too long.")
    except KernelError as error:
        raise RuntimeError("a callback failed") from error


def test_a_call_that_is_stopped_counts_as_left_out() -> None:
    def run(call) -> None:
        if call.label != "1 elements":
            stop(call)

    tally = str(run_affordable(Limited(), calls(1, 2), run, "canaries"))
    assert tally.startswith("1 call; not run: 1")
    assert tally.endswith("it takes too long.")


def test_a_call_with_little_time_is_no_suspect() -> None:
    device = Limited()

    def run(call) -> None:
        if call.label != "1 elements":
            stop(call)
        device.clock.left = 0.1

    tally = str(run_affordable(device, calls(1, 2), run, "canaries"))
    assert tally == "1 call; not run: 1 more, for time (--sanitize runs them)"


def test_time_for_none_is_not_run() -> None:
    with pytest.raises(NotRun, match=r"more than the 0.5 s .*it takes too long\."):
        run_affordable(Limited(), calls(1, 2), stop, "canaries")


def test_no_call_is_not_run() -> None:
    with pytest.raises(NotRun, match="a case of that kind"):
        run_affordable(Waiting(), [], lambda call: None, "canaries")


def test_an_unknown_instruction_is_not_run_and_says_which() -> None:
    def run(call) -> None:
        raise KernelError("PK351", "kernel 'f' needs the instruction sin.", where="f.cu:7")

    with pytest.raises(NotRun, match=r"needs the instruction sin\. f\.cu:7"):
        run_affordable(Waiting(), calls(1), run, "canaries")


def test_any_other_error_is_a_failure_of_its_call() -> None:
    def run(call) -> None:
        raise ZeroDivisionError("of the author's")

    with pytest.raises(Failure) as caught:
        run_affordable(Waiting(), calls(1), run, "canaries")
    assert caught.value.where.split("\n")[0] == "1 elements"
    assert f"{__file__}:" in caught.value.where
    assert "ZeroDivisionError" in caught.value.got


def test_all_shares_together_are_less_than_twenty_seconds() -> None:
    assert 15 < sum(SHARES.values()) < 19  # adapters and references take time too
    assert {share.partition(",")[0] for share in SHARES} == {
        name for name, one in all_checks().items() if {"device", "machine"} & set(one.needs)
    }


def test_the_clock_stands_still_while_kernels_compile(monkeypatch) -> None:
    compiling = 0.0
    monkeypatch.setattr("pluginkit.checking.time_budget.seconds_compiling", lambda: compiling)
    clock = Clock(10)
    before = clock.left
    compiling = 1000.0
    assert clock.left > before + 900
