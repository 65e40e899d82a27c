"""What a real TensorRT makes of a plugin library; each question in a process of its own.

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
from onnx import TensorProto, helper

from pluginkit.trt.flavour import Flavour, load_flavour

KEYS = (("Scale_PK", "1", "pluginkit"), ("Gather_PK", "2", "tests"))


def creators(flavour: Flavour) -> list[str]:
    """The names of the plugins of cpp/programs.cpp that the registry finds."""
    registry = flavour.module.get_plugin_registry()
    return [key[0] for key in KEYS if registry.get_creator(*key) is not None]


def loaded_twice(flavour: Flavour, library: str) -> dict[str, Any]:
    """loadLibrary, twice."""
    registry = flavour.module.get_plugin_registry()
    handles = [registry.load_library(library) for _ in range(2)]
    return {"loaded": [each is not None for each in handles], "creators": creators(flavour)}


def opened_twice(flavour: Flavour, library: str) -> dict[str, Any]:
    """Plain dlopen, twice."""
    flavour.module.get_plugin_registry()
    for _ in range(2):
        ctypes.CDLL(library)
    return {"creators": creators(flavour)}


def created(flavour: Flavour, library: str) -> dict[str, Any]:
    """Plugins that the C++ creator makes of TensorRT's fields."""
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


def model(elem_type: int, **attributes: Any) -> bytes:
    """A model of one Scale node."""
    node = helper.make_node(
        "Scale_PK", ["x"], ["y"], "scaling",
        plugin_version="1", plugin_namespace="pluginkit", **attributes,
    )  # fmt: skip
    x, y = (helper.make_tensor_value_info(name, elem_type, ["n", 4]) for name in "xy")
    graph = helper.make_graph([node], "g", [x], [y])
    opsets = [helper.make_opsetid("", 18)]
    whole: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return whole.SerializeToString()


def planned(flavour: Flavour, library: str) -> dict[str, Any]:
    """Plans with the library inside, and what the log says where there is none."""
    trt = flavour.module

    class Log(trt.ILogger):  # type: ignore[misc]
        said: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.said.append(message)

    log = Log()
    builder = trt.Builder(log)
    builder.get_plugin_registry().load_library(library)

    def plan_of(content: bytes) -> bytes | None:
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, log)
        if not parser.parse(content):
            return None
        config = builder.create_builder_config()
        profile = builder.create_optimization_profile()
        profile.set_shape("x", (1, 4), (3, 4), (8, 4))
        config.add_optimization_profile(profile)
        config.plugins_to_serialize = [library]
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.SM89, 0)
        plan = builder.build_serialized_network(network, config)
        return None if plan is None else bytes(plan)

    plan = plan_of(model(TensorProto.FLOAT, factor=2.0)) or b""
    refused = [
        plan_of(model(TensorProto.INT32, factor=2.0)),
        plan_of(model(TensorProto.FLOAT, factor="x")),
    ]
    said = [message for message in log.said if "PK1" in message]
    return {"bytes": len(plan), "libraries": plan.count(b"\x7fELF"), "said": said,
            "refused": [each is None for each in refused],
            "promised": rb'"shapes":[[8,4]]' in plan}  # fmt: skip


QUESTIONS: dict[str, Callable[[Flavour, str], dict[str, Any]]] = {
    question.__name__: question for question in (loaded_twice, opened_twice, created, planned)
}


if __name__ == "__main__":
    answer = QUESTIONS[sys.argv[2]](load_flavour(sys.argv[1]), sys.argv[3])
    sys.stdout.write(json.dumps(answer))
