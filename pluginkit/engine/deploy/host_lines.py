"""Write the exact lines with which each of TensorRT's hosts loads an exported library."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.onnx.inference.shape_ranges import text_from_shape

NOT_RUN = (
    "Not run by the authors: an engine inside TensorRT, Triton, DeepStream, ONNX Runtime's "
    "TensorRT provider, a Jetson."
)


def shape_options(profiles: Sequence[OptimizationProfile]) -> str:
    """Return trtexec's options for the optimization profiles, with a space before each."""
    words = []
    for number, profile in enumerate(profiles):
        if not profile.ranges:
            continue
        if len(profiles) > 1:
            words.append(f"--profile={number}")
        for option in ("min", "opt", "max"):
            shapes = ",".join(
                f"{name}:{text_from_shape(getattr(ranges, option))}"
                for name, ranges in profile.ranges.items()
            )
            words.append(f"--{option}Shapes={shapes}")
    return "".join(f" {word}" for word in words)


def build_line(model: str, library: str, shapes: str, plan: str) -> str:
    """Return the line that makes a plan of a model on the machine that runs it."""
    return f"trtexec --onnx={model} --staticPlugins={library}{shapes} --saveEngine={plan}"


def triton_line(repository: str, library: str) -> str:
    """Return the line that starts Triton."""
    return (
        f"tritonserver --model-repository={repository} --backend-config=tensorrt,plugins={library}"
    )
