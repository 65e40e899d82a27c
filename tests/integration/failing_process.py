"""Let a callback fail, as the only work of a process whose exit code a test reads.

``python failing_process.py build FAILS INDEX``: a real build of three plugins; the one at INDEX
raises. ``load FLAVOUR INTERFACE FAILS``: a driven build, load and run. ``read_damaged FLAVOUR
INTERFACE``: a plugin made from a damaged payload.
Prints what the caller of pluginkit got; the exit code is 0 unless the process dies.

``serve`` reads such arguments, a JSON list in each line, and forks a process for each: it has
imported what they need, and no TensorRT. The first of a line is the file for what it prints; the
answer is its exit code, negative for a signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import numpy as np
from onnx import TensorProto, helper

from pluginkit import Input, Output, attribute, float32
from pluginkit.checking.trt_double.adapters import adapter_of_payload
from pluginkit.checking.trt_double.driver import drive
from pluginkit.device.memory import HostMemory
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.trt import plugin_registry, plugin_v2, plugin_v3
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.flavour import ENVIRONMENT_VARIABLE, load_flavour
from pluginkit.trt.plugin_registry import register
from tests.integration.host_plugins import HostPlugin
from tests.integration.test_traps import build_with_rtx

#: The interpreter's exit clears the modules that another module holds, and frees what they kept;
#: others may survive to the end of the process.
HELD = (plugin_registry, plugin_v2, plugin_v3)

SECONDS = 120  # after which a process that does not end is ended
SIZES = {"min": 1, "opt": 4, "max": 8}  # the profile of build_with_rtx


class FailsOnce(HostPlugin):
    """Raises in one method: ``"output_shapes"``; ``"check at opt"``; ``"exit in check"``."""

    types = {"T": (float32,)}
    fails: str = attribute(default="")
    x = Input("T")
    y = Output("T")

    def _maybe(self, method):
        if self.fails == method:
            raise ZeroDivisionError(f"in {method}")
        if self.fails == f"exit in {method}":
            raise SystemExit(7)
        if self.fails == f"interrupt in {method}":
            raise KeyboardInterrupt

    def check(self, x):
        if x.is_static:
            self._maybe("check")
        for bound, size in SIZES.items():
            if x.shape == (size,):
                self._maybe(f"check at {bound}")

    def output_types(self, x):
        self._maybe("output_types")
        return x.dtype

    def output_shapes(self, x):
        self._maybe("output_shapes")
        if x.is_static:
            self._maybe("output_shapes of numbers")
        return x.shape

    def workspace_bytes(self, x):
        self._maybe("workspace_bytes")
        return 0

    def enqueue(self, inputs, outputs, workspace, stream):
        self._maybe("enqueue")
        super().enqueue(inputs, outputs, workspace, stream)

    def reference(self, x):
        return x


def chain(fails: str, index: int) -> bytes:
    """Return a model of three plugins, of which one fails, with other nodes between them."""
    nodes = []
    for number in range(3):
        plugin = FailsOnce(fails=fails if number == index else "")
        nodes += [
            plugin_node(plugin, [f"x{number}"], [f"y{number}"], f"node{number}"),
            helper.make_node("Relu", [f"y{number}"], [f"x{number + 1}"]),
        ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x0", "x3")
    ]
    graph = helper.make_graph(nodes, "chain", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def _raise(*_: object) -> None:
    raise ZeroDivisionError


def build(fails: str, index: str) -> str:
    """Build the chain with TensorRT-RTX."""
    flavour = load_flavour("tensorrt_rtx")
    register(FailsOnce, flavour=flavour)
    model = chain(fails, int(index))
    if fails in ("from_wire", "to_wire"):  # every plugin's; the node itself needs a sound one
        setattr(FailsOnce, fails, _raise)
    with callback_errors():
        build_with_rtx(flavour, model)
    return "built"


def load(flavour_name: str, interface: str, fails: str) -> str:
    """Drive one layer through build, load and run."""
    flavour = load_flavour(flavour_name)
    x = np.zeros(SIZES["opt"], np.float32)
    for plugin in (FailsOnce(), FailsOnce(fails=fails)):
        drive(plugin, [x], interface=interface, flavour=flavour, memory=HostMemory())
    return "ran"


def read_damaged(flavour_name: str, interface: str) -> str:
    """Make a plugin from a payload that a plan cannot hold."""
    os.environ[ENVIRONMENT_VARIABLE] = flavour_name  # adapter_of_payload takes the default flavour
    flavour = load_flavour()
    register(FailsOnce, interface=interface, flavour=flavour)
    creator = flavour.module.get_plugin_registry().get_creator(*FailsOnce.spec.key)
    payload = b"{}" if interface == "v2" else [("fails", "INT32", b"\0" * 4, 1)]
    with callback_errors():
        adapter_of_payload(interface, creator, payload)
    return "read"


def forked() -> list[str]:
    """Return the arguments of each line of stdin, in a process that ends as this one would."""
    for line in sys.stdin:
        output, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.alarm(SECONDS)
            file = os.open(output, os.O_WRONLY | os.O_CREAT)
            for stream in (sys.stdout, sys.stderr):
                os.dup2(file, stream.fileno())
            return arguments
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    sys.exit()


if __name__ == "__main__":
    command, *arguments = forked() if sys.argv[1:] == ["serve"] else sys.argv[1:]
    try:
        said = {"build": build, "load": load, "read_damaged": read_damaged}[command](*arguments)
    except BaseException as error:
        said = type(error).__name__ + " " + str(error).partition("\n")[0]
    sys.stdout.write(said + "\n")
