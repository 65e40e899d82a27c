import pytest

from pluginkit import float32
from pluginkit.contract import calls
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
