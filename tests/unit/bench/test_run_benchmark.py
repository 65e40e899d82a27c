import math
import statistics
import time
from threading import Event, Thread

import numpy as np
import pytest

from pluginkit import float32
from pluginkit.bench.gpu_timer import GpuTimer, Passes, host_times, turn
from pluginkit.bench.run_benchmark import WorkloadBench, run_benchmark
from pluginkit.bench.workload import NotOffered, Peer, Workload
from pluginkit.trt.flavour import load_flavour
from tests.unit.bench.doubles import HostDouble, array_of

pytestmark = pytest.mark.trt


def inputs(xp, seed):
    return [xp.random.default_rng(seed).random((32, 8), np.float32)]


def right(plugin, sources, targets):
    def call():
        array_of(targets[0])[...] = array_of(sources[0]) * 2

    return call


def returning(plugin, sources, targets):
    return lambda: array_of(sources[0]) * 2


def wrong(plugin, sources, targets):
    def call():
        array_of(targets[0])[...] = array_of(sources[0]) * 2 + 0.5

    return call


def partial(plugin, sources, targets):
    def call():
        array_of(targets[0])[1:] = array_of(sources[0])[1:] * 2

    return call


def refusing(plugin, sources, targets):
    raise NotOffered("no such thing")


def breaking(plugin, sources, targets):
    raise RuntimeError("broken\nin two lines")


@pytest.fixture
def measured(device):
    def measure(*binds, **fields):
        workload = Workload("case", "variant", HostDouble(), (float32,), inputs, **fields)
        peers = [Peer(bind.__name__, bind) for bind in binds]
        flavour = load_flavour("tensorrt_lean")
        report = run_benchmark("Double", [workload], peers, device, flavour=flavour)
        return {one.implementation: one for one in report.results}

    return measure


def test_the_plugin_is_measured_through_both_adapters(measured, device):
    own = measured()["pluginkit"]
    assert (own.status, own.error, own.device_us) == ("ok", 0, 2.0)
    assert (own.host_v2_us, own.host_v3_us) == (6.0, 6.0)
    assert own.compulsory_bytes == 2 * 32 * 8 * 4
    assert own.floor_us == own.compulsory_bytes / 1e12 * 1e6
    assert own.over_floor == 2.0 / own.floor_us
    assert own.shapes == ["float32[32, 8]"] * 2


def test_buffer_sets_exceed_the_cache_four_times(measured, device):
    measured()
    assert device.counts == [4 * device.l2_bytes // (2 * 32 * 8 * 4)]


def test_a_workload_may_limit_the_buffer_sets(measured, device):
    measured(most_sets=3)
    assert device.counts == [3]


def test_inputs_are_drawn_four_times_and_every_set_has_its_own_memory(measured):
    bound = []

    def recording(plugin, sources, targets):
        bound.append((sources[0].pointer, array_of(sources[0]).tobytes()))
        return right(plugin, sources, targets)

    assert measured(recording)["recording"].status == "ok"
    pointers, contents = zip(*bound, strict=True)
    assert (len(bound), len(set(pointers)), len(set(contents))) == (8, 8, 4)


def test_a_workload_may_know_better_what_must_be_moved(measured):
    assert measured(compulsory_bytes=100)["pluginkit"].compulsory_bytes == 100


def test_peers_write_outputs_or_return_them(measured):
    found = measured(right, returning)
    assert [found[name].status for name in ("right", "returning")] == ["ok", "ok"]
    assert found["returning"].host_v2_us is None


def test_a_wrong_peer_is_not_timed(measured, device):
    found = measured(wrong)["wrong"]
    assert (found.status, found.device_us) == ("wrong", None)
    assert math.isclose(found.error, 0.5, rel_tol=0.5)
    assert len(device.counts) == 1


def test_an_element_that_is_not_written_is_found_outside_the_sample(measured):
    found = measured(partial, sample=(slice(1, None),))["partial"]
    assert (found.status, found.error) == ("wrong", None)
    assert "not written" in found.note


def test_a_sample_cuts_the_tensors_that_it_names(measured):
    found = measured(right, sample={"x": (slice(0, 3),), "y": (slice(0, 3),)})
    assert [(one.status, one.error) for one in found.values()] == [("ok", 0)] * 2
    with pytest.raises(ValueError, match="shape"):
        measured(sample={"x": (slice(0, 3),)})


def test_what_a_peer_cannot_do_is_its_result(measured):
    found = measured(refusing, breaking)
    assert (found["refusing"].status, found["refusing"].note) == ("not offered", "no such thing")
    assert (found["breaking"].status, found["breaking"].note) == ("failed", "RuntimeError: broken")


class SlowReference(HostDouble):
    """y = 2 x, whose reference takes its time."""

    def reference(self, x):
        time.sleep(0.3)
        return x * 2


def test_a_reference_that_takes_too_long_leaves_it_to_a_peer(device):
    def own_of(*binds):
        workload = Workload("case", "", SlowReference(), (float32,), inputs)
        peers = [Peer(bind.__name__, bind) for bind in binds]
        flavour = load_flavour("tensorrt_lean")
        bench = WorkloadBench(
            workload, device, flavour=flavour, bandwidth=1e12, reference_seconds=0.05
        )
        return next(bench.results(peers))

    own = own_of(refusing, returning, wrong)
    assert (own.status, own.error, own.note) == ("ok", 0, "compared with returning")
    own = own_of(breaking, wrong)
    assert (own.status, own.note) == ("wrong", "error 0.5")
    own = own_of(refusing)
    assert (own.status, own.note) == ("ok", "")  # with the reference after all


def test_a_device_may_leave_out_host_times(measured, device, monkeypatch):
    monkeypatch.setattr(device, "host_times", lambda calls: [])
    own = measured()["pluginkit"]
    assert (own.status, own.host_v2_us, own.host_v3_us) == ("ok", None, None)


def test_host_times_are_of_single_calls():
    calls, waits = [], []
    times = host_times([lambda: calls.append(1)], lambda: waits.append(1))
    assert len(times) == len(calls) > 100
    assert len(waits) > 1
    assert 0 < statistics.median(times) < 1000


def test_host_times_of_long_work_end_early(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pluginkit.bench.gpu_timer.time.perf_counter", lambda: now[0])

    def wait():
        now[0] += 0.6

    every = host_times([lambda: None], lambda: None)
    assert len(host_times([lambda: None], wait)) == len(every) // 12


def test_a_pass_has_calls_until_the_events_do_not_matter_and_no_more_than_fit(monkeypatch):
    now, timer = [0.0], GpuTimer.__new__(GpuTimer)
    monkeypatch.setattr("pluginkit.bench.gpu_timer.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(timer, "synchronize", lambda: None, raising=False)

    def work_of(*seconds):
        left = iter(seconds)
        return lambda: now.__setitem__(0, now[0] + next(left))

    def calls(longest, *seconds, sets=32):
        monkeypatch.setattr(timer, "_passes", Passes(longest=longest), raising=False)
        return len(timer._pass_of([work_of(*seconds)] * sets))

    assert calls(0.5, 0.001, 0.001) == 32
    assert calls(0.5, 9.0, 0.125) == 4  # the first call loaded a kernel
    assert calls(0.5, 3.0, 3.0) == 1
    assert calls(math.inf, 9.0, 9.0) == 32
    assert calls(math.inf, 9.0, 0.00005, sets=3) == 18
    assert calls(0.5, 9.0, 0.00005, sets=3) == 18
    assert calls(math.inf, 9.0, 0.001, sets=3) == 3
    assert calls(0.00012, 9.0, 0.00005, sets=3) == 2


def test_events_are_recorded_on_the_stream_that_the_work_is_on(monkeypatch):
    timer, entered = GpuTimer.__new__(GpuTimer), []

    class Stream:
        def __enter__(self):
            entered.append(self)

        def __exit__(self, *error):
            entered.remove(self)

    monkeypatch.setattr(timer, "_stream", Stream(), raising=False)
    monkeypatch.setattr(timer, "_turns", None, raising=False)
    monkeypatch.setattr(timer, "_device_times", lambda calls: [float(len(entered))])
    assert timer.device_times([]) == [1.0]
    assert not entered


def test_only_one_has_the_turn_of_a_file(tmp_path):
    waits, done = Event(), []

    def other():
        waits.set()
        with turn(tmp_path / "turns"):
            done.append("other")

    thread = Thread(target=other)
    with turn(tmp_path / "turns"):
        thread.start()
        assert waits.wait(5)
        thread.join(0.2)
        done.append("first")
    thread.join(5)
    assert done == ["first", "other"]
    with turn(None), turn(None):
        pass
