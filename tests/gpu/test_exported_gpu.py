"""The exported libraries of the shipped plugins, out of TensorRT's registry, on the GPU.

Every case, and one in every type, goes through loadLibrary, the creator and TensorRT's order of
calls, all from C++. Results must be the reference's: outputs and workspace are poisoned first,
memory is guarded, the enqueue is captured in a CUDA graph that is replayed on other data, and the
context takes another shape in between. The kernels are those of test_shipped_plugins_gpu.py.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pluginkit.checking.plugin_under_test import Subject
from pluginkit.device.memory import CupyMemory
from pluginkit.export.compile.compiler import find_compiler
from pluginkit.trt.flavour import Flavour
from pluginkit.trt.plugin_registry import unregister
from tests.export.called_plugins import (
    SHIPPED,
    generated,
    link,
    with_other_shapes,
)
from tests.export.registry_caller import TensorRT
from tests.export.structures import profile_of
from tests.gpu.one_context import live

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_exported_library_computes_what_the_reference_does(
    tensorrt: TensorRT, lean: Flavour, tmp_path: Path, name: str
) -> None:
    plugin, memory = SHIPPED[name], CupyMemory()
    unregister(plugin, flavour=lean)  # other tests of this process may have registered it
    sequences = with_other_shapes(Subject(plugin).calls("cover"))
    capability = memory.cupy.cuda.Device().compute_capability
    library = generated((call for each in sequences for call in each), capability)
    interfaces = ("v3",) if plugin.spec.needs_v3 else ("v3", "v2")
    # Other tests prove optimised libraries; to optimise them takes most of the time.
    compiler = dataclasses.replace(find_compiler(), optimization="-O0")
    files = link(library, compiler, tensorrt.major, tmp_path, *interfaces)
    for interface, file in zip(interfaces, files, strict=True):
        with tensorrt.loaded(file):
            assert tensorrt.interface(plugin.spec.key) == interface
            for sequence in sequences:
                profile = profile_of(sequence)
                with (
                    tensorrt.built(sequence[0].plugin, profile) as layer,
                    tensorrt.attached(layer) as context,
                ):
                    live(context, sequence, memory)
    assert len(sequences) > 0
