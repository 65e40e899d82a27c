import signal
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_arrives() -> None:
    """Also where a script started the tests in the background, which ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def no_modules_of_other_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the plugins and rewrites that other tests have imported from temporary folders."""
    folder = str(tmp_path_factory.getbasetemp().parent)

    def is_temporary(module: ModuleType) -> bool:
        places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
        return any(str(place).startswith(folder) for place in places)

    hidden = {name: module for name, module in sys.modules.items() if is_temporary(module)}
    for name in hidden:
        del sys.modules[name]
    yield
    for name, module in list(sys.modules.items()):
        if is_temporary(module):
            del sys.modules[name]
    sys.modules.update(hidden)
