"""Make benchmarks/README.md, or charts and pages, from the files in benchmarks/results.

python benchmarks/report.py                    # writes benchmarks/README.md
python benchmarks/report.py --charts FOLDER    # a PNG and an HTML page for each plugin
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hostile_table import summary_line, tables

from pluginkit.bench.bench_report import OWN, BenchReport, report_from_document
from pluginkit.bench.bench_table import markdown_from_table, summary_of, table_from_report

FOLDER = Path(__file__).parent
HEAD = """# Benchmarks

Made by `python benchmarks/report.py` from the files in [results](results). With `--charts FOLDER`
it draws them instead: a roofline and bars for each plugin, as PNG and as a page with the table.
Every script answers `--help`. `python benchmarks/older_results.py` says which results are older
than the code that they measure.

| script | measures | needs |
| --- | --- | --- |
| [scatter_elements.py](scatter_elements.py) | ScatterElements and its peers | a GPU, torch |
| [scatter_nd.py](scatter_nd.py) | ScatterND and its peers | a GPU, torch |
| [uneven_scatter_elements.py](uneven_scatter_elements.py) | ScatterElements at hubs | a GPU, \
torch |
| [uneven_scatter_cells.py](uneven_scatter_cells.py) | ScatterElements in few cells | a GPU, torch |
| [uneven_scatter_nd.py](uneven_scatter_nd.py) | ScatterND at hubs | a GPU, torch |
| [non_zero.py](non_zero.py) | NonZero and its peers | a GPU, torch |
| [top_k.py](top_k.py) | TopK and its peers | a GPU, torch |
| [unique.py](unique.py) | Unique and its peers | a GPU, torch |
| [grid_sample.py](grid_sample.py) | GridSample and its peers | a GPU, torch |
| [rms_norm.py](rms_norm.py) | AddRMSNorm and its peers | a GPU, torch |
| [layer_norm.py](layer_norm.py) | AddLayerNorm and its peers | a GPU, torch, triton |
| [swi_glu.py](swi_glu.py) | SwiGLU and torch | a GPU, torch |
| [rotary_embedding.py](rotary_embedding.py) | RotaryEmbedding and torch | a GPU, torch |
| [non_max_suppression.py](non_max_suppression.py) | NonMaxSuppression and peers | a GPU, torch |
| [roi_align.py](roi_align.py) | RoiAlign and its peers | a GPU, torch |
| [deform_conv.py](deform_conv.py) | DeformConv and its peers | a GPU, torchvision |
| [multi_scale_deformable_attention.py](multi_scale_deformable_attention.py) | \
MultiScaleDeformableAttention and peers | a GPU, torch, triton |
| [max_roi_pool.py](max_roi_pool.py) | MaxRoiPool and torchvision | a GPU, torchvision |
| [col2im.py](col2im.py) | Col2Im and torch's fold | a GPU, torch |
| [antialias_resize.py](antialias_resize.py) | AntialiasResize and torch | a GPU, torch |
| [max_pool.py](max_pool.py) | MaxPool with indices and torch | a GPU, torch |
| [max_unpool.py](max_unpool.py) | MaxUnpool and torch | a GPU, torch |
| [cum_prod.py](cum_prod.py) | CumProd and torch | a GPU, torch |
| [random_numbers.py](random_numbers.py) | RandomNumbers and torch | a GPU, torch |
| [dft.py](dft.py) | Dft, cuFFT and a product | a GPU, torch |
| [det.py](det.py) | Det and torch | a GPU, torch |
| [inverse.py](inverse.py) | Inverse and torch | a GPU, torch |
| [solve.py](solve.py) | Solve and torch | a GPU, torch |
| [cholesky.py](cholesky.py) | Cholesky and torch | a GPU, torch |
| [search_sorted.py](search_sorted.py) | SearchSorted and its peers | a GPU, torch |
| [kth_value.py](kth_value.py) | KthValue and its peers | a GPU, torch |
| [circ_pad.py](circ_pad.py) | CircPad and torch | a GPU, torch |
| [bit_cast.py](bit_cast.py) | BitCast and torch | a GPU, torch |
| [segment_reduce.py](segment_reduce.py) | SegmentReduce and its peers | a GPU, torch, Triton |
| [resized_arg_max.py](resized_arg_max.py) | ResizedArgMax and its peers | a GPU, torch |
| [tree_ensemble.py](tree_ensemble.py) | TreeEnsemble and its peers | a GPU, torch |
| [selective_scan.py](selective_scan.py) | SelectiveScan and its peers | \
a GPU, torch, triton |
| [hostile_shapes.py](hostile_shapes.py) | every plugin on inputs that nobody tuned for | \
a GPU, torch, triton |
| [torchvision_detectors.py](torchvision_detectors.py) | which detectors build | torchvision |
| [exports.py](exports.py) | models that people export: [table](exports.md) | torch and others |
| [enqueue_vtables.py](enqueue_vtables.py) | what one enqueue costs the host | \
a GPU, tensorrt_lean, g++ |
| [enqueue.py](enqueue.py) | the same, called from Python | a GPU, tensorrt_lean |
| [enqueue_exported.py](enqueue_exported.py) | an exported plugin's first enqueue | a GPU |
| [ptx_machine.py](ptx_machine.py) | the PTX machine on every case of the plugins | nothing |
| [ptx_throughput.py](ptx_throughput.py) | its instructions a second | nothing |
| [ptx_mutants.py](ptx_mutants.py) | its findings in mutants: [table](ptx_mutants.md) | nothing |
| [imports.py](imports.py) | how long imports and `--help` take | nothing |
| [export_plugins.py](export_plugins.py) | how long whole plugins take to export | g++ |
| [install_size.py](install_size.py) | [what an installation weighs](../docs/support.md) | nothing |
| [cold_start.py](cold_start.py) | a fresh process's first result | a GPU |
| [new_shapes.py](new_shapes.py) | what a shape never seen costs the host | a GPU, tensorrt_lean |
| [rms_norm_steps.py](rms_norm_steps.py) | AddRMSNorm in decoding steps | a GPU, torch |
| [grid_sample_small.py](grid_sample_small.py) | GridSample of small inputs | a GPU, torch |
| [rewrites_that_pay.py](rewrites_that_pay.py) | rewrites that spell operators out | nothing |
| [rewrite.py](rewrite.py) | `pluginkit rewrite` and plain onnx-graphsurgeon | 10 GB of memory |
| [onnx_coverage.py](onnx_coverage.py) | ONNX's node tests: [table](coverage.md) | tensorrt_rtx |
| [precision_converters.py](precision_converters.py) | converters to float16 | nothing |
"""
#: The plugins with results, and what readers must know about them.
PLUGINS = {
    "scatter_elements": (
        "ScatterElements",
        "Reduction none overwrites: updates that lose are never read, so that it can be faster "
        "than the floor, which counts them.",
    ),
    "scatter_nd": (
        "ScatterND",
        "Reduction none as with ScatterElements. Where torch.compile is faster (pillars, mid3d) it "
        "copies and then adds by atomics of 16 bytes (atom.global.add.v4.f32 and v8.f16), which "
        "compute capability 9.0 has; lists of updates take four launches, and pay where many "
        "updates meet.",
    ),
    "uneven_scatter_elements": (
        "ScatterElements where updates meet",
        "The plain RawKernel makes an atomic operation for each update, as NVIDIA's plugin does; "
        "the vector RawKernel adds 16 bytes at once where their indices are equal.",
    ),
    "uneven_scatter_cells": ("ScatterElements in cells", "As above."),
    "uneven_scatter_nd": ("ScatterND where updates meet", "As above, with other peers."),
    "non_zero": ("NonZero", "The floor counts x once and the coordinates that come out."),
    "top_k": (
        "TopK",
        "The threshold kernel keeps what exceeds a threshold in shared memory, and sorts that when "
        "it is full. Both peers leave the order of equal elements open, so that only their values "
        "are compared. TensorRT times both tactics and takes the faster: split where rows are few "
        "and long, rows where they are many. The results are older than the kernel for "
        "whole rows and than the threshold kernel: the benchmark has not been run again.",
    ),
    "segment_reduce": (
        "SegmentReduce",
        "The floor counts x once; each edge reads a row of it, which the L2 cache holds only if x "
        "is small. torch.sparse has its edges sorted beforehand. Sums of float32 of small graphs "
        "are added up by atomics, as the last three peers do; deterministic ones are sorted. "
        "Measured before several warps shared the edges of small graphs; then many graphs were "
        "sorted and one graph was scanned. The larger cases have not been measured with peers.",
    ),
    "unique": (
        "Unique",
        "The floor counts x once and the outputs as large as they come out. Time goes into the "
        "sort, of 8 bits a pass: of integers less their lowest, without passes in which all bits "
        "are equal. Torch gives no indices. CUB sorts all bits and then writes ranks wherever they "
        "belong; from 2^22 on Unique sorts them by position first.",
    ),
    "grid_sample": (
        "GridSample",
        "Where a large input's grid jumps from pixel to pixel (across, scattered, points), x is "
        "copied first, so that the channels of a pixel lie together; to look at the grid for that "
        "costs the other large cases 7 to 9 us.",
    ),
    "rms_norm": ("AddRMSNorm", "The floor counts both inputs and both outputs once."),
    "layer_norm": (
        "AddLayerNorm",
        "The floor counts both inputs and both outputs once. A row is one block, so that few long "
        "rows leave multiprocessors without work.",
    ),
    "swi_glu": (
        "SwiGLU",
        "The floor is that of a copy. The results are older than the kernel: then the compiler "
        "made four stores of every second vector, which costs float16 most.",
    ),
    "rotary_embedding": ("RotaryEmbedding", "The floor counts x, y and the tables once."),
    "random_numbers": (
        "RandomNumbers",
        "The floor counts what is written. No two generators draw the same numbers, so that all "
        "are multiplied by 0 before they are compared.",
    ),
    "rms_norm_steps": (
        "AddRMSNorm, decoding steps",
        "A launch that does nothing takes 1.4 us in the same loop; a row is one block.",
    ),
    "grid_sample_small": (
        "GridSample, small inputs",
        "A launch that does nothing takes 1.4 to 1.8 us in the same loop.",
    ),
    "non_max_suppression": (
        "NonMaxSuppression",
        "The floor counts every box and score once. What takes time is to compare boxes with "
        "those chosen before, which for boxes that do not overlap is the square of their number. "
        "The plain kernel compares all pairs and then walks through the masks in one block.",
    ),
    "multi_scale_deformable_attention": (
        "MultiScaleDeformableAttention",
        "The floor counts value once, although every query reads 64 pixels of each head. Torch is "
        "a grid_sample for each level, as transformers has it; the plain kernel is a thread for "
        "each output, as Deformable DETR's own operator.",
    ),
    "selective_scan": (
        "SelectiveScan",
        "Torch loops over time, and is timed up to 256 steps. Triton is an associative_scan in a "
        "program for each channel, 64 steps at a time; the plain kernel a thread for each channel.",
    ),
    "max_roi_pool": (
        "MaxRoiPool",
        "The floor counts X once. torchvision computes bins of float16 in float16, so that its "
        "results differ where a region is large. Measured with warps that take rows of bins in "
        "every case; since then a thread takes one bin in the first three, where bins are many.",
    ),
    "resized_arg_max": (
        "ResizedArgMax",
        "The floor counts the maps once; what takes time is to compute the resized pixels. A block "
        "takes a map, or a part of one where there are few.",
    ),
    "dft": (
        "Dft",
        "The product is what ExpandDft makes of a DFT, in float32. Along columns and back to real "
        "numbers torch's time has a copy: into ONNX's order of memory, and of the spectrum that "
        "cuFFT overwrites.",
    ),
    "det": ("Det", "The floor counts the matrices once."),
    "inverse": ("Inverse", "The floor counts the matrices and their inverses once."),
    "solve": ("Solve", "The floor counts the matrices, the right sides and the solutions once."),
    "antialias_resize": (
        "AntialiasResize",
        "The floor counts x and y once. Where an axis shrinks by more than 8, or is not among the "
        "last two, one axis is resized after the other, with what lies between in memory. torch "
        "has a thread for each pixel of y, which computes its weights and then takes all planes; "
        "factors whose weights do not fit into shared memory it refuses. A line was measured with "
        "a tile for each of its rows; several rows now share one.",
    ),
    "max_pool": (
        "MaxPool",
        "torch's indices count in a plane, and are not compared. In these results torch.compile "
        "has left them out, because nothing read them; the benchmark now asks for them.",
    ),
    "max_unpool": (
        "MaxUnpool",
        "The floor counts X, I and Y once. torch's indices count in a plane, and are made "
        "beforehand. In anywhere, elements belong outside of their windows.",
    ),
    "circ_pad": ("CircPad", "The floor counts x and y once."),
    "bit_cast": ("BitCast", "The floor is that of a copy."),
    "roi_align": (
        "RoiAlign",
        "The floor counts X once, although regions read parts of it several times or not at all.",
    ),
}


def load(name: str) -> dict[str, Any]:
    """Return the content of a file of results."""
    document: dict[str, Any] = json.loads((FOLDER / "results" / f"{name}.json").read_text())
    return document


def machine(document: dict[str, Any]) -> str:
    """Return the machine that a document was measured on."""
    found = document["environment"]
    parts = []
    if "gpu" in found:
        parts += [found["gpu"], f"driver {found['driver']}", f"CUDA {found['cuda_driver']}"]
        parts += [found["tensorrt"]] if "tensorrt" in found else []
    parts += [f"{found['processor']}, {found['cores']} cores"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{', '.join(parts)}; {versions}; {document['date']}."


def plugin(name: str) -> str:
    """Return the table of a plugin, and where it is slower than a peer."""
    title, remark = PLUGINS[name]
    report = report_from_document(load(name))
    columns, rows = table_from_report(report)
    lines = [
        f"## {title}\n",
        *(f"- {line}" for line in summary_of(report)),
        f"- {report.method}",
        f"- {remark}",
        f"- {slower(report)}\n",
        markdown_from_table(columns, rows),
    ]
    return "\n".join(lines) + "\n"


def slower(report: BenchReport) -> str:
    """Return the workloads on which a peer is faster."""
    found = []
    for workload, results in report.by_workload().items():
        own = results[OWN].device_us
        for name, result in results.items():
            if own and result.device_us and result.device_us < own:
                found.append(f"{' '.join(workload)}: {name} by {own / result.device_us - 1:.0%}")
    return "Faster peers: " + ("; ".join(found) if found else "none") + "."


def hostile_shapes() -> str:
    """Return how plugins do on inputs that nobody tuned for, if that has been measured."""
    if not (FOLDER / "results" / "hostile_shapes.json").exists():
        return ""
    document = load("hostile_shapes")
    earlier = "".join(
        f" {' and '.join(run['plugins'])}: of {run['date'][:16]}, seed {run['seed']}."
        for run in document["earlier"]
    )
    return (
        f"## Inputs that nobody tuned for\n\n{machine(document)}\n\nHostile shapes of every "
        f"plugin, and some drawn with seed {document['seed']}, beside the peers of its benchmark; "
        "ratio: time over the fastest peer's; "
        f"{document['method']}{earlier}\n\n{summary_line(document['rows'])}\n\n{tables(document['rows'])}\n"
    )


def enqueue_vtables() -> str:
    """Return the table of enqueues through TensorRT's virtual functions."""
    document = load("enqueue_vtables")
    rows = [
        [row["way"], f"{row['us']:.2f}", f"{row['low_us']:.2f} to {row['high_us']:.2f}",
         f"x{row['over_driver']:.2f}", f"{row['busy_us']:.1f}" if "busy_us" in row else "",
         f"{row['new_shape_us']:.0f}" if "new_shape_us" in row else ""]
        for row in document["rows"]
    ]  # fmt: skip
    head = ["one enqueue", "median us", "deciles", "over the driver", "beside busy Python, us",
            "a shape never seen, us"]  # fmt: skip
    return (
        f"## Enqueue through TensorRT's virtual functions\n\n{machine(document)}\n\nThree inputs, "
        "one output, a small kernel. Each plugin comes out of TensorRT's registry, is built and "
        "attached in TensorRT's order, and is enqueued by one C++ loop, all ways in turn; the "
        "empty Python enqueue launches nothing. Beside busy Python: another thread runs Python. A "
        "shape never seen: its announcement and the first enqueue.\n\n"
        f"{markdown_from_table(head, rows)}\n"
    )


def enqueue() -> str:
    """Return the table of enqueue times."""
    document = load("enqueue")
    rows = [
        [row["way"], f"{row['us']:.1f}", f"{row['low_us']:.1f} to {row['high_us']:.1f}",
         f"x{row['over_driver']:.2f}"]
        for row in document["rows"]
    ]  # fmt: skip
    table = markdown_from_table(["one enqueue", "median us", "deciles", "over the driver"], rows)
    return (
        f"## Enqueue from Python\n\n{machine(document)}\n\nThree inputs, one output, a small "
        "kernel; host time of single calls on an idle stream, all ways in turn. Another shape each "
        "time: V2's includes the making of DynamicPluginTensorDescs, which TensorRT does in "
        "C++.\n\n"
        f"{table}\n"
    )


def enqueue_exported() -> str:
    """Return the table of an exported plugin's enqueue."""
    document = load("enqueue_exported")
    rows = [
        [f"{row['driver_alone_us']:.2f}", f"{row['exported_us']:.2f}", f"x{row['ratio']:.2f}",
         f"{row['load_to_first_enqueue_us']:.0f}"]
        for row in document["rows"]
    ]  # fmt: skip
    head = ["the driver alone, us", "the exported plugin, us", "ratio", "load to first enqueue, us"]
    return (
        f"## Enqueue of an exported plugin\n\n{machine(document)}\n\nThe same inputs and kernel "
        "from a C++ program that drives the library as TensorRT does; medians.\n\n"
        f"{markdown_from_table(head, rows)}\n"
    )


def new_shapes() -> str:
    """Return the table of shapes that are new."""
    document = load("new_shapes")
    rows = [
        [row["case"], f"{row['new_us']:.0f}", f"{row['known_us']:.1f}"] for row in document["rows"]
    ]
    table = markdown_from_table(["plugin", "a shape never seen, us", "one that was met, us"], rows)
    return (
        f"## Shapes that are new\n\n{machine(document)}\n\nWhat on_shape_change costs the host "
        f"once the kernels are loaded, on sizes that are new each time; medians.\n\n{table}\n"
    )


def cold_start() -> str:
    """Return the table of fresh processes."""
    document = load("cold_start")
    found: dict[str, dict[str, list[Any]]] = {}
    for row in document["rows"]:
        found.setdefault(row["case"], {}).setdefault(row["kernels are"], []).append(row)
    rows = []
    for case, both in found.items():
        seconds = [min(row["seconds"] for row in both[kind]) for kind in ("compiled", "cached")]
        kernels = min(row.get("kernels", 0.0) for row in both["compiled"])
        rows.append([case, *(f"{one:.2f}" for one in seconds), f"{kernels:.2f}" if kernels else ""])
    head = ["first result of", "empty cache, s", "kernels cached, s", "compiling, s"]
    return (
        f"## Cold processes\n\n{machine(document)}\n\nFrom the start of a process to the result "
        "on the host, imports and CUDA's context included; `pluginkit warm` fills the cache. A "
        f"kernel of three lines through cupy stands beside it.\n\n{markdown_from_table(head, rows)}"
        "\n"
    )


def imports() -> str:
    """Return the table of start-up times."""
    document = load("imports")
    rows = [
        [row["command"], f"{row['seconds']:.3f}", f"{row['limit_seconds'] or ''}"]
        for row in document["rows"]
    ]
    table = markdown_from_table(["command", "seconds", "limit"], rows)
    return f"## Imports\n\n{machine(document)}\n\nMedians of fresh processes.\n\n{table}\n"


def rewrite() -> str:
    """Return the table of rewrites."""
    document = load("rewrite")
    whole = [row for row in document["rows"] if "seconds" in row]
    rows = [
        [row["model"], row["way"], f"{row['seconds']:.2f}", f"{row['processor_seconds']:.2f}",
         f"{row['peak_memory_mb']:.0f}",
         *(_times(row.get(f"{name}_over_{what}")) for name, what in
           (("seconds", "plain"), ("processor", "plain"), ("memory", "model")))]
        for row in whole
    ]  # fmt: skip
    columns = [
        "model", "way", "seconds", "processor seconds", "peak memory, MB", "seconds over plain",
        "processor over plain", "memory over model",
    ]  # fmt: skip
    grown = ", ".join(
        f"{row['growth_over_model']:.2f} ({row['model']}, {row['way']})"
        for row in document["rows"]
        if "growth_over_model" in row
    )
    return (
        f"## Rewrite\n\n{machine(document)}\n\nWhole processes, imports included; the "
        "smallest of several runs, all ways in turn on a machine that does other work too. "
        "Memory over model: peak memory, less that of the imports, over the model's size.\n\n"
        f"{markdown_from_table(columns, rows)}\n\nWhat `rewrite_model` adds to the memory of a "
        f"model that is loaded, over the model's size: {grown}.\n"
    )


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"x{ratio:.2f}"


def draw_charts(folder: Path, names: list[str]) -> None:
    """Write the picture and the page of each plugin into a folder."""
    from pluginkit.bench.charts import html_from_report, png_from_report

    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        report = report_from_document(load(name))
        (folder / f"{name}.png").write_bytes(png_from_report(report))
        (folder / f"{name}.html").write_text(html_from_report(report), encoding="utf-8")
        print(f"Wrote {folder / name}.png and .html")


def main() -> None:
    """Write the page, or the charts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--charts", type=Path, metavar="FOLDER", help="draw the results into it")
    folder = parser.parse_args().charts
    there = [name for name in PLUGINS if (FOLDER / "results" / f"{name}.json").exists()]
    if folder is not None:
        draw_charts(folder, there)
        return
    parts = (
        HEAD, hostile_shapes(), *map(plugin, there), enqueue_vtables(), enqueue(),
        enqueue_exported(), new_shapes(), cold_start(), imports(), rewrite(),
    )  # fmt: skip
    (FOLDER / "README.md").write_text("\n".join(filter(None, parts)), encoding="utf-8")


if __name__ == "__main__":
    main()
