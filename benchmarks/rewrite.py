"""`pluginkit rewrite` beside plain onnx-graphsurgeon: seconds and peak memory of a process.

    python benchmarks/rewrite.py

Two generated models: 20,000 nodes, 5,000 of them to be rewritten; and 3 GB of external data.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import host_environment, record

RUNS = 5
NODES, EVERY = 20_000, 4
EXTERNAL_TENSORS, EXTERNAL_BYTES = 96, 32 * 2**20

#: What anyone would write with onnx-graphsurgeon alone for the same change.
PLAIN = """
import sys
import onnx
import onnx_graphsurgeon as gs
graph = gs.import_onnx(onnx.load(sys.argv[1]))
for node in graph.nodes:
    if node.op == "ScatterElements" and node.attrs.get("reduction", "none") != "none":
        node.op, node.domain = "ScatterElements_PK", ""
        node.attrs["plugin_version"], node.attrs["plugin_namespace"] = "1", "pluginkit"
onnx.save(gs.export_onnx(graph), sys.argv[2])
"""
PLAIN_EXTERNAL = PLAIN.replace(
    "onnx.save(gs.export_onnx(graph), sys.argv[2])",
    "onnx.save(gs.export_onnx(graph), sys.argv[2], save_as_external_data=True)",
)


def write_large_graph(path: Path) -> None:
    """A chain of Add, Relu, Mul and ScatterElements, each Add with weights of its own."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    indices = numpy_helper.from_array(rng.integers(0, 64, (16, 56)), "indices")
    for number in range(NODES // EVERY):
        w, names = f"w{number}", [f"t{number}_{step}" for step in range(EVERY)]
        weights.append(numpy_helper.from_array(rng.random((64, 56), np.float32), w))
        nodes += [
            helper.make_node("Add", [last, w], [names[0]], f"add{number}"),
            helper.make_node("Relu", [names[0]], [names[1]], f"relu{number}"),
            helper.make_node("Mul", [names[1], w], [names[2]], f"mul{number}"),
            helper.make_node(
                "ScatterElements", [names[2], "indices", "u"], [names[3]], f"scatter{number}",
                axis=0, reduction="add",
            ),
        ]  # fmt: skip
        last = names[3]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "large",
        [value("x", TensorProto.FLOAT, [64, 56]), value("u", TensorProto.FLOAT, [16, 56])],
        [value(last, TensorProto.FLOAT, [64, 56])],
        [*weights, indices],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def write_external_model(path: Path) -> None:
    """A chain of additions whose weights are in a sparse file, and one ScatterElements."""
    import onnx
    from onnx import TensorProto, helper

    shape = [2**13, EXTERNAL_BYTES // 4 // 2**13]
    nodes, weights, last = [], [], "x"
    for number in range(EXTERNAL_TENSORS):
        weight = TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=shape)
        weight.data_location = TensorProto.EXTERNAL
        for key, text in (
            ("location", "weights.bin"),
            ("offset", str(number * EXTERNAL_BYTES)),
            ("length", str(EXTERNAL_BYTES)),
        ):
            weight.external_data.add(key=key, value=text)
        weights.append(weight)
        nodes.append(helper.make_node("Add", [last, f"w{number}"], [f"t{number}"], f"add{number}"))
        last = f"t{number}"
    nodes.append(
        helper.make_node(
            "ScatterElements", [last, "i", "u"], ["y"], "scatter", axis=0, reduction="add"
        )
    )
    value = helper.make_tensor_value_info
    inputs = [
        value("x", TensorProto.FLOAT, shape),
        value("i", TensorProto.INT64, [16, shape[1]]),
        value("u", TensorProto.FLOAT, [16, shape[1]]),
    ]
    outputs = [value("y", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "external", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    with (path.parent / "weights.bin").open("wb") as file:
        file.truncate(EXTERNAL_TENSORS * EXTERNAL_BYTES)


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "200"}
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / 1e3


def measure(model: str, ways: dict[str, list[str]], runs: int) -> list[dict[str, Any]]:
    """A row for each way: the medians of several processes, all ways in turn."""
    pairs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, command in ways.items():
            pairs[way].append(measured(command))
    rows = []
    for way, found in pairs.items():
        seconds, memory = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{seconds:7.2f} s {memory:8.0f} MB  {model}: {way}", flush=True)
        rows.append({"model": model, "way": way, "seconds": seconds, "peak_memory_mb": memory})
    return rows


def generate(folder: Path) -> None:
    """Write both models."""
    write_large_graph(folder / "large.onnx")
    write_external_model(folder / "external.onnx")


def main() -> None:
    """Measure both models."""
    with tempfile.TemporaryDirectory() as folder:
        large, external = Path(folder, "large.onnx"), Path(folder, "external.onnx")
        # In a process of its own: a child's peak memory begins with what its parent has.
        subprocess.run([sys.executable, __file__, folder], check=True)
        imports = [sys.executable, "-c", "import onnx, onnx_graphsurgeon"]
        rows = measure("none", {"Python and those imports": imports}, RUNS)
        for model, script, runs in ((large, PLAIN, RUNS), (external, PLAIN_EXTERNAL, 1)):
            name = f"{large.stat().st_size / 1e6:.0f} MB, {NODES} nodes"
            if model is external:
                name = f"{EXTERNAL_TENSORS * EXTERNAL_BYTES / 1e9:.1f} GB of external data"
            output = str(model.with_name("rewritten.onnx"))
            ours = [sys.executable, "-m", "pluginkit.cli", "rewrite", str(model), "-o", output]
            plain = [sys.executable, "-c", script, str(model), output]
            rows += measure(name, {"pluginkit rewrite": ours, "onnx-graphsurgeon": plain}, runs)
    record("rewrite", host_environment(), rows)


if __name__ == "__main__":
    generate(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
