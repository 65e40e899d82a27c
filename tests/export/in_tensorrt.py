"""Ask a real TensorRT about a plugin library; each question runs in its own process.

    python -m tests.export.in_tensorrt FLAVOUR QUESTION LIBRARY

prints the answer as JSON.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pluginkit import Copy, Input, Output, Plugin, attribute, float16, float32
from pluginkit.trt.adapter import AdapterCore
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.plugin_v2 import creator_v2, plugin_v2
from pluginkit.trt.plugin_v3 import creator_v3, plugin_v3

KEYS = (("Scale_PK", "1", "pluginkit"), ("Gather_PK", "2", "tests"))


def creators(flavour: Flavour) -> list[str]:
    """Return the names of the plugins of cpp/programs.cpp that the registry has."""
    registry = flavour.module.get_plugin_registry()
    return [key[0] for key in KEYS if registry.get_creator(*key) is not None]


def loaded_twice(flavour: Flavour, library: str) -> dict[str, Any]:
    """Call loadLibrary twice."""
    registry = flavour.module.get_plugin_registry()
    handles = [registry.load_library(library) for _ in range(2)]
    return {"loaded": [each is not None for each in handles], "creators": creators(flavour)}


def opened_twice(flavour: Flavour, library: str) -> dict[str, Any]:
    """Call plain dlopen twice."""
    flavour.module.get_plugin_registry()
    for _ in range(2):
        ctypes.CDLL(library)
    return {"creators": creators(flavour)}


def created(flavour: Flavour, library: str) -> dict[str, Any]:
    """Describe the plugins that the C++ creator makes from TensorRT's fields."""
    trt = flavour.module
    registry = trt.get_plugin_registry()
    registry.load_library(library)
    creator = registry.get_creator(*KEYS[0])
    types = trt.PluginFieldType
    made = []
    for data, kind in ((np.float32(2), types.FLOAT32), (np.float16(2), types.FLOAT16)):
        fields = trt.PluginFieldCollection([trt.PluginField("factor", np.array([data]), kind)])
        made.append(creator.create_plugin("node", fields, trt.TensorRTPhase.BUILD) is not None)
    return {"fields": [each.name for each in creator.field_names], "made": made}


class Scale(Plugin):
    """The declaration of cpp/programs.cpp's Scale."""

    types = {"T": (float32, float16)}
    factor: float = attribute(default=1.0)
    x = Input("T")
    y = Output("T", like="x")

    def launches(self, x: Any, y: Any) -> Copy:
        """Return no launches; nothing runs here."""
        return Copy(y, x)

    def reference(self, x: Any) -> Any:
        """Not used here."""
        return x


def _core(flavour: Flavour, factor: float) -> AdapterCore:
    """Return the adapter as after a build: with the recorded memory sizes in its serialization."""
    core = AdapterCore(Scale(factor=factor), flavour, "node")
    core.workspace_bytes([([(1, 4)], ()), ([(8, 4)], ())], [float32])
    return core


def exchanged_v2(flavour: Flavour, library: str) -> dict[str, Any]:
    """Pass Python's serialization through C++, and back through Python."""
    registry = flavour.module.get_plugin_registry()
    registry.load_library(library)
    there = registry.get_creator(*KEYS[0])
    given = [plugin_v2(_core(flavour, factor)).serialize() for factor in (0.1, 2.0, 1e300)]
    back = [bytes(there.deserialize_plugin("node", each).serialize()) for each in given]
    here = creator_v2(Scale, flavour)
    again = [here.deserialize_plugin("node", each).serialize() for each in back]
    return {"kind": type(there).__name__, "documents": [
        [json.loads(each) for each in pieces] for pieces in zip(given, back, again, strict=True)
    ]}  # fmt: skip


def exchanged_v3(flavour: Flavour, library: str) -> dict[str, Any]:
    """Return what the C++ and the Python creator make from the fields that Python serializes."""
    trt = flavour.module
    registry = trt.get_plugin_registry()
    registry.load_library(library)
    there = registry.get_creator(*KEYS[0])
    core = _core(flavour, 1e300)
    fields = plugin_v3(core).get_fields_to_serialize()
    names = [each.name for each in fields]
    made = there.create_plugin("node", fields, trt.TensorRTPhase.RUNTIME)
    # Python's own creator sees the same collection.
    own = creator_v3(Scale, flavour).create_plugin("node", fields, trt.TensorRTPhase.RUNTIME)
    return {"names": names, "made": made is not None, "factor": own.core.plugin.factor}


def model(
    node: onnx.NodeProto,
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, tuple[int, list[Any]]],
    *constants: onnx.TensorProto,
) -> bytes:
    """Return a model of one node, given the types and shapes of inputs and outputs."""
    values = [
        [helper.make_tensor_value_info(name, *facts) for name, facts in each.items()]
        for each in (inputs, outputs)
    ]
    graph = helper.make_graph([node], "g", *values, initializer=constants)
    opsets = [helper.make_opsetid("", 18)]
    whole: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return whole.SerializeToString()


def scale_model(elem_type: int, **attributes: Any) -> bytes:
    """Return a model of one Scale."""
    key = {"plugin_version": "1", "plugin_namespace": "pluginkit"}
    node = helper.make_node("Scale_PK", ["x"], ["y"], "scaling", **key, **attributes)
    shape = elem_type, ["n", 4]
    return model(node, {"x": shape}, {"y": shape})


def gather_model() -> bytes:
    """Return a model of one Gather: a shape input, a size output, an alias, tactics, workspace."""
    node = helper.make_node(
        "Gather_PK",
        ["x", "k", "kept"],
        ["y", "total", "found"],
        "gathering",
        plugin_version="2",
        plugin_namespace="tests",
        axis=1,
        mode="add",
        pads=[1, 2],
        pluginkit_inputs="x,k,kept",
        tensorrt_plugin_shape_input_indices=[1],
    )
    real, kept = TensorProto.FLOAT, (TensorProto.FLOAT, [6])
    outputs = {"y": (real, [3, None, 4]), "total": kept, "found": (TensorProto.INT32, [])}
    k = numpy_helper.from_array(np.array([3], np.int64), "k")
    return model(node, {"x": (real, ["n", 4]), "kept": kept}, outputs, k)


class Building:
    """TensorRT-RTX's builder with the library's plugins, and its log."""

    def __init__(self, flavour: Flavour, library: str) -> None:
        trt = self.trt = flavour.module
        self.library = library
        said = self.said = []

        class Log(trt.ILogger):  # type: ignore[misc]
            def log(self, severity: Any, message: str) -> None:
                if severity <= trt.ILogger.ERROR:
                    said.append(message)

        self.log = Log()
        self.builder = trt.Builder(self.log)
        self.builder.get_plugin_registry().load_library(library)

    def plan(self, content: bytes) -> bytes | None:
        """Return the plan of a model, with the library in it."""
        trt = self.trt
        network = self.builder.create_network(0)
        parser = trt.OnnxParser(network, self.log)
        if not parser.parse(content):
            return None
        config = self.builder.create_builder_config()
        profile = self.builder.create_optimization_profile()
        profile.set_shape("x", (1, 4), (3, 4), (8, 4))
        config.add_optimization_profile(profile)
        config.plugins_to_serialize = [self.library]
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.SM89, 0)
        config.set_preview_feature(trt.PreviewFeature.ALIASED_PLUGIN_IO_10_03, True)
        plan = self.builder.build_serialized_network(network, config)
        return None if plan is None else bytes(plan)


def planned(flavour: Flavour, library: str) -> dict[str, Any]:
    """Build a plan of Scale, and plans that the plugin refuses; return the log."""
    building = Building(flavour, library)
    plan = building.plan(scale_model(TensorProto.FLOAT, factor=2.0)) or b""
    refused = [
        building.plan(scale_model(TensorProto.INT32, factor=2.0)),
        building.plan(scale_model(TensorProto.FLOAT, factor="x")),
    ]
    return {
        "bytes": len(plan),
        "libraries": plan.count(b"\x7fELF"),
        "said": [message for message in building.said if "PK1" in message],
        "refused": [each is None for each in refused],
        "recorded": b'"shapes":[[8,4]]' in plan,
    }


def planned_with_everything(flavour: Flavour, library: str) -> dict[str, Any]:
    """Build a plan of Gather; return the sizes that it records."""
    building = Building(flavour, library)
    plan = building.plan(gather_model()) or b""
    begin = plan.find(b'[{"shapes"')
    end = plan.find(b"\0", begin)
    sizes = json.loads(plan[begin:end]) if begin >= 0 else None
    return {"sizes": sizes, "said": [one for one in building.said if "PK" in one]}


QUESTIONS: dict[str, Callable[[Flavour, str], dict[str, Any]]] = {
    question.__name__: question
    for question in (
        loaded_twice,
        opened_twice,
        created,
        exchanged_v2,
        exchanged_v3,
        planned,
        planned_with_everything,
    )
}


if __name__ == "__main__":
    answer = QUESTIONS[sys.argv[2]](load_flavour(sys.argv[1]), sys.argv[3])
    sys.stdout.write(json.dumps(answer))
