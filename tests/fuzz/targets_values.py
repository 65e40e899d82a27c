"""Fuzz the code that reads no files: attributes, declarations, option texts, launches."""

from __future__ import annotations

import argparse
import functools
import json
import math
import random
from typing import Any, Literal

import numpy as np

import pluginkit
from pluginkit import (
    Copy,
    CudaKernel,
    Fill,
    Input,
    Launch,
    OnnxOp,
    Output,
    Plugin,
    attribute,
    float16,
    float32,
    int32,
    int64,
)
from pluginkit.cli import options
from pluginkit.cli.commands import compare
from pluginkit.contract import calls
from pluginkit.contract.attributes import AttributeSpec
from pluginkit.engine.build.compute_capabilities import parse_capability
from pluginkit.engine.build.profiles import resolve_profiles
from pluginkit.errors import UsageError
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.onnx.inference.network_inputs import NetworkInput
from pluginkit.onnx.inference.shape_ranges import parse_shapes
from pluginkit.onnx.model.plugin_nodes import plugin_node, plugin_of_node
from pluginkit.trt.fields import FieldBlock, wire_from_fields
from pluginkit.trt.flavour import load_flavour
from tests.fuzz.oracle import Sandbox, Violation


class Everything(Plugin):
    """A plugin with an attribute of each kind."""

    plugin_name = "FuzzEverything_PK"
    types = {"T": (float32, float16)}
    number: int = attribute(default=0)
    factor: float = attribute(default=1.0)
    label: str = attribute(default="")
    flag: bool = attribute(default=False)
    mode: Literal["a", "b"] = attribute(default="a")
    level: Literal[1, 2] = attribute(default=1)
    ints: tuple[int, ...] = attribute(default=())
    pair: tuple[float, float] = attribute(default=(0.0, 0.0))
    labels: tuple[str, ...] = attribute(default=())
    flags: tuple[bool, ...] = attribute(default=())
    table: np.ndarray = attribute(default=np.zeros(1, np.float32))
    x = Input("T")
    scale = Input("T", optional=True)
    y = Output("T")

    def output_shapes(self, x, scale):
        return x.shape

    def launches(self, x, scale, y):
        return ()

    def reference(self, x, scale):
        return x


_INTS = (0, 1, -1, 2**31 - 1, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, -(2**63), 10**400)
_FLOATS = (0.0, -0.0, 1.5, 0.1, math.nan, math.inf, -math.inf, 1e308, 5e-324, 3.4e38)
_TEXTS = (
    "", "a", "b", "json:", "json:1", "json:[", "\0", "a\0b", "\ud800", "ü", "\x1b[2J", "x" * 5000,
    "none", "[1]", "nan", "json:json:1", "{0}",
)  # fmt: skip
_DTYPES = (
    "float32", "float64", "bfloat16", "int64", "bool", "O", "object", "U4", "S3", "M8[s]", "V8",
    "f4,i4", "{}", "", "float128", "complex64", "int4", "('f4', (2**40,))", "\0", "f4" * 50,
)  # fmt: skip


def _scalar(rng: random.Random) -> Any:
    return rng.choice([
        rng.choice(_INTS), rng.choice(_FLOATS), rng.choice(_TEXTS), True, False, None, b"\xff",
        b"a",
        np.float32(1), np.int64(3), np.bool_(True), 1j, object, np.nan, ...,
    ])  # fmt: skip


def _value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(9)
    if kind < 4 or depth > 3:
        return _scalar(rng)
    if kind == 4:
        return [_value(rng, depth + 1) for _ in range(rng.choice([0, 1, 2, 3]))]
    if kind == 5:
        return rng.choice([tuple, set, iter])([rng.choice(_INTS) for _ in range(2)])
    if kind == 6:
        return rng.choices(rng.choice([_INTS, _FLOATS, _TEXTS]), k=rng.choice([1, 2, 4]))
    if kind == 7:
        return rng.choice([
            np.zeros((2, 0)), np.array(1, np.int64), np.array(["a"]), np.array([None]),
            np.zeros(2, "M8[s]"), np.zeros(2, [("a", "f4")]), np.array([1.5, np.nan]),
        ])  # fmt: skip
    return {"dtype": _scalar(rng), "shape": _scalar(rng)}


def _document(rng: random.Random) -> str:
    """Return an attribute's text, which may be invalid JSON."""
    kind = rng.randrange(6)
    if kind == 0:
        depth = rng.choice([10, 1000, 10_000, 100_000])
        return rng.choice(
            ["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth]
        )
    if kind == 1:
        data = rng.choice(
            ["", "AAAA", "AAAAAAAAAAAAAAAA", "!", "AAA", None, 7, [], "é", "A" * 4000]
        )
        shape = rng.choice([[], [1], [3], [-1], [2**62], [2**31, 2**31], [0, -1], "ab", None, 3,
                            [1.5], [True], [[1]], [10**30], [1] * 70, {"a": 1}])  # fmt: skip
        return json.dumps(
            {"dtype": rng.choice([*_DTYPES, 1, None, []]), "shape": shape, "data": data}
        )
    if kind == 2:
        return rng.choice(["NaN", "Infinity", "-Infinity", "1" * 5000, "1e400", "1.5", '"\\ud800"',
                           "null", "true", "[1,2]", "[1.5,2.5]", '["a"]', "[[1]]", "[true]",
                           "{}"])  # fmt: skip
    if kind == 3:
        return json.dumps(rng.choices([1, 2**40, 1.5, "a", True, None, [1], {"a": 2}], k=3))
    if kind == 4:
        text = json.dumps({"dtype": "float32", "shape": [2], "data": "AAAAAAAAAAA="})
        at = rng.randrange(len(text))
        return text[:at] + rng.choice(["", "\0", '"', "]", "9"]) + text[at + 1 :]
    return "".join(
        chr(rng.choice([34, 44, 48, 91, 93, 123, 125, 0, 0xD800, 0x1F600])) for _ in range(9)
    )


def attributes(rng: random.Random, box: Sandbox) -> str:
    """Attribute values and wire texts: validate, to_wire, from_wire, an ONNX node, PluginFields."""
    with box.case():
        spec = rng.choice(Everything.spec.attributes)
        if rng.random() < 0.5:
            wire = f"json:{_document(rng)}" if rng.random() < 0.7 else _value(rng)
            names = {spec.name: wire}
            if rng.random() < 0.2:
                names["pluginkit_inputs"] = rng.choice(
                    ["", "x", "x,scale", "scale", "x,x", "\0", ",", 5]
                )
            outcome, plugin = box.call(Everything.from_wire, names)
        else:
            outcome, plugin = box.call(Everything, **{spec.name: _value(rng)})
        if plugin is None:
            return outcome
        return box.call(_round_trip, plugin, spec)[0]


def _round_trip(plugin: Everything, spec: AttributeSpec) -> None:
    """Send attributes through a node and both TensorRTs' fields and back; nothing may change."""
    node = plugin_node(plugin, ["x", "s"][: sum(plugin.present)], ["y"], "n")
    back = plugin_of_node(node, {Everything.spec.key: Everything})
    ways = [back, Everything.from_wire(json.loads(json.dumps(plugin.to_wire())))]
    for flavour in _flavours():
        block = FieldBlock(flavour.module, plugin.to_wire())
        ways.append(Everything.from_wire(wire_from_fields(Everything.spec, block.collection, "n")))
    for other in ways:
        if repr(other) != repr(plugin) or other.present != plugin.present:
            raise Violation(f"{spec.name} came back as {other!r:.150}; was {plugin!r:.150}")


@functools.cache
def _flavours() -> list[Any]:
    return [load_flavour(name) for name in ("tensorrt_lean", "tensorrt_rtx")]


_METHODS: dict[str, Any] = {
    "output_shapes": lambda self, x: x.shape,
    "launches": lambda self, x, y: (),
    "reference": lambda self, x: x,
}
_WRONG_MEMBERS = (
    None, 5, "T", "U", (), [], {}, {"T": 1}, {"T": ()}, {"T": (float32,)}, {1: (float32,)}, float32,
    (float32, "T"), object(), lambda: 0, lambda self: 0, lambda self, x: 0, lambda self, *a: 0,
    property(lambda self: 0), staticmethod(len), Input("T"), Output("T"), Input("U"), Input(5),
    Input([float32]), Input("T", ranks=(3, 1)), Input("T", ranks=5), Input("T", ranks=("a", "b")),
    Input("T", ranks=(0, 99)), Input("T", ranks=(1,)), Input("T", ranks=None), Input({}),
    Output(()),
    Input("T", optional="yes"), OnnxOp("Relu", 14), OnnxOp(5, "x"), "ScatterElements", "\x1b[2J",
    "ü", "a" * 5000, b"x", 1.5, math.nan, CudaKernel("source", "name"), CudaKernel("x.cu",
    "f<{T}>"),
    CudaKernel("s", "f<{T"), CudaKernel("s", "f<{nope}>"), CudaKernel("../../x.cu", "f"), type,
    print,
)  # fmt: skip
_MEMBERS = (
    "types", "x", "y", "z", "plugin_name", "plugin_version", "plugin_namespace", "onnx_op",
    "tolerance", "output_shapes", "launches", "reference", "check", "enqueue", "workspace_bytes",
    "output_types", "cases", "kernel", "spec", "self", "workspace", "__doc__", "stream", "_values",
    "attribute_values", "to_wire", "ü", "class",
)  # fmt: skip
_ANNOTATIONS = (
    int, float, str, bool, "int", "NoSuch", "1 +", "x.y", "[]", "", list, dict, None, int | None,
    tuple[int, ...], tuple[int, int], tuple[int, str], tuple[()], tuple, Literal["a"], Literal["a",
    1],
    Literal[1, 2], np.ndarray, "np.ndarray", Any, type, 5, (int,), [], object(), Ellipsis, "\0",
)  # fmt: skip


def declaration(rng: random.Random, box: Sandbox) -> str:
    """Create a Plugin class with random members, and read its declaration."""
    with box.case():
        members: dict[str, Any] = {
            "types": {"T": (float32, float16)}, "x": Input("T"), "y": Output("T"), **_METHODS,
            "__doc__": "y = x", "__module__": __name__,
        }  # fmt: skip
        for _ in range(rng.choice([0, 1, 1, 2, 4])):
            members[rng.choice(_MEMBERS)] = rng.choice(_WRONG_MEMBERS)
        for _ in range(rng.choice([0, 0, 1])):
            members.pop(rng.choice(list(members)), None)
        outcome, declared = box.call(_attribute, rng) if rng.random() < 0.6 else ("", None)
        if outcome.startswith("PK"):
            return outcome
        if declared is not None:
            name = rng.choice(["axis", "x", "plugin_version", "spec", "ü", "none"])
            members[name] = declared
            if rng.random() < 0.9:
                members["__annotations__"] = {name: rng.choice(_ANNOTATIONS)}
        base = (type("Mixin", (), {}), Plugin) if rng.random() < 0.05 else (Plugin,)
        name = rng.choice(["Random", "\x1b[31m", "ü", "", "a b", "class"])
        outcome, cls = box.call(type, name, base, members)
        return outcome if cls is None else box.call(_read, cls)[0]


def _attribute(rng: random.Random) -> Any:
    arguments: dict[str, Any] = {}
    if rng.random() < 0.7:
        arguments["default"] = _value(rng)
    if rng.random() < 0.3:
        arguments["choices"] = rng.choice(
            [(), (1, 2), ("a",), 5, None, [[]], "ab", {1: 2}, [math.nan]]
        )
    if rng.random() < 0.2:
        arguments["check"] = rng.choice([5, print, lambda value: "wrong", lambda value: None, "x"])
    return attribute(**arguments)


def _read(cls: type[Plugin]) -> None:
    """Read what `pluginkit show` and the manifest read from a class."""
    from pluginkit.cli.commands.show import _plugin_document
    from pluginkit.engine.build.model_plugins import source_sha256

    _plugin_document(cls)
    source_sha256(cls)
    list(cls.spec.type_bindings())


_OPTION_TEXTS = (
    "x:1x16", "x:1x16,2x16,3x16", "x:1,2,3", "x:?", "x:1x?,2x?,3x?", "x", ":", "x:", ":1", "x:1x",
    "x:-1", "x:99999999999999999999", "x:٣", "x:1,1,1,1", "x:3,2,1", "x:?,1,1", "a:b:1", "x:1X2",
    "8.9", "89", "sm_89", "8.", ".9", "٨.٩", "120", "12.0", "sm89\n", "1e1", "512M", "0", "2G",
    "1T", "x:1/1,2,3/4", "x:1x?/2x?",
    "M", "", "9" * 5000, "²", "1_000", "-5", "0x10", "x:0,1", "x:1,0", "x:nan,1", "x:0,inf",
    "x:-1e400,1e400", "x:1e3,2e3", "x:_,_", "\x1b", "\ud800", "x:2147483648", "x:1,2,2147483647",
)  # fmt: skip


def option_texts(rng: random.Random, box: Sandbox) -> str:
    """Run the parsers of --shapes, --range, --compute-capability, --memory and counts."""
    text = rng.choice(_OPTION_TEXTS)
    for _ in range(rng.choice([0, 0, 1, 3])):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice("x:,?0123456789.-+ e\0\nKMG٣²\u200b") + text[at + 1 :]
    parser = rng.choice([
        parse_capability, lambda t: _profile(rng, t), lambda t: parse_shapes([t, t]),
        lambda t: compare.parse_ranges([t]), lambda t: compare.parse_shape_sets([t]),
        _typed(options.bytes_from_text), _typed(options.positive_int),
    ])  # fmt: skip
    with box.case():
        return box.call(parser, text)[0]


def _typed(parse: Any) -> Any:
    """Call a type function of argparse, where ArgumentTypeError and ValueError mean bad usage."""

    def call(text: str) -> Any:
        try:
            return parse(text)
        except (argparse.ArgumentTypeError, ValueError) as error:
            raise UsageError("argparse", str(error)) from error

    return call


def _profile(rng: random.Random, text: str) -> None:
    dims = [1, 16, -1, 0, "n", "", "batch", "b"]
    inputs = [
        NetworkInput(name, tuple(rng.choices(dims, k=rng.randrange(4))), rng.random() < 0.2)
        for name in ("x", "y")
    ]
    resolve_profiles(inputs, parse_shapes([text]))


_SIZES = (
    0, 1, 2, 32, 1024, 1025, 65535, 65536, 2**31 - 1, 2**31, 2**63, -1, True, 1.5, "1", None,
    math.nan,
    (), (1,), (1, 1, 1), (1, 1, 1, 1), (32, 32), (1024, 2), [1], (1.0, 1), ("a",), np.int64(4), {},
)  # fmt: skip


class Launcher(Plugin):
    """A plugin whose launches the test chooses."""

    plugin_name = "FuzzLauncher_PK"
    types = {"T": (float32,)}
    x = Input("T")
    y = Output("T")
    kernel = CudaKernel('extern "C" __global__ void k() {}', "k")
    steps: Any = ()

    def output_shapes(self, x):
        return x.shape

    def workspace_bytes(self, x):
        return 64

    def launches(self, x, y, workspace):
        return type(self).steps(x, y, workspace)

    def reference(self, x):
        return x


def launch(rng: random.Random, box: Sandbox) -> str:
    """Run enqueue_steps on random grids, blocks, arguments, copies and fills."""

    def steps(x: Any, y: Any, workspace: Any) -> Any:
        def part() -> Any:
            offset = rng.choice([0, 8, 64])
            return rng.choice([x, y, workspace, workspace.at(offset), workspace.first(offset)])

        def argument() -> Any:
            made = [part(), int32(rng.choice(_INTS)), int64(rng.choice(_FLOATS)), float32(1.5),
                    float16(1e30), int32(()), int32((1, 2)), int32("ab"), int32(None)]  # fmt: skip
            return rng.choice([*made, _scalar(rng), _value(rng)])

        def step() -> Any:
            kind = rng.randrange(5)
            if kind < 3:
                args: Any = tuple(argument() for _ in range(rng.choice([0, 1, 3])))
                args = rng.choice([args, args, args, None, 5, "ab"])
                kernel = rng.choice([Launcher.kernel] * 8 + [None, "kernel"])
                shared = rng.choice([0, 0, 48 << 10, -1, 2**40, 1.5, None])
                return Launch(kernel, rng.choice(_SIZES), rng.choice(_SIZES), args, shared)
            target = rng.choice([part(), part(), part(), None, 5])
            source = rng.choice([part(), part(), None])
            byte = rng.choice([0, 255, 256, -1, 1.5, None, "a"])
            return Copy(target, source) if kind == 3 else Fill(target, byte)

        return rng.choice([step(), [step(), step()], (), None, 5, "ab", step(), (step(), None)])

    Launcher.steps = staticmethod(steps)
    with box.case():
        shape = tuple(rng.choice([0, 1, 3, 1000]) for _ in range(rng.randrange(4)))
        plugin = Launcher()
        inputs = calls.describe_inputs(plugin, [shape], [pluginkit.float32])
        return box.call(enqueue_steps, plugin, inputs, calls.describe_outputs(plugin, inputs))[0]
