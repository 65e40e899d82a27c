import pytest

from pluginkit.errors import MissingDependencyError
from pluginkit.kernels import load


@pytest.fixture(autouse=True)
def _needs_gpu():
    try:
        load.current_device()
    except MissingDependencyError as error:
        pytest.skip(error.message)
