"""Ctrl-C inside callbacks: raised where it comes back, and kept until the end where not."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pluginkit.interrupts import uninterrupted
from pluginkit.trt.callbacks import callback_errors, guarded


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def interrupted_at_the_end_of(body: Callable[[], None]) -> None:
    with pytest.raises(KeyboardInterrupt), callback_errors():
        body()


class Adapter:
    """Callbacks as an adapter has them; TensorRT is the test that calls them."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def failed(self, callback: str, error: BaseException) -> None:
        self.errors.append(error)

    @uninterrupted
    def clone(self) -> str:
        self._deeper()
        return "a clone"

    @guarded("IPlugin")
    def get_output_shapes(self) -> str:
        self._deeper()
        return "shapes"

    @guarded("IPlugin")
    def create(self) -> str:
        return self.clone()

    @uninterrupted
    def set_up(self) -> str:
        return self.get_output_shapes()

    def _deeper(self) -> None:
        press()


def test_it_waits_in_an_uninterrupted_callback() -> None:
    results = []

    def body() -> None:
        results.append(Adapter().clone())
        results.append("and on")

    interrupted_at_the_end_of(body)
    assert results == ["a clone", "and on"]


@pytest.mark.parametrize("callback", ["get_output_shapes", "set_up"])
def test_it_is_raised_in_a_guarded_callback_at_once(callback: str) -> None:
    adapter = Adapter()
    with callback_errors(), pytest.raises(KeyboardInterrupt):
        getattr(adapter, callback)()
    assert len(adapter.errors) == 1


def test_it_waits_in_an_uninterrupted_callback_inside_a_guarded_one() -> None:
    adapter = Adapter()
    with pytest.raises(KeyboardInterrupt), callback_errors():
        assert adapter.create() == "a clone"
    assert adapter.errors == []


def test_it_waits_where_a_guarded_callback_does_not_guard_yet() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        Adapter().get_output_shapes()
    wrapper, method = (each.frame.raw for each in caught.traceback[1:3])
    assert method.f_code is Adapter.get_output_shapes.__wrapped__.__code__  # type: ignore[attr-defined]
    reached = []

    def body() -> None:
        handle: Any = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            handle(signal.SIGINT, method)
        handle(signal.SIGINT, wrapper)
        reached.append("the end")

    interrupted_at_the_end_of(body)
    assert reached == ["the end"]


def test_it_is_raised_at_once_outside_of_callbacks() -> None:
    with callback_errors(), pytest.raises(KeyboardInterrupt):
        press()


def test_blocks_inside_each_other_hand_it_on() -> None:
    results = []

    def inner() -> None:
        results.append(Adapter().clone())

    def outer() -> None:
        interrupted_at_the_end_of(inner)
        results.append(Adapter().clone())

    interrupted_at_the_end_of(outer)
    assert results == ["a clone"] * 2


def test_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with callback_errors():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_handlers_alone() -> None:
    seen = []

    def work() -> None:
        with callback_errors():
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_program_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with callback_errors():
            press()
            assert Adapter().clone() == "a clone"
    finally:
        signal.signal(signal.SIGINT, old)
