from collections.abc import Iterator

import pytest

from pluginkit.trt.flavour import Flavour, load_flavour
from tests.export.registry_caller import TensorRT, opened_lean


@pytest.fixture(scope="session")
def lean() -> Flavour:
    return load_flavour("tensorrt_lean")


@pytest.fixture(scope="session")
def tensorrt(tmp_path_factory: pytest.TempPathFactory) -> TensorRT:
    """tensorrt_lean's registry, called from C++."""
    opened = opened_lean(tmp_path_factory.mktemp("caller"))
    if opened is None:
        pytest.skip("tensorrt_lean is not installed")
    return opened


@pytest.fixture
def gigabytes() -> Iterator[None]:
    """Give back the memory of a test at its end: other processes of the run need theirs."""
    import cupy

    yield
    cupy.get_default_memory_pool().free_all_blocks()
