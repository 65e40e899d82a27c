import pytest

from pluginkit import float32
from pluginkit.contract import calls
from pluginkit.kernels import machine_code
from tests.unit.kernels.plugins import Combine, Stamp


@pytest.fixture
def describe():
    """Concrete descriptions of a plugin's inputs and outputs."""

    def described(plugin, *shapes, dtype=float32):
        inputs = calls.describe_inputs(plugin, list(shapes), [dtype] * len(shapes))
        return inputs, calls.describe_outputs(plugin, inputs)

    return described


@pytest.fixture
def combine():
    """The class Combine."""
    return Combine


@pytest.fixture
def stamp():
    """The class Stamp."""
    return Stamp


@pytest.fixture
def compiles(monkeypatch, tmp_path):
    """An empty cache; the list of the kernels that each program compiled."""
    programs = []
    original = machine_code.compile_cuda
    monkeypatch.setenv("PLUGINKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(machine_code, "_processors", lambda: 1)
    monkeypatch.setattr(
        machine_code,
        "compile_cuda",
        lambda group, arch: programs.append([str(one) for one in group]) or original(group, arch),
    )
    return programs
