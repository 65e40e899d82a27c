from types import SimpleNamespace

import pytest

from pluginkit.engine.build.build_progress import BuildObserver, progress_monitor
from pluginkit.engine.parse.polygraphy_backend import meaningful

TRT = SimpleNamespace(IProgressMonitor=object)


def test_the_monitor_tells_the_observer_and_asks_whether_to_go_on() -> None:
    seen: list[tuple[object, ...]] = []

    class Observer(BuildObserver):
        def phase_start(self, name: str, parent: str | None, num_steps: int) -> None:
            seen.append((name, parent, num_steps))

        def step_complete(self, name: str, step: int) -> None:
            seen.append((name, step))

        def phase_finish(self, name: str) -> None:
            seen.append((name,))

    monitor = progress_monitor(TRT, Observer(), lambda: len(seen) > 2)
    monitor.phase_start("build", None, 2)
    assert monitor.step_complete("build", 0)
    assert not monitor.step_complete("build", 1)
    monitor.phase_finish("build")
    assert seen == [("build", None, 2), ("build", 0), ("build", 1), ("build",)]


def test_an_observer_that_fails_does_not_end_the_build() -> None:
    class Broken(BuildObserver):
        def step_complete(self, name: str, step: int) -> None:
            raise KeyError(name)

    monitor = progress_monitor(TRT, Broken(), lambda: False)
    with pytest.warns(RuntimeWarning, match="build observer failed: KeyError"):
        assert monitor.step_complete("build", 0)


def test_noise_is_left_out_of_the_log_unless_it_is_all_there_is() -> None:
    noise = "Error Code 1: Cuda Runtime (cudaError 35: CUDA driver version is insufficient)"
    assert meaningful(["bad tactic", noise, "bad tactic"]) == "bad tactic"
    assert meaningful([noise, noise]) == noise
    assert meaningful([]) == ""
