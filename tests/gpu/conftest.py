import pytest

from pluginkit.errors import MissingDependencyError
from pluginkit.kernels import load
from pluginkit.trt.flavour import Flavour, load_flavour


@pytest.fixture(autouse=True)
def _needs_gpu():
    try:
        load.current_device()
    except MissingDependencyError as error:
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def lean() -> Flavour:
    return load_flavour("tensorrt_lean")
