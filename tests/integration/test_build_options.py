"""What the options of a build do to TensorRT's configuration, and to the plan."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from pluginkit import BuildOptions
from pluginkit.cli.main import main
from pluginkit.device.gpus import find_gpu
from pluginkit.engine import BuildObserver, build_engine
from pluginkit.engine.build import config_options
from pluginkit.engine.build.build_options import ResolvedOptions, check_options
from pluginkit.engine.build.builder_config import builder_config
from pluginkit.engine.build.config_options import (
    ConfigOptions,
    check_config,
    config_arguments,
    finish_config,
)
from pluginkit.engine.build.profiles import OptimizationProfile, ShapeRange
from pluginkit.engine.build.serialize_network import serialize_network
from pluginkit.engine.parse.parse_model import parse_model
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log
from pluginkit.errors import BuildError, MissingDependencyError, UsageError
from pluginkit.trt.flavour import Flavour, load_flavour
from tests.unit.onnx.precision.float_models import cnn

pytestmark = pytest.mark.trt

RTX = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "cnn.onnx"
    onnx.save(cnn(), path)
    return path


def configured(model: Path, **options: Any) -> tuple[Any, Any]:
    """TensorRT-RTX, and the configuration with which it would build."""
    flavour = load_flavour("tensorrt_rtx")
    bind_polygraphy(flavour)
    with captured_log():
        parsed = parse_model(flavour, onnx.load(model), model, [])
        resolved = ResolvedOptions(replace(RTX, **options), ((8, 9),))
        return flavour.module, builder_config(parsed, [], resolved, None)


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_switched_off(tf32: bool, model: Path) -> None:
    trt, config = configured(model, tf32=tf32)
    assert config.get_flag(trt.BuilderFlag.TF32) == tf32


def plan_of(model: Path, **config: Any) -> bytes:
    """The plan that TensorRT-RTX builds with options, also those that pluginkit would refuse."""
    flavour = load_flavour("tensorrt_rtx")
    bind_polygraphy(flavour)
    with captured_log() as errors:
        parsed = parse_model(flavour, onnx.load(model), model, [])
        options = replace(RTX, config=ConfigOptions(**config))
        shape = (1, 3, 16, 16)
        profile = OptimizationProfile({"x": ShapeRange(shape, shape, shape)}, frozenset())
        resolved = ResolvedOptions(options, ((8, 9),))
        return serialize_network(parsed, [profile], resolved, BuildObserver(), errors)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A model, and its plan without options."""
    path = tmp_path_factory.mktemp("plain") / "cnn.onnx"
    onnx.save(cnn(), path)
    return path, plan_of(path)


@pytest.mark.parametrize(
    "config",
    [
        {"optimization_level": 0},
        {"optimization_level": 5},
        {"tactic_sources": []},
        {"hardware_compatibility": "ampere_plus"},
        {"hardware_compatibility": "same_compute_capability"},
        {"editable_timing_cache": True},
    ],
)
def test_rtx_refuses_what_would_have_no_effect(
    config: dict[str, Any], plain: tuple[Path, bytes]
) -> None:
    path, plan = plain
    assert plan_of(path, **config) == plan
    with pytest.raises(UsageError, match="has no use for --") as caught:
        check_config(ConfigOptions(**config), load_flavour("tensorrt_rtx"), False)
    assert caught.value.code == "PK513"
    assert caught.value.cause


@pytest.mark.parametrize(
    "config",
    [
        {"weight_streaming": True},
        {"profiling_verbosity": "none"},
        {"profiling_verbosity": "layer_names_only"},
    ],
)
def test_rtx_builds_another_plan_with_what_it_has(
    config: dict[str, Any], plain: tuple[Path, bytes]
) -> None:
    path, plan = plain
    changed = plan_of(path, **config)
    assert len(changed) == len(plan)
    differing = sum(one != other for one, other in zip(changed, plan, strict=True))
    assert 1 <= differing <= 8  # the option alone
    check_config(ConfigOptions(**config), load_flavour("tensorrt_rtx"), False)


def test_a_plan_that_can_be_refitted_needs_a_gpu_to_build(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_options, "find_gpu", lambda: None)
    options = replace(RTX, config=ConfigOptions(refit=True, strip_weights=True))
    with pytest.raises(MissingDependencyError) as caught:
        build_engine(model, options=options)
    assert caught.value.code == "PK511"
    assert not model.with_suffix(".plan").exists()
    trt, config = configured(model, config=options.config)
    assert config.get_flag(trt.BuilderFlag.REFIT)
    assert config.get_flag(trt.BuilderFlag.STRIP_PLAN)


def test_the_whole_tensorrt_gets_what_create_config_calls_it() -> None:
    rtx = load_flavour("tensorrt_rtx")
    trt = Flavour("tensorrt", rtx.module, "11.4.0")
    options = ConfigOptions(
        refit=True,
        hardware_compatibility="ampere_plus",
        optimization_level=3,
        tactic_sources=["jit_convolutions"],
        dla_core=1,
        exclude_lean_runtime=True,
    )
    check_config(options, trt, True)
    assert config_arguments(options, trt) == {
        "refittable": True,
        "hardware_compatibility_level": rtx.module.HardwareCompatibilityLevel.AMPERE_PLUS,
        "builder_optimization_level": 3,
        "tactic_sources": [rtx.module.TacticSource.JIT_CONVOLUTIONS],
        "exclude_lean_runtime": True,
        "use_dla": True,
        "allow_gpu_fallback": True,
    }
    with pytest.raises(UsageError, match="version-compatible plans only"):
        check_config(options, trt, False)


def test_a_dla_that_is_not_there_is_refused(model: Path) -> None:
    trt = load_flavour("tensorrt_rtx")
    with pytest.raises(UsageError, match="this machine has 0 DLA cores"):
        finish_config(ConfigOptions(dla_core=0), trt, SimpleNamespace(num_DLA_cores=0), None, None)
    config = SimpleNamespace()
    finish_config(ConfigOptions(dla_core=1), trt, SimpleNamespace(num_DLA_cores=2), None, config)
    assert config.DLA_core == 1


@pytest.mark.skipif(find_gpu() is not None, reason="the builder has the GPU that it wants")
@pytest.mark.parametrize("config", [{"refit": True}, {"strip_weights": True}])
def test_rtx_itself_wants_a_gpu_for_plans_that_can_be_refitted(
    config: dict[str, Any], plain: tuple[Path, bytes]
) -> None:
    with pytest.raises(BuildError, match="PK521"):
        plan_of(plain[0], **config)


def test_an_editable_timing_cache_needs_a_cache() -> None:
    rtx = load_flavour("tensorrt_rtx")
    options = BuildOptions(config=ConfigOptions(editable_timing_cache=True))
    trt = Flavour("tensorrt", rtx.module, "10.16.1")
    with pytest.raises(UsageError, match="PK513 --editable-timing-cache is given without"):
        check_options(options, trt)
    check_options(replace(options, timing_cache="timings"), trt)
    flags: list[Any] = []
    finish_config(options.config, trt, None, None, SimpleNamespace(set_flag=flags.append))
    assert flags == [rtx.module.BuilderFlag.EDITABLE_TIMING_CACHE]


def test_weights_are_streamed_in_strongly_typed_networks_alone(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind_polygraphy(load_flavour("tensorrt_rtx"))
    import polygraphy.backend.trt

    typed: list[bool] = []
    create = polygraphy.backend.trt.create_network

    def create_network(*, strongly_typed: bool) -> Any:
        typed.append(strongly_typed)
        return create(strongly_typed=strongly_typed)

    monkeypatch.setattr(polygraphy.backend.trt, "create_network", create_network)
    for config in (ConfigOptions(), ConfigOptions(weight_streaming=True)):
        build_engine(model, options=replace(RTX, config=config))
    assert typed == [False, True]
    trt = Flavour(
        "tensorrt",
        SimpleNamespace(
            **vars(load_flavour("tensorrt_rtx").module) | {"BuilderFlag": SimpleNamespace(FP16=1)}
        ),
        "10.16.1",
    )
    options = BuildOptions(fp16=True, config=ConfigOptions(weight_streaming=True))
    with pytest.raises(UsageError, match="streams the weights of strongly typed networks alone"):
        check_options(options, trt)


@pytest.mark.parametrize(
    "config",
    [
        {"profiling_verbosity": "loud"},
        {"script": Path("nowhere.py")},
        {"dla_core": 0},
        {"exclude_lean_runtime": True},
    ],
)
def test_wrong_values_are_refused_before_anything_is_built(
    config: dict[str, Any], model: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        build_engine(model, options=replace(RTX, config=ConfigOptions(**config)))
    assert caught.value.code in ("PK513", "PK528")
    assert list(model.parent.iterdir()) == [model]


def test_a_file_that_is_no_timing_cache_is_kept(model: Path) -> None:
    other = model.with_name("weights.bin")
    other.write_bytes(b"weights")
    with pytest.raises(UsageError, match="PK526 timing cache .*weights.bin is damaged"):
        build_engine(model, options=replace(RTX, timing_cache=other))
    assert other.read_bytes() == b"weights"


SCRIPT = """
def postprocess_config(builder, network, config):
    import tensorrt_rtx as trt
    config.set_flag(trt.BuilderFlag.STRICT_NANS)
    config.max_aux_streams = network.num_inputs
"""


def test_a_script_sets_what_has_no_option(model: Path) -> None:
    script = model.with_name("config.py")
    script.write_text(SCRIPT)
    trt, config = configured(model, config=ConfigOptions(script=script))
    assert config.get_flag(trt.BuilderFlag.STRICT_NANS)
    assert config.max_aux_streams == 1
    argv = ["build", str(model), "--config", str(script), "--weight-streaming"]
    assert main([*argv, "--compute-capability", "8.9", "--tensorrt", "tensorrt_rtx"]) == 0
    assert model.with_suffix(".plan").exists()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("def another(): ...", "NameError: it defines no postprocess_config"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def (", "SyntaxError: invalid syntax"),
        (
            "import nowhere_to_be_found",
            "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        ),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("postprocess_config = print, 1", "TypeError: 'tuple' object is not callable"),
    ],
)
def test_a_script_that_fails_is_named_with_the_reason(
    text: str, cause: str, tmp_path: Path
) -> None:
    trt = load_flavour("tensorrt_rtx")
    script = tmp_path / "json.py"  # as a module that is imported already
    script.write_text(text)
    with pytest.raises(UsageError) as caught:
        finish_config(ConfigOptions(script=script), trt, None, None, None)
    assert caught.value.code == "PK528"
    assert str(script) in str(caught.value)
    assert cause in str(caught.value.cause)
