"""Exported plugins from a real registry, called from C++ in TensorRT's order.

The recording driver replaces libcuda.so.1: everything but the GPU is real, down to the launches,
which must equal those of the Python class. tests/gpu/test_exported_gpu.py does the same on a GPU.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pluginkit import float32
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.contract import calls
from pluginkit.export.compile.compiler import find_compiler
from pluginkit.export.generate.generate_library import generate_library
from pluginkit.export.prove.call import STREAM, pointers
from pluginkit.export.prove.python_side import python_answer
from pluginkit.export.trace.methods import trace_plugin
from pluginkit.export.variant import ANY, Variant
from pluginkit.trt.recorded_sizes import RecordedSizes
from tests.export.called_plugins import (
    SHIPPED,
    RecordingDriver,
    generated,
    link,
    proved_call,
    with_other_shapes,
)
from tests.export.registry_caller import Context, PluginRefusedError, TensorRT
from tests.export.structures import Profile, profile_of

pytestmark = [pytest.mark.trt, pytest.mark.slow, pytest.mark.exhaustive]


@pytest.fixture
def driver(recording_driver: Path, monkeypatch: pytest.MonkeyPatch) -> RecordingDriver:
    monkeypatch.setenv("PLUGINKIT_CUDA_DRIVER", str(recording_driver))
    return RecordingDriver(recording_driver)


def enqueued(context: Context, call: PluginCall) -> None:
    inputs, outputs, workspace = pointers(len(call.device_arrays), len(call.plugin.spec.outputs))
    context.enqueue_pointers(call.shapes, inputs, outputs, workspace, STREAM, call.values)


@pytest.mark.parametrize(
    ("name", "interface"),
    [
        (name, interface)
        for name, plugin in SHIPPED.items()
        for interface in ("v3", "v2")
        if interface == "v3" or not plugin.spec.needs_v3
    ],
)
def test_a_plugin_from_the_registry_makes_the_launches_of_its_class(
    tensorrt: TensorRT, driver: RecordingDriver, tmp_path: Path, name: str, interface: str
):
    plugin = SHIPPED[name]
    sequences = with_other_shapes(Subject(plugin).calls("cover"))
    library = generated((c for each in sequences for c in each), "90", has_kernels=False)
    driver.tell(library.modules)
    compiler = dataclasses.replace(find_compiler(), optimization="-O0")
    (file,) = link(library, compiler, tensorrt.major, tmp_path, interface)
    tensorrt.said()
    with tensorrt.loaded(file):
        assert tensorrt.interface(plugin.spec.key) == interface
        for sequence in sequences:
            first = sequence[0]
            with tensorrt.built(first.plugin, profile_of(sequence)) as layer:
                descs = calls.describe_outputs(first.plugin, first.describe())
                assert layer.output_shapes == [desc.shape for desc in descs]
                assert layer.output_dtypes == [desc.dtype.name for desc in descs]
                assert layer.tactics == (len(plugin.spec.tactics) if interface == "v3" else 0)
                with tensorrt.attached(layer) as context:
                    for call in (*sequence, first):
                        expected = python_answer(proved_call(call), library.symbols)
                        assert expected.workspace_bytes <= layer.workspace_bytes
                        got = driver.steps(lambda call=call: enqueued(context, call))
                        assert got == list(expected.steps), call.label
    assert tensorrt.interface(plugin.spec.key) is None
    assert tensorrt.said() == ""
    assert driver.count("loaded") == driver.count("unloaded") > 0
    assert driver.count("retained") == 0
    assert str(file) not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_a_size_without_a_limit_gets_the_memory_that_the_class_reserves(
    tensorrt: TensorRT,
    driver: RecordingDriver,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
):
    """TensorRT's bound of a size that values tell is 2**63 - 1; more than 2**20 may be refused."""
    plugin = SHIPPED["CumProd"]()
    library = generate_library([trace_plugin(Variant(plugin, (float32,), ((ANY,),)))], ["90"])
    driver.tell(library.modules)
    compiler = dataclasses.replace(find_compiler(), optimization="-O0")
    (file,) = link(library, compiler, tensorrt.major, tmp_path, "v3")
    sizes = RecordedSizes()
    sizes.record(plugin, [(2**63 - 1,)], [float32], [(2**63 - 1,)])
    with tensorrt.loaded(file):
        profile = Profile([float32], [(1,)], [(100,)], [(2**63 - 1,)], {})
        with tensorrt.built(plugin, profile) as layer, tensorrt.attached(layer) as context:
            assert layer.workspace_bytes == sizes.workspace_bytes([float32]) > 0
            context.announce([(2**20,)], {})
            with pytest.raises(PluginRefusedError):
                context.announce([(2**24,)], {})
    said = capfd.readouterr().err
    assert "PK217 CumProd needs" in said
    assert f"a size follows from values, and {2**20} was reserved for it." in said
