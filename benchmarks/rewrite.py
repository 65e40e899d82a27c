"""`pluginkit rewrite` and plain onnx-graphsurgeon: seconds and peak memory of a process.

    python benchmarks/rewrite.py

Three generated models: 20,000 and 100,000 nodes, a quarter of them to be rewritten; and 3 GB of
external data. Processes alternate between the ways, and the smallest figure of each counts, since
other work on the machine only adds to it. The ratios to plain onnx-graphsurgeon, and of peak memory
(without that of the imports) to the model's size, are recorded too. The first processes compile
Python's bytecode, as an installation does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import host_environment, record

#: The nodes of the generated graphs, and how often each way runs on them.
GRAPHS = {20_000: 5, 100_000: 3}
EVERY = 4
EXTERNAL_TENSORS, EXTERNAL_BYTES = 96, 32 * 2**20
PLAIN_WAY = "onnx-graphsurgeon"

#: A script that makes the same change with onnx-graphsurgeon alone.
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


#: A script that prints the bytes that rewrite_model adds to the memory of a loaded model.
GROWTH = """
import sys
from pathlib import Path
from pluginkit import load_model, rewrite_model

def memory(key):
    text = Path("/proc/self/status").read_text().partition(key + ":")[2]
    return int(text.split()[0]) * 1024

model = load_model(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = memory("VmRSS")
rewrite_model(model, in_place=sys.argv[2] == "in place")
print(memory("VmHWM") - before)
"""


def write_large_graph(path: Path, count: int) -> None:
    """Write a chain of Add, Relu, Mul and ScatterElements, each Add with its weights."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    indices = numpy_helper.from_array(rng.integers(0, 64, (16, 56)), "indices")
    for number in range(count // EVERY):
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
    """Write a chain of additions whose weights are in a sparse file, and one ScatterElements."""
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


def measured(command: list[str]) -> tuple[float, float, float]:
    """Return the seconds, CPU seconds and peak memory in MB of a process."""
    environment = {**os.environ, "COLUMNS": "200"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def measure(model: str, ways: dict[str, list[str]], runs: int) -> list[dict[str, Any]]:
    """Return a row for each way: the smallest figures of several processes, all ways in turn."""
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, command in ways.items():
            found[way].append(measured(command))
    rows = []
    for way, figures in found.items():
        seconds, processor, memory = map(min, zip(*figures, strict=True))
        row = {"seconds": seconds, "processor_seconds": processor, "peak_memory_mb": memory}
        print(f"{seconds:7.2f} s {processor:7.2f} s {memory:8.0f} MB  {model}: {way}", flush=True)
        rows.append({"model": model, "way": way, "runs": runs, **row})
    return rows


def compared(rows: list[dict[str, Any]], model_mb: float, imports_mb: float) -> None:
    """Add to each row of a model its ratios to the plain way and to the model's size."""
    plain = next(row for row in rows if row["way"] == PLAIN_WAY)
    for row in rows:
        row["seconds_over_plain"] = row["seconds"] / plain["seconds"]
        row["processor_over_plain"] = row["processor_seconds"] / plain["processor_seconds"]
        row["memory_over_model"] = (row["peak_memory_mb"] - imports_mb) / model_mb


def growth(path: Path) -> list[dict[str, Any]]:
    """Return rows with the memory that rewrite_model adds to the loaded model."""
    rows = []
    for way in ("in place", "a copy"):
        command = [sys.executable, "-c", GROWTH, str(path), way]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        ratio = int(done.stdout) / path.stat().st_size
        print(f"{ratio:.2f} of the model: growth in rewrite_model, {way}", flush=True)
        rows.append({"model": path.stem, "way": way, "growth_over_model": ratio})
    return rows


def generate(folder: Path) -> None:
    """Write all models."""
    for count in GRAPHS:
        write_large_graph(folder / f"{count} nodes.onnx", count)
    write_external_model(folder / "external.onnx")


def ways_of(model: Path, script: str) -> dict[str, list[str]]:
    """Return the command of each way."""
    output = str(model.with_name("rewritten.onnx"))
    return {
        "pluginkit rewrite": [
            sys.executable, "-m", "pluginkit", "rewrite", str(model), "-o", output,
        ],
        PLAIN_WAY: [sys.executable, "-c", script, str(model), output],
    }  # fmt: skip


def main() -> None:
    """Measure all models."""
    with tempfile.TemporaryDirectory() as folder:
        # In another process: the peak memory of a child starts at its parent's memory.
        subprocess.run([sys.executable, __file__, "--generate", folder], check=True)
        imports = [sys.executable, "-c", "import onnx, onnx_graphsurgeon"]
        rows = measure("none", {"Python and those imports": imports}, 5)
        imports_mb = rows[0]["peak_memory_mb"]
        grown: list[dict[str, Any]] = []
        for count, runs in GRAPHS.items():
            model = Path(folder, f"{count} nodes.onnx")
            size = model.stat().st_size / 1e6
            found = measure(f"{size:.0f} MB, {count} nodes", ways_of(model, PLAIN), runs)
            compared(found, size, imports_mb)
            rows += found
            grown += growth(model)
        model, size = Path(folder, "external.onnx"), EXTERNAL_TENSORS * EXTERNAL_BYTES / 1e6
        found = measure(f"{size / 1e3:.1f} GB of external data", ways_of(model, PLAIN_EXTERNAL), 1)
        compared(found, size, imports_mb)
        record("rewrite", host_environment(), [*rows, *found, *grown])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--generate", type=Path, metavar="FOLDER", help="only write the models")
    folder = parser.parse_args().generate
    generate(folder) if folder else main()
