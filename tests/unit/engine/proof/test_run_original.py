"""The model's side of a comparison with a plan, where ONNX Runtime does not know every node."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx

from pluginkit.discovery import find_plugins
from pluginkit.engine.plan.manifest import Manifest, Tensor
from pluginkit.engine.proof.compare_plan import in_plan_types, run_original
from pluginkit.engine.proof.compared_original import compared_original
from tests.unit.engine.plan.test_check_manifest import MANIFEST

PADDED = """
    <ir_version: 10, opset_import: ["" : 18, "pluginkit" : 1]>
    g (float[1, 1, 2, 2] x) => (float[1, 1, 3, 3] y)
    { a = Neg(x)  b = pluginkit.CircPad_PK <pads = [0, 0, 1, 1]> (a)  y = Neg(b) }
"""


def test_a_node_of_a_plugin_is_computed_by_its_reference(tmp_path: Path) -> None:
    path = tmp_path / "padded.onnx"
    model = onnx.parser.parse_model(PADDED)
    pad = model.graph.node[1]
    attributes = {"plugin_namespace": "pluginkit", "plugin_version": "1"}
    pad.attribute.extend(onnx.helper.make_attribute(*each) for each in attributes.items())
    onnx.save(model, path)
    outputs = tuple(Tensor(name, "float32", (1, 1, 3, 3)) for name in ("y", "b", "fused"))
    original = compared_original(path, find_plugins())
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    runs = run_original(original, dataclasses.replace(MANIFEST, outputs=outputs), [{"x": x}], None)
    assert runs.wanted[0]["y"].tolist() == [[[[0, 1, 0], [2, 3, 2], [0, 1, 0]]]]
    assert runs.inside == ["b"]
    assert np.array_equal(runs.wanted[0]["b"], -runs.wanted[0]["y"])
    assert "; 1 node that it does not know by plugins' references" in runs.computed_by


def test_inputs_get_the_narrower_types_of_the_plan() -> None:
    types = {"x": "float16", "y": "bfloat16", "n": "int32", "b": "bool"}
    manifest = dataclasses.replace(
        MANIFEST, inputs=tuple(Tensor(name, dtype, (2,)) for name, dtype in types.items())
    )
    ones = np.ones(2, np.float32)
    feeds = {"x": ones, "y": ones, "n": np.arange(2), "b": ones > 0}
    made = in_plan_types(manifest, feeds)
    assert {name: array.dtype.name for name, array in made.items()} == types


def test_words_are_their_places_in_the_list_of_the_plan() -> None:
    manifest = dataclasses.replace(
        MANIFEST, inputs=(Tensor("s", "int64", (3,)),), words=("blue", "red")
    )
    words = np.array(["red", "blue", "green"], object)
    made = in_plan_types(manifest, {"s": words})["s"]
    assert made.dtype == np.int64
    assert made[:2].tolist() == [1, 0]
    assert made[2] >= 2
    assert Manifest.from_json(manifest.to_json()).words == ("blue", "red")
