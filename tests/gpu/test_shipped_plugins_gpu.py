"""The kernels of every shipped plugin, through its adapter, on the GPU.

Every case in every type and tactic runs in TensorRT's order of calls: results must be the
reference's. test_exported_gpu.py does the same with the exported libraries.
"""

from __future__ import annotations

import pytest

from pluginkit import Plugin
from pluginkit.checking.executions import layer_for
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.device.memory import CupyMemory
from tests.export.called_plugins import SHIPPED, with_other_shapes
from tests.gpu.one_context import live

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


@pytest.mark.parametrize("plugin", SHIPPED.values(), ids=SHIPPED)
def test_every_case_in_every_type_is_the_references(plugin: type[Plugin]) -> None:
    memory = CupyMemory()
    sequences = with_other_shapes(Subject(plugin).calls())
    for sequence in sequences:
        with layer_for(sequence[0], sequence[1:]).context() as context:
            live(context, sequence, memory)
    assert len(sequences) > 0
