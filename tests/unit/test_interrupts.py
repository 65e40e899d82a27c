"""Ctrl-C raises at once, except where its exception would be lost or become another one."""

import importlib.util
import os
import signal
import threading
import time
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from typing import Any

import pytest

from pluginkit.interrupts import interruptible_build, interruptible_command


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.001)  # the handler runs here


class _Loader(ExtensionFileLoader):
    """Loads nothing; calls a function where an extension would be initialised."""

    def __init__(self, initialise: Callable[[], None]) -> None:
        super().__init__("pluginkit_no_such_extension", "none")
        self.initialise = initialise

    def create_module(self, spec: Any) -> Any:
        self.initialise()

    def exec_module(self, module: Any) -> None:
        pass


def load_extension(monkeypatch: pytest.MonkeyPatch, initialise: Callable[[], None]) -> None:
    spec = importlib.util.spec_from_loader("pluginkit_no_such_extension", _Loader(initialise))
    # The frozen frame whose ``self`` is the loader is what the handler looks for.
    code = compile(
        "def create_module(self, spec): self.initialise()", "<frozen importlib._x>", "exec"
    )
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # noqa: S102  # our own text, under the file name that Python's has
    monkeypatch.setattr(_Loader, "create_module", namespace["create_module"])
    assert spec is not None
    importlib.util.module_from_spec(spec)


def test_ctrl_c_interrupts_at_once_elsewhere() -> None:
    def command() -> None:
        press()
        time.sleep(5)

    with interruptible_command(), pytest.raises(KeyboardInterrupt):
        command()


def test_ctrl_c_waits_until_an_extension_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = []

    def initialise() -> None:
        press()
        time.sleep(0.15)
        finished.append(True)

    def command() -> None:
        load_extension(monkeypatch, initialise)
        time.sleep(5)

    with interruptible_command(), pytest.raises(KeyboardInterrupt):
        command()
    assert finished == [True]


def test_ctrl_c_waits_until_a_class_has_named_its_parts() -> None:
    finished = []

    class Part:
        def __set_name__(self, owner: type, name: str) -> None:
            press()
            finished.append(name)

    def command() -> None:
        type("Whole", (), {"part": Part()})
        time.sleep(5)

    with interruptible_command(), pytest.raises(KeyboardInterrupt):
        command()
    assert finished == ["part"]


def test_the_handler_of_a_program_that_calls_us_stays() -> None:
    pressed = []
    old = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        with interruptible_command():
            press()
    finally:
        signal.signal(signal.SIGINT, old)
    assert pressed == [True]


def test_pythons_own_handler_is_put_back() -> None:
    with interruptible_command():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_becomes_a_flag_on_any_thread_and_the_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    answers: list[bool] = []
    with interruptible_build() as is_interrupted:
        assert not is_interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        asker = threading.Thread(target=lambda: answers.append(is_interrupted()))
        asker.start()
        asker.join()
        assert is_interrupted()
    assert answers == [True]
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_another_thread_cannot_be_interrupted() -> None:
    answers: list[bool] = []

    def build() -> None:
        with interruptible_build() as is_interrupted:
            answers.append(is_interrupted())

    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
    assert answers == [False]
