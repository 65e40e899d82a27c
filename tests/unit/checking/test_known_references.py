import numpy as np
import pytest

from pluginkit import Input, Output, Plugin, attribute, float32, int32
from pluginkit.checking import known_references
from pluginkit.checking.known_references import KnownReferences
from pluginkit.errors import TensorError

RUNS: list[float] = []


class Shifted(Plugin):
    types = {"T": (float32, int32)}
    by: float = attribute(default=1.0)
    x = Input("T")
    y = Output("T", like="x")

    def enqueue(self, inputs, outputs, workspace, stream):
        raise NotImplementedError

    def reference(self, x):
        RUNS.append(self.by)
        return (x + self.by).astype(x.dtype)


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    RUNS.clear()


def test_the_reference_runs_once_for_the_same_inputs() -> None:
    known, x = KnownReferences(), np.arange(3, dtype=np.float32)
    (first,) = known.outputs(Shifted(), [x])
    (second,) = known.outputs(Shifted(), [x.copy()])
    assert first.tolist() == second.tolist() == [1, 2, 3]
    assert RUNS == [1]
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 5


def test_other_values_types_shapes_and_attributes_are_other_inputs() -> None:
    known, x = KnownReferences(), np.zeros(2, np.float32)
    calls = [(Shifted(), x), (Shifted(), x + 1), (Shifted(), x.astype(np.int32))]
    calls += [(Shifted(), x.reshape(1, 2)), (Shifted(by=2.0), x)]
    results = [known.outputs(plugin, [array])[0] for plugin, array in calls]
    assert len(RUNS) == len(calls)
    assert [one.tolist() for one in results] == [[1, 1], [2, 2], [1, 1], [[1, 1]], [2, 2]]
    assert results[2].dtype == np.int32


def test_few_bytes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_references, "_KEPT", 8)
    known, x = KnownReferences(), np.zeros(3, np.float32)
    known.outputs(Shifted(), [x])
    known.outputs(Shifted(), [x])
    assert len(RUNS) == 2


def test_refusals_are_raised_again() -> None:
    known, x = KnownReferences(), np.zeros(2, np.float16)
    for _ in range(2):
        with pytest.raises(TensorError, match="PK112"):
            known.outputs(Shifted(), [x])
