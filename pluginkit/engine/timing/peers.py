"""Time what else computes the model: ONNX Runtime, and a PyTorch program.

Each run begins with arrays of the host and ends with arrays of the host, as a plan's run with its
copies does.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.engine.timing.timing import TimingOptions
from pluginkit.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]

#: ONNX Runtime's providers that are timed, the first that is there; its TensorRT provider is not a
#: peer of TensorRT.
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


@dataclass(frozen=True)
class PeerTiming:
    """What else computes the model, and how long it takes.

    Attributes:
        name: what it is, with its version and device.
        times_ms: the duration of each run, with its copies.
        outputs: the outputs of a run, by the names of the plan's.
    """

    name: str
    times_ms: tuple[float, ...]
    outputs: Arrays


def time_onnxruntime(model: Path, inputs: Arrays, how: TimingOptions) -> PeerTiming:
    """Time a model in ONNX Runtime, with its optimizations: on the GPU where it can use one.

    Errors:
        PK400 to PK408: the model cannot be read.  PK440: the inputs are not the model's.  PK441:
            ONNX Runtime refuses the model.
    """
    import onnxruntime

    from pluginkit.onnx.model.model_file import load_model
    from pluginkit.onnx.running.onnxruntime_refusal import refusal
    from pluginkit.onnx.running.onnxruntime_session import check_feeds

    loaded = load_model(model)
    stored = {tensor.name for tensor in loaded.graph.initializer}
    check_feeds(loaded.graph.input, stored, inputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised anyway
    present = onnxruntime.get_available_providers()
    providers = [provider for provider in _PROVIDERS if provider in present]
    names = [value.name for value in loaded.graph.output]
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=providers)
        used = session.get_providers()[0]  # what it could load of these
        times, made = _timed(lambda: session.run(names, dict(inputs)), how)
    except Exception as error:  # their exception classes have no common base
        raise refusal(error, loaded, str(model)) from error
    name = f"ONNX Runtime {onnxruntime.__version__}, {used.removesuffix('ExecutionProvider')}"
    return PeerTiming(name, times, dict(zip(names, made, strict=True)))


def time_torch(
    program: str, inputs: Arrays, outputs: Sequence[str], how: TimingOptions
) -> PeerTiming:
    """Time a PyTorch program, on the GPU where PyTorch can use one.

    Args:
        program: a file that ``torch.export.save`` wrote, or ``package.module:name`` of a
            ``torch.nn.Module`` or of a function without arguments that returns one. It is executed.
        inputs: an array for each input, in the plan's order, which is that of the program's
            arguments.
        outputs: the names of the plan's outputs, in the order of what the program returns.
        how: how often to run.

    Errors:
        PK620: PyTorch is not installed.  PK545: there is no such program, or it does not run on
            these inputs.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            "PK620",
            "Python package 'torch' is not installed; --against torch needs it.",
            fix="pip install torch, or leave out --against torch.",
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        run = _torch_program(torch, program, device)
        with torch.inference_mode():
            times, made = _timed(lambda: _run_torch(torch, run, inputs, device), how)
        if len(made) != len(outputs):
            raise ValueError(f"it returns {len(made)} tensors; the plan has {len(outputs)} outputs")
    except Exception as error:  # a program raises anything
        raise UsageError(
            "PK545",
            f"the PyTorch program '{program}' cannot be timed.",
            cause=f"{type(error).__name__}: {error}",
            fix="give a file of torch.export.save, or package.module:name of a torch.nn.Module or "
            "of a function that returns one; it takes the plan's inputs, in their order, and "
            "returns the plan's outputs.",
        ) from error
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    name = f"PyTorch {torch.__version__}, {where}"
    return PeerTiming(name, times, dict(zip(outputs, made, strict=True)))


def _torch_program(torch: Any, program: str, device: str) -> Callable[..., Any]:
    """Return what runs a program, on its device."""
    module_name, colon, name = program.partition(":")
    if Path(program).is_file() or not colon:
        module = torch.export.load(program).module()
    else:
        module = getattr(importlib.import_module(module_name), name)
        if not isinstance(module, torch.nn.Module):
            module = module()
        module = module.eval()  # what was exported has no such method
    run: Callable[..., Any] = module.to(device)
    return run


def _run_torch(torch: Any, run: Callable[..., Any], inputs: Arrays, device: str) -> list[Array]:
    made = run(*(torch.from_numpy(array).to(device) for array in inputs.values()))
    if isinstance(made, Mapping):
        made = list(made.values())
    tensors = made if isinstance(made, (list, tuple)) else [made]
    return [tensor.cpu().numpy() for tensor in tensors]


def _timed(
    run: Callable[[], Sequence[Array]], how: TimingOptions
) -> tuple[tuple[float, ...], Sequence[Array]]:
    """Run to warm up, then time each run; return the times and what the last one computed."""
    for _ in range(how.warm_up):
        made = run()
    times = []
    for _ in range(how.iterations):
        start = time.perf_counter()
        made = run()
        times.append(1e3 * (time.perf_counter() - start))
    return tuple(times), made
