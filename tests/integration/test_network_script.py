"""Networks that scripts describe with TensorRT's API are built, with plugins, by TensorRT-RTX."""

import json
from pathlib import Path

import pytest

from pluginkit import BuildOptions, Precision, build_network, find_plugins
from pluginkit.cli.main import main
from pluginkit.errors import PluginkitError
from pluginkit.trt.parsed_layers import _OP_TYPE

Capture = pytest.CaptureFixture[str]
pytestmark = [pytest.mark.trt, pytest.mark.usefixtures("rtx")]

HEAD = """
import numpy as np
import tensorrt_rtx as trt
from pluginkit import add_to_network
from pluginkit.plugins.circ_pad import CircPad
from pluginkit.plugins.non_zero import NonZero
from pluginkit.plugins.top_k import TopK

def load_network(builder, network):
    x = network.add_input("x", trt.float16, (-1, 3, -1, 16))
"""
PADDED = """
    padded = add_to_network(network, CircPad(pads=(3, 3, 3, 3)), [x], name="pad").get_output(0)
    assert padded.shape == (-1, 3, -1, 22), padded.shape
    scale = network.add_constant((1, 1, 1, 22), np.full((1, 1, 1, 22), 2, np.float16))
    scaled = network.add_elementwise(padded, scale.get_output(0), trt.ElementWiseOperation.PROD)
    again = add_to_network(network, CircPad(pads=(2, 2, 2, 2)), [scaled.get_output(0)])
    y = again.get_output(0)
    y.name = "y"
    network.mark_output(y)
"""
RTX = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
ARGV = ("--tensorrt", "tensorrt_rtx", "--compute-capability", "8.9")


def script_of(text: str, folder: Path, name: str = "net") -> Path:
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def test_a_network_with_plugins_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = script_of(HEAD + PADDED, tmp_path)
    shapes = ["--shapes", "x:1x3x8x16,2x3x8x16,4x3x8x16", "--no-tf32", "--weight-streaming"]
    assert main(["network", str(script), *ARGV, *shapes]) == 0
    printed = capsys.readouterr().out
    assert "2 layers of 1 plugin" in printed
    assert f"Wrote {tmp_path / 'net.plan'}" in printed
    plan = (tmp_path / "net.plan").read_bytes()
    assert b"CircPad_PK" in plan
    assert _OP_TYPE.encode() not in plan
    manifest = json.loads((tmp_path / "net.plan.json").read_text())
    assert manifest["plan_bytes"] == len(plan)
    assert manifest["model"] == "net.py"
    assert manifest["inputs"] == [{"name": "x", "dtype": "float16", "shape": [-1, 3, -1, 16]}]
    assert manifest["outputs"] == [{"name": "y", "dtype": "float16", "shape": [-1, 3, -1, 26]}]
    assert manifest["profiles"][0]["x"]["opt"] == [2, 3, 8, 16]
    (plugin,) = manifest["plugins"]
    assert [node["node"] for node in plugin["nodes"]] == ["pad", "CircPad_PK 1"]
    assert plugin["nodes"][0]["attributes"] == {"pads": [3, 3, 3, 3]}


def test_plugins_get_shape_inputs_and_find_sizes(tmp_path: Path) -> None:
    text = """
    k = network.add_constant((1,), np.array([2], np.int64)).get_output(0)
    top = add_to_network(network, TopK(axis=1), [x, k])
    mask = network.add_cast(top.get_output(0), trt.bool).get_output(0)
    found = add_to_network(network, NonZero(), [mask], name="found").get_output(0)
    network.mark_output(found)
"""
    built = build_network(script_of(HEAD + text, tmp_path), options=RTX)
    assert [plugin.name for plugin in built.manifest.plugins] == ["TopK_PK", "NonZero_PK"]
    (output,) = built.manifest.outputs
    assert (output.dtype, output.shape) == ("int64", (4, -1))


def test_a_loop_and_int8_by_api_and_two_layers_of_one_name(tmp_path: Path) -> None:
    text = """
import numpy as np
import tensorrt_rtx as trt
from pluginkit import add_to_network
from tests.unit.onnx.precision.soft_sign import SoftSign

def load_network(builder, network):
    x = network.add_input("x", trt.float32, (-1, 8))
    scale = network.add_constant((), np.array(0.02, np.float32)).get_output(0)
    quantized = network.add_quantize(x, scale, trt.int8).get_output(0)
    plugin = SoftSign(x_scale=0.02, y_scale=0.02)
    made = add_to_network(network, plugin, [quantized], name="same").get_output(0)
    start = network.add_dequantize(made, scale, trt.float32).get_output(0)
    loop = network.add_loop()
    trips = network.add_constant((), np.array(3, np.int32)).get_output(0)
    loop.add_trip_limit(trips, trt.TripLimit.COUNT)
    state = loop.add_recurrence(start)
    again = add_to_network(network, SoftSign(), [state.get_output(0)], name="same")
    state.set_input(1, again.get_output(0))
    last = loop.add_loop_output(state.get_output(0), trt.LoopOutput.LAST_VALUE, 0)
    network.mark_output(last.get_output(0))
"""
    built = build_network(script_of(text, tmp_path), options=RTX)
    (plugin,) = built.manifest.plugins
    assert [node.node for node in plugin.nodes] == ["same", "same"]
    assert built.manifest.outputs[0].shape == (-1, 8)


EVERY = """
import numpy as np
import tensorrt_rtx as trt
from pluginkit import add_to_network, find_plugins
from pluginkit.contract.calls import present_ports
from pluginkit.contract.dtypes import dtype_from_numpy

def load_network(builder, network):
    (cls,) = [each for each in find_plugins().values() if each.__name__ == "NAME"]
    case = next(c for c in cls.cases() if all(a is None or np.asarray(a).size for a in c.inputs))
    given = zip(cls.spec.inputs, case.inputs)
    arrays = {port.name: np.asarray(array) for port, array in given if array is not None}
    plugin = cls(**case.attributes).with_inputs(*arrays)
    tensors = []
    for port in present_ports(plugin):
        array = arrays[port.name]
        dtype = dtype_from_numpy(array.dtype)
        if port.is_shape_input:
            tensors.append(network.add_constant(array.shape, array).get_output(0))
        elif dtype.name == "bool":
            number = network.add_input(port.name, trt.int32, array.shape)
            tensors.append(network.add_cast(number, trt.bool).get_output(0))
        else:
            kind = getattr(trt.DataType, dtype.trt)
            tensors.append(network.add_input(port.name, kind, array.shape))
    layer = add_to_network(network, plugin, tensors)
    for index, port in enumerate(cls.spec.outputs):
        if not port.is_size:
            network.mark_output(layer.get_output(index))
"""


@pytest.mark.parametrize("name", [cls.__name__ for cls in find_plugins().values()])
def test_every_plugin_enters_a_network_by_api(name: str, tmp_path: Path) -> None:
    built = build_network(script_of(EVERY.replace("NAME", name), tmp_path), options=RTX)
    assert [plugin.name for plugin in built.manifest.plugins] == [f"{name}_PK"]


def test_a_network_without_plugins_and_a_script_of_polygraphy(tmp_path: Path) -> None:
    text = """
from polygraphy import func
from polygraphy.backend.trt import CreateNetwork
import tensorrt_rtx as trt

CALLS = []

@func.extend(CreateNetwork())
def load_network(builder, network):
    CALLS.append(1)
    assert len(CALLS) == 1
    x = network.add_input("x", trt.float32, (2, 4))
    network.mark_output(network.add_activation(x, trt.ActivationType.RELU).get_output(0))
    return builder, network
"""
    built = build_network(script_of(text, tmp_path), tmp_path / "other.plan", options=RTX)
    assert built.plan_path == tmp_path / "other.plan"
    assert built.manifest.plugins == ()
    assert built.manifest.inputs[0].shape == (2, 4)


def test_a_script_may_declare_its_plugin_and_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("FACTOR = 2.5\n")
    (tmp_path / "twice.cu").write_text(
        "template <typename T> __global__ void twice(T* y, const T* x, long n, float factor) {}"
    )
    text = """
import tensorrt_rtx as trt
from neighbour import FACTOR
from pluginkit import CudaKernel, Input, Launch, Output, Plugin, add_to_network, attribute, ceil_div
from pluginkit import float16, float32

class NetTwice(Plugin):
    "y = factor * x"
    types = {"T": (float32, float16)}
    factor: float = attribute(default=1.0)
    x = Input("T")
    y = Output("T", like="x")
    kernel = CudaKernel("twice.cu", "twice<{T}>")
    def launches(self, x, y):
        arguments = (y, x, x.size, self.factor)
        return Launch(self.kernel, grid=ceil_div(x.size, 256), block=256, args=arguments)
    def reference(self, x):
        return x * self.factor

def load_network(builder, network):
    x = network.add_input("x", trt.float32, (5,))
    network.mark_output(add_to_network(network, NetTwice(factor=FACTOR), [x]).get_output(0))
"""
    built = build_network(script_of(text, tmp_path), options=RTX)
    (plugin,) = built.manifest.plugins
    assert plugin.class_path.endswith(".net:NetTwice")
    assert plugin.source_sha256
    assert plugin.nodes[0].attributes == {"factor": 2.5}


X = "    x = network.add_input('x', trt.float32, (4,))\n"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "PK529", "defines no load_network; expected load_network(builder, network)"),
        ("def load_network(network): ...", "PK529", "defines load_network(network); expected"),
        ("1 / 0", "PK430", "net.py:1"),
        ("raise SystemExit(3)", "PK430", "SystemExit: 3"),
        ("def (", "PK430", "SyntaxError"),
        (HEAD, "PK529", "marks no output"),
        (HEAD + "    return 1 / 0", "PK529", "net.py:11\n  Cause: ZeroDivisionError"),
        (HEAD + "    raise SystemExit(3)", "PK529", "SystemExit: 3"),
        (HEAD + "    network.mark_output(x)\n    return 3", "PK529", "returns another network"),
        (HEAD + "    network.add_plugin_v3([x], [], 3)", "PK529", "call pluginkit.add_to_network"),
        (HEAD + "    add_to_network(network, TopK(), [x])", "PK111", "net.py:11"),
        (
            HEAD + "    add_to_network(network, CircPad(pads=(1,)), [x])",
            "PK104",
            "net.py:11",
        ),
        (
            HEAD + "    add_to_network(network, TopK(), [x, x], interface='v2')",
            "PK214",
            "net.py:11",
        ),
        (
            HEAD + "    add_to_network(network, CircPad(pads=(1, 1, 1, 1)), [x], interface='v2')",
            "PK210",
            "cannot add v2 plugins to a network by API",
        ),
        (
            "SEEN = []\n" + HEAD + "    SEEN.append(x)\n    p = CircPad(pads=(len(SEEN),) * 4)\n"
            "    network.mark_output(add_to_network(network, p, [x], name='p').get_output(0))",
            "PK529",
            "it adds layer 'p'",
        ),
        (
            "SEEN = []\n" + HEAD + "    SEEN.append(x)\n    p = CircPad(pads=(1, 1, 1, 1))\n"
            "    if len(SEEN) < 2:\n        add_to_network(network, p, [x], name='p')\n"
            "    network.mark_output(network.add_identity(x).get_output(0))",
            "PK529",
            "it adds no further layer; expected layer 'p'",
        ),
    ],
)
def test_what_is_wrong_with_a_script_is_named(
    text: str, code: str, words: str, tmp_path: Path
) -> None:
    script = script_of(text, tmp_path)
    with pytest.raises(PluginkitError) as caught:
        build_network(script, options=RTX)
    assert (caught.value.code, words in str(caught.value)) == (code, True), str(caught.value)
    assert not (tmp_path / "net.plan").exists()


def test_what_is_not_for_networks_is_refused(tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(PluginkitError, match="PK529 network script '.*none.py' does not exist"):
        build_network(tmp_path / "none.py", options=RTX)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(PluginkitError, match="PK529 .*is no Python file; .*\n.*pluginkit build"):
        build_network(tmp_path / "model.onnx", options=RTX)
    script = script_of(HEAD + PADDED, tmp_path)
    half = BuildOptions(flavour="tensorrt_rtx", precision=Precision("float16"))
    with pytest.raises(PluginkitError, match="PK513 precision, mark and standalone change a model"):
        build_network(script, options=half)
    with pytest.raises(PluginkitError, match="PK525 .* is the script; expected another file"):
        build_network(script, script, options=RTX)
    untouched = script_of("1 / 0", tmp_path, "untouched")
    assert main(["network", str(untouched), *ARGV, "--optimization-level", "5"]) == 2
    assert "PK513" in capsys.readouterr().err
