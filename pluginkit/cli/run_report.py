"""Say what the runs of a plan took: as text, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.quantities import counted

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.engine.timing.peers import PeerTiming
    from pluginkit.engine.timing.timing import LayerTime, Timing, TimingOptions

#: Layers that a table on the terminal lists, the slowest; the JSON and the page have all.
_SHOWN = 20
#: Runs that the page draws.
_DRAWN = 4000
_STATISTICS = ("p50", "p90", "p99", "mean", "best", "worst")
Table = tuple[str, Sequence[str], list[tuple[str, ...]]]


def times_document(
    timing: Timing, how: TimingOptions, peers: Sequence[PeerTiming]
) -> dict[str, Any]:
    """Return what was measured, for the JSON."""
    return {
        "iterations": how.iterations,
        "warm_up": how.warm_up,
        "streams": how.streams,
        "contexts": how.contexts or how.streams,
        "cuda_graph": how.cuda_graph,
        "nvtx": timing.nvtx,
        "runs_per_second": timing.runs_per_second,
        "runs_per_second_with_copies": timing.runs_per_second_with_copies,
        "milliseconds": {
            "compute": statistics(timing.compute_ms),
            "copies to the GPU": statistics(timing.to_gpu_ms),
            "copies from the GPU": statistics(timing.from_gpu_ms),
            "all": statistics(timing.total_ms),
        },
        "layers": _layer_rows(timing.layers),
        "against": [
            {
                "name": peer.name,
                "milliseconds": statistics(peer.times_ms),
                "times_the_plan": _mean(peer.times_ms) / _mean(timing.total_ms),
                "differences": _differences(peer, timing),
            }
            for peer in peers
        ],
    }


def statistics(runs: Sequence[float]) -> dict[str, Any]:
    """Return percentiles, mean and ends of the times of runs, and the runs."""
    import numpy as np

    p50, p90, p99 = map(float, np.percentile(runs, (50, 90, 99)))
    ends = {"mean": _mean(runs), "best": min(runs), "worst": max(runs)}
    return {"p50": p50, "p90": p90, "p99": p99, **ends, "runs": list(runs)}


def _mean(runs: Sequence[float]) -> float:
    return sum(runs) / len(runs)


def _layer_rows(layers: Sequence[LayerTime] | None) -> list[dict[str, Any]] | None:
    """Return the layers as they run, with the share that each has of their sum."""
    if layers is None:
        return None
    whole = sum(layer.mean_ms for layer in layers) or 1.0
    rows = []
    for layer in layers:
        numbers = statistics(layer.times_ms)
        del numbers["runs"]
        share = layer.mean_ms / whole
        rows.append({"name": layer.name, "plugin": layer.is_plugin, **numbers, "share": share})
    return rows


def _differences(peer: PeerTiming, timing: Timing) -> dict[str, Any]:
    """Return the largest difference of each output, and whether all are within tolerance."""
    from pluginkit.onnx.running.output_error import compare_arrays

    found = {}
    for name, expected in peer.outputs.items():
        if name in timing.outputs:
            one = compare_arrays(name, expected, timing.outputs[name])
            found[name] = {"largest": one.max_abs_error, "ok": one.ok}
    return found


def print_times(times: Mapping[str, Any]) -> None:
    """Print what :func:`times_document` has."""
    from pluginkit.cli.terminal_output import print_line, print_table

    for title, columns, rows in _tables(times):
        print_table(title, columns, rows)
    if times["layers"] is not None:
        slowest = sorted(times["layers"], key=lambda layer: -layer["mean"])[:_SHOWN]
        cells = [
            (
                layer["name"],
                "plugin" if layer["plugin"] else "",
                *(f"{layer[column]:.4f}" for column in ("mean", "p50", "p99")),
                f"{layer['share']:.1%}",
            )
            for layer in slowest
        ]
        columns = ("layer", "", "mean", "p50", "p99", "share")
        print_table(f"The {len(slowest)} slowest layers in ms", columns, cells)
        print_line(_share(times["layers"]))
        print_line(_nvtx(times["nvtx"]))
    print_line(_summary(times))


def _tables(times: Mapping[str, Any]) -> list[Table]:
    parts = [
        (part, *(f"{numbers[column]:.3f}" for column in _STATISTICS))
        for part, numbers in times["milliseconds"].items()
    ]
    tables: list[Table] = [("Times in ms", ("", *_STATISTICS), parts)]
    if times["against"]:
        plan = times["milliseconds"]["all"]
        rows = [_peer_row("the plan, with its copies", plan, 1.0, "")]
        rows += [
            _peer_row(
                peer["name"],
                peer["milliseconds"],
                peer["times_the_plan"],
                _difference_text(peer["differences"]),
            )
            for peer in times["against"]
        ]
        columns = ("", "p50", "p99", "mean", "in a second", "times the plan", "largest difference")
        tables.append(("From host arrays to host arrays, in ms", columns, rows))
    return tables


def _peer_row(
    name: str, numbers: Mapping[str, float], ratio: float, difference: str
) -> tuple[str, ...]:
    times = (f"{numbers[column]:.3f}" for column in ("p50", "p99", "mean"))
    return (name, *times, f"{1e3 / numbers['mean']:.1f}", f"{ratio:.2f}", difference)


def _difference_text(differences: Mapping[str, Mapping[str, Any]]) -> str:
    if not differences:
        return "no output in common"
    largest = max(each["largest"] for each in differences.values())
    is_ok = all(each["ok"] for each in differences.values())
    return f"{largest:.3g}" + ("" if is_ok else ", differs")


def _share(layers: Sequence[Mapping[str, Any]]) -> str:
    plugins = [layer for layer in layers if layer["plugin"]]
    share = sum(layer["share"] for layer in plugins)
    whole = sum(layer["mean"] for layer in layers)
    return (
        f"{counted(len(layers), 'layer')}, {whole:.3f} ms in the mean; "
        f"{len(plugins)} of them plugins, which take {share:.1%}."
    )


def _nvtx(package: str) -> str:
    if package:
        return f"Every enqueue was in an NVTX range of its own, opened by {package}."
    return "No NVTX ranges: pip install nvtx, or cupy, for them."


def _summary(times: Mapping[str, Any]) -> str:
    graph = " of a CUDA graph" if times["cuda_graph"] else ""
    lanes = ""
    if times["streams"] > 1 or times["contexts"] > 1:
        lanes = (
            f" in each of {counted(times['streams'], 'stream')} "
            f"({counted(times['contexts'], 'context')})"
        )
    return (
        f"{times['iterations']} runs{graph}{lanes}, after {times['warm_up']} to warm up: "
        f"{times['runs_per_second']:.1f} in a second without waiting or copies, "
        f"{times['runs_per_second_with_copies']:.1f} with both."
    )


def run_page(plan: Path, facts: Mapping[str, str], times: Mapping[str, Any], timing: Timing) -> str:
    """Return the page: what was measured, the timeline and the layers.

    Args:
        plan: the plan.
        facts: what it ran with, by name.
        times: what :func:`times_document` has.
        timing: the runs.
    """
    from pluginkit.view.offline_page import offline_page

    layers = times["layers"]
    data = {
        "title": plan.name,
        "facts": [*facts.items(), ("Runs", _summary(times))],
        "tables": [
            {"title": title, "columns": columns, "rows": rows}
            for title, columns, rows in _tables(times)
        ],
        "runs": [
            [run.stream, run.start_ms, run.copied_ms, run.computed_ms, run.end_ms]
            for run in timing.runs[:_DRAWN]
        ],
        "layers": layers,
        "share": _share(layers) if layers is not None else "",
    }
    scripts = ("timeline.js", "run.js")
    return offline_page("run.html", "run.css", scripts, title=plan.name, data=data)


def output_rows(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """Return dtype, shape and the range of each output, by name."""
    return {name: _array_summary(array) for name, array in arrays.items()}


def _array_summary(array: npt.NDArray[Any]) -> dict[str, Any]:
    import numpy as np

    values = array.astype(np.float64) if array.size else None
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "min": None if values is None else float(values.min()),
        "mean": None if values is None else float(values.mean()),
        "max": None if values is None else float(values.max()),
    }


def print_outputs(outputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what :func:`output_rows` has."""
    from pluginkit.cli.terminal_output import print_table
    from pluginkit.onnx.inference.shape_ranges import text_from_shape

    rows = []
    for name, one in outputs.items():
        numbers = ("-" if one[key] is None else f"{one[key]:.6g}" for key in ("min", "mean", "max"))
        rows.append((name, one["dtype"], text_from_shape(one["shape"]), *numbers))
    print_table("Outputs", ("output", "dtype", "shape", "min", "mean", "max"), rows)
