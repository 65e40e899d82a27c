"""Options that a TensorRT does not offer, and what is chosen for a model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pluginkit import BuildOptions, find_plugins
from pluginkit.engine.build.build_options import check_options, resolve_options
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.errors import MissingDependencyError, UsageError
from pluginkit.trt.flavour import Flavour


def flavour_of(name: str, version: str, *members: str, flags: tuple[str, ...] = ()) -> Flavour:
    builder_flag = SimpleNamespace(**dict.fromkeys(flags))
    capability = SimpleNamespace(SM86=1, SM89=2)
    module = SimpleNamespace(
        **dict.fromkeys(members), BuilderFlag=builder_flag, ComputeCapability=capability
    )
    return Flavour(name, module, version)


RTX = flavour_of("tensorrt_rtx", "1.7.1", "Builder", "OnnxParser")
TRT_10 = flavour_of("tensorrt", "10.16.1", "Builder", "OnnxParser", flags=("FP16",))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"interface": "v2"}, "PK513.*IPluginV3 plugins only"),
        ({"fp16": True}, "PK513.*no fp16 option"),
        ({"version_compatible": True}, "PK513.*no version-compatible"),
        ({"workspace_bytes": 0}, "PK526"),
        ({"workspace_bytes": 2**63}, "PK526"),
    ],
)
def test_what_the_flavour_does_not_offer_is_refused(options: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError, match=code):
        check_options(BuildOptions(**options), RTX)


def test_what_the_flavour_offers_is_taken() -> None:
    assert check_options(BuildOptions(), RTX) is None
    demanding = BuildOptions(interface="v2", fp16=True, version_compatible=True)
    assert check_options(demanding, TRT_10) is None
    with pytest.raises(UsageError, match="PK513"):
        check_options(demanding, RTX)


def test_a_flavour_without_a_builder_builds_nothing() -> None:
    lean = flavour_of("tensorrt_lean", "10.16.1", "Runtime")
    with pytest.raises(MissingDependencyError, match="PK510 tensorrt_lean builds no engines"):
        check_options(BuildOptions(), lean)


def test_a_timing_cache_needs_a_folder(tmp_path: Path) -> None:
    check_options(BuildOptions(timing_cache=tmp_path / "timing.cache"), RTX)
    with pytest.raises(UsageError, match="PK525"):
        check_options(BuildOptions(timing_cache=str(tmp_path / "missing" / "timing.cache")), RTX)


@pytest.mark.parametrize(
    ("names", "has_aliased_io"), [({"AddRMSNorm", "CircPad"}, True), ({"CircPad"}, False)]
)
def test_aliased_io_follows_from_the_plugins(names: set[str], has_aliased_io: bool) -> None:
    plugins = [plugin for plugin in find_plugins().values() if plugin.__name__ in names]
    assert len(plugins) == len(names)
    options = BuildOptions(compute_capabilities=["8.9", (8, 6)])
    resolved = resolve_options(options, RTX, plugins, BuildObserver())
    assert resolved.capabilities == ((8, 9), (8, 6))
    assert resolved.has_aliased_io is has_aliased_io
