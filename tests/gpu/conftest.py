import pytest

from pluginkit.trt.flavour import Flavour, load_flavour


@pytest.fixture(scope="session")
def lean() -> Flavour:
    return load_flavour("tensorrt_lean")
