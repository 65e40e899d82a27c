import pytest

from pluginkit.bench.bench_report import BenchReport, Measurement
from tests.unit.bench.doubles import FakeDevice


@pytest.fixture
def device():
    return FakeDevice()


@pytest.fixture
def report():
    def result(implementation, device_us, **fields):
        given = {
            "case": "big",
            "variant": "a|b",
            "dtype": "float32",
            "shapes": ["float32[4]"],
            "status": "ok",
            "compulsory_bytes": 1000,
            "floor_us": 10.0,
        }
        return Measurement(**(given | fields), implementation=implementation, device_us=device_us)

    environment = FakeDevice().environment() | {"tensorrt": "tensorrt_lean 11.4"}
    results = [
        result("pluginkit", 12.5, error=0.0, host_v2_us=6.0, host_v3_us=4.0),
        result("torch <eager>", 25.0),
        result("cupy", None, status="not offered", note="no"),
        result("pluginkit", None, case="small", status="wrong", note="error 3"),
    ]
    date = "2026-01-02T03:04:05+00:00"
    return BenchReport("Double", date, environment, 4e12, 3.5, "C loop", "by hand", results)
