"""``min`` and ``max`` are Python's own again, whichever thread ends first."""

import builtins
from concurrent.futures import ThreadPoolExecutor

from pluginkit.tracing.extremes import tracing_extremes
from pluginkit.tracing.numbers import TracedInt
from pluginkit.tracing.recording import Recording


def test_threads_trace_at_once_and_leave_pythons_functions() -> None:
    originals = builtins.min, builtins.max
    recording, other = Recording(), Recording()
    first, second = tracing_extremes(recording), tracing_extremes(other)
    with ThreadPoolExecutor(1) as threads:
        first.__enter__()
        threads.submit(second.__enter__).result()
        smaller = min(recording.number(3), 5)
        both = [smaller, threads.submit(lambda: min(other.number(4), 5)).result()]
        first.__exit__(None, None, None)
        threads.submit(second.__exit__, None, None, None).result()
    assert [type(one) for one in both] == [TracedInt, TracedInt]
    assert [one.expr.op for one in both] == ["min", "min"]
    assert (builtins.min, builtins.max) == originals
    assert (min(3, 2, key=lambda n: -n), max([1, 4]), min((), default=7)) == (3, 4, 7)
