from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pluginkit.errors import MissingDependencyError
from pluginkit.kernels import cuda_packages
from pluginkit.kernels.cuda_packages import need, numba_cuda


def test_numba_works_without_row_stack(monkeypatch):
    imported = []
    monkeypatch.delattr(np, "row_stack")  # as in numpy 2.5
    original = cuda_packages.need

    def spy(module):
        imported.append((module, hasattr(np, "row_stack")))
        return original(module)

    monkeypatch.setattr(cuda_packages, "need", spy)
    numba_cuda()
    assert ("numba.cuda.np.arrayobj", True) in imported
    assert not hasattr(np, "row_stack")


def test_missing_package():
    with pytest.raises(MissingDependencyError, match="PK310 no_such_package"):
        need("no_such_package")


def test_a_module_that_another_thread_imports_is_waited_for(tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(0.2)\nready = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with ThreadPoolExecutor(2) as threads:
        assert all(one.ready for one in threads.map(need, ["slow_module"] * 2))
