import importlib.metadata

import pytest

from pluginkit.trt import flavour

pytestmark = pytest.mark.trt


@pytest.mark.parametrize("name", flavour.installed_flavours())
def test_a_version_is_known_without_a_look_into_every_package(name, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "packages_distributions", dict)
    flavour._installed_version.cache_clear()
    assert flavour.installed_version(name) == flavour.load_flavour(name).version
    flavour._installed_version.cache_clear()
