"""The probe, an entry point to compare a library with Python, and the recording driver."""

import ctypes
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluginkit import Copy, Input, Output, Plugin, attribute, float32, int32
from tests.export.building import Target

pytestmark = pytest.mark.slow


class Gather(Plugin):
    """The attributes and device inputs of cpp/programs.cpp's Gather."""

    plugin_name = "Gather_PK"
    types = {"T": (float32, int32)}
    axis: int = attribute()
    mode: str = attribute(default="none", choices=("none", "add"))
    pads: tuple[int, int] = attribute(default=(0, 0))
    names: tuple[str, ...] = attribute(default=())
    flags: tuple[bool, ...] = attribute(default=(True, False))
    is_wide: bool = attribute(default=False)
    weights: tuple[float, ...] = attribute(default=(0.5,))
    table: np.ndarray = attribute(default=np.array([1, 2], np.int16))
    limit: int | None = attribute(default=None)
    x = Input("T")
    y = Output("T", like="x")

    def launches(self, x, y):
        return Copy(y, x)

    def reference(self, x):
        return x


class Library:
    """A library with its probe, on the recording driver."""

    def __init__(self, library: Path, driver: Path) -> None:
        self.driver = ctypes.CDLL(str(driver))
        self.driver.pluginkit_recording_text.restype = ctypes.c_char_p
        self.driver.pluginkit_recording_count.restype = ctypes.c_int64
        self._library = ctypes.CDLL(str(library))
        self._library.pluginkit_probe.restype = ctypes.c_char_p

    def ask(self, plugin: str, attributes: dict[str, Any], **request: Any) -> dict[str, Any]:
        whole = {"plugin": plugin, "attributes": attributes, "tactic": 0, **request}
        answer: dict[str, Any] = json.loads(
            self._library.pluginkit_probe(json.dumps(whole).encode())
        )
        return answer

    def gather(self, attributes: dict[str, Any], **request: Any) -> dict[str, Any]:
        standard = {
            "dtypes": ["float32", "float32"],
            "shapes": [[3, 4], [6]],
            "trt_outputs": [[9, -1, 10], [6], []],
        }
        inputs = {"pluginkit_inputs": "x,k,kept"}
        return self.ask("Gather_PK", attributes | inputs, **{**standard, **request})

    def records(self) -> list[dict[str, Any]]:
        lines = self.driver.pluginkit_recording_text().decode().splitlines()
        self.driver.pluginkit_recording_clear()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def library(built: Callable[[Target], Path], recording_driver: Path) -> Iterator[Library]:
    before = os.environ.get("PLUGINKIT_CUDA_DRIVER")
    os.environ["PLUGINKIT_CUDA_DRIVER"] = str(recording_driver)
    yield Library(built(Target(10, has_probe=True)), recording_driver)
    if before is None:
        del os.environ["PLUGINKIT_CUDA_DRIVER"]
    else:
        os.environ["PLUGINKIT_CUDA_DRIVER"] = before


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mode": "add", "pads": (-(2**31), 2**31 - 1), "is_wide": True},
        {"pads": (2**40, -(2**40)), "limit": 2**63 - 1},
        {"names": ("a", "", "json:", "b\0c", "äöü €😀", '"\\\n\t\x7f')},
        {"names": ("single",)},
        {"flags": (), "weights": ()},
        {"flags": (False, True, True)},
        {"weights": (0.1, 1e-5, -0.0, 5e-324, 1.7976931348623157e308, 3.0)},
        {"weights": (0.1, float("inf"), float("-inf"), float("nan"))},
        {"weights": (0.1, 1e16, 123456789012345680.0, 1e22, 9999999999999998.0)},
        {"weights": (float(np.float32(0.1)), 16777216.0)},
        {"table": np.arange(12, dtype=np.float32).reshape(3, 4)},
        {"table": np.zeros((0, 3), np.int64)},
        {"table": np.array(7, np.uint8)},
        {"limit": -5},
    ],
)
def test_attributes_come_back_in_the_wire_form_of_python(library: Library, values: dict[str, Any]):
    wire = Gather(axis=1, **values).to_wire()
    answer = library.gather(json.loads(json.dumps(wire)))
    assert "error" not in answer
    kept = answer["attributes"]
    assert kept.pop("pluginkit_inputs") == "x,k,kept"
    # As text: NaN is not equal to itself, and an int is no float.
    assert json.dumps(kept, sort_keys=True) == json.dumps(wire, sort_keys=True)
    again = Gather.from_wire(kept)
    assert json.dumps(again.to_wire()) == json.dumps(wire)


@pytest.mark.parametrize(
    ("attributes", "refusal"),
    [
        ({}, "PK109 Gather: attribute 'axis' is missing; expected int."),
        ({"axis": 1.0}, "PK104 Gather: attribute 'axis' is 1.0; expected int."),
        ({"axis": "json:"}, "PK104 Gather: attribute 'axis' is 'json:'; expected int."),
        ({"axis": "json:9223372036854775808"}, "PK104"),
        ({"axis": "json:[" * 200}, "PK104"),
        ({"axis": 1, "mode": "mul"}, "PK104 Gather: attribute 'mode' is 'mul'; expected 'none' | "),
        (
            {"axis": 1, "pads": [1]},
            "PK104 Gather: attribute 'pads' is [1]; expected tuple[int, int].",
        ),
        ({"axis": 1, "pads": 1}, "PK104"),
        ({"axis": 1, "flags": [2]}, "PK104"),
        ({"axis": 1, "is_wide": 0.0}, "PK104"),
        ({"axis": 1, "table": 'json:{"dtype":"object","shape":[1],"data":"AAAA"}'}, "PK104"),
        ({"axis": 1, "table": 'json:{"dtype":"int8","shape":[4],"data":"AAAA"}'}, "PK104"),
        ({"axis": 1, "table": 'json:{"dtype":"int8","shape":[3],"data":"AA*A"}'}, "PK104"),
        ({"axis": 1, "limit": "no"}, "PK104"),
        ({"axis": 7}, "PK803 Gather: the library was exported for axis -4 to 3; got 7."),
        ({"axis": 3}, "PK126 axis 3 of 'x' is out of range for x float32[3, 4]."),
    ],
)
def test_wrong_attributes_are_refused_as_in_python(
    library: Library, attributes: dict[str, Any], refusal: str
):
    assert library.gather(attributes)["error"].startswith(refusal)
    if not refusal.startswith(("PK126", "PK803")):
        with pytest.raises(ValueError, match=refusal[:5]):
            Gather.from_wire(attributes)


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (
            {"dtypes": ["int8", "float32"]},
            "PK112 Gather: inputs are int8, float32; expected float32",
        ),
        ({"shapes": [[3, 4]]}, "PK111 Gather: got 1 inputs; expected 2."),
        ({"shapes": [[1] * 5, [6]]}, "PK112 Gather: input x float32[1, 1, 1, 1, 1] has rank 5"),
        (
            {"trt_outputs": []},
            "PK119 Gather: value 0 of shape input 'k' is no dimension of an output",
        ),
        (
            {"trt_outputs": [[1001, -1, 1002], [6], []]},
            "PK155 Gather: k is 1001; expected up to 1000.",
        ),
        (
            {"shapes": [[2**31 - 1, 1], [6]]},
            "PK118 Gather: size output 'found' may become 214748365",
        ),
        ({"shapes": [[2**40, 2**40], [6]]}, "PK118"),
        ({"dtypes": ["int32", "float32"], "mode": "add"}, "PK149 Gather adds floats alone."),
    ],
)
def test_impossible_calls_are_refused(library: Library, request_: dict[str, Any], refusal: str):
    mode = request_.pop("mode", "none")
    attributes = {"axis": 1, "mode": mode, "pads": [1, 2]}
    assert library.gather(attributes, **request_)["error"].startswith(refusal)


def test_an_enqueue_is_recorded(library: Library):
    library.records()
    sizes = (ctypes.c_int32 * 4)(8, 8, 8, 4)
    library.driver.pluginkit_recording_parameters(b"scale_half", sizes, 4)
    answer = library.ask(
        "Scale_PK",
        {"factor": 2.0},
        dtypes=["float16"],
        shapes=[[3, 1000]],
        trt_outputs=[[3, 1000]],
        inputs=[0x1000],
        outputs=[0x2000],
        workspace=0,
        stream=7,
    )
    assert answer == {
        "outputs": [[[3, 1000], "float16"]],
        "workspace_bytes": 0,
        "attributes": {"factor": 2.0},
    }
    load, function, launch, unload = library.records()
    assert (load["call"], load["is_ptx"]) == ("load", True)  # the images are not ELF files
    assert (function["call"], function["name"]) == ("function", "scale_half")
    assert launch == {
        "call": "launch",
        "function": "scale_half",
        "grid": [12, 1, 1],
        "block": [256, 1, 1],
        "shared": 0,
        "stream": 7,
        "arguments": ["0020000000000000", "0010000000000000", "b80b000000000000", "00000040"],
    }
    assert unload == {"call": "unload", "module": load["module"]}
    assert library.driver.pluginkit_recording_count(b"retained") == 0
