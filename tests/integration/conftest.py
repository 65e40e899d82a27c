import pytest

from pluginkit.errors import MissingDependencyError
from pluginkit.trt.flavour import Flavour, load_flavour


def flavour_or_skip(name: str) -> Flavour:
    try:
        return load_flavour(name)
    except MissingDependencyError as error:
        pytest.skip(f"{name} is missing: {error.message}")


@pytest.fixture(params=["tensorrt_lean", "tensorrt_rtx"])
def flavour(request: pytest.FixtureRequest) -> Flavour:
    return flavour_or_skip(request.param)


@pytest.fixture(params=["v2", "v3"])
def interface(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def rtx() -> Flavour:
    return flavour_or_skip("tensorrt_rtx")
