"""Run the benchmark of one plugin; helpers to define peers in torch and plain CUDA."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from record import RESULTS

from pluginkit import Plugin
from pluginkit.bench.workload import NotOffered, TimedCall
from pluginkit.contract.tensors import DeviceTensor

#: Takes the inputs as torch tensors; returns the first output, or a tuple of the first ones.
Function = Callable[..., Any]
#: From a plugin and its inputs to what computes the same; it raises NotOffered where torch cannot.
Make = Callable[[Any, Sequence[DeviceTensor]], Function]
#: torch.compile's mode that tries kernels and their sizes; CUDA graphs would add copies of inputs.
MAX_AUTOTUNE = "max-autotune-no-cudagraphs"


def run_bench(plugin: type[Plugin], file: str) -> int:
    """Run ``pluginkit bench`` with a file's workloads and peers, and the options given.

    The results are written to benchmarks/results/<name of the file>.json.
    """
    from pluginkit.cli.main import main

    results = RESULTS / f"{Path(file).stem}.json"
    options = [f"--peers={file}", f"--json={results}", *sys.argv[1:]]
    return main(["bench", plugin.__name__, *options])


def torch_on_stream_of(tensors: Sequence[DeviceTensor]) -> Any:
    """Return torch, set to the stream of the tensors."""
    import torch

    torch.cuda.set_stream(torch.cuda.ExternalStream(tensors[0].stream))
    return torch


def torchvision_ops() -> Any:
    """Return torchvision's operators; raises NotOffered where it is not installed."""
    try:
        import torchvision.ops
    except ImportError as error:
        raise NotOffered("torchvision is not installed") from error
    return torchvision.ops


def bind_torch(make: Make) -> Callable[..., TimedCall]:
    """Return the ``bind`` of a Peer that runs the torch function of ``make``."""

    def bind(
        plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
    ) -> TimedCall:
        function = make(plugin, inputs)
        torch_on_stream_of(inputs)
        tensors = [tensor.torch() for tensor in inputs]
        return lambda: function(*tensors)

    return bind


def compiled(make: Make, mode: str | None = None) -> Make:
    """Return ``make`` with torch.compile, once for a plugin and its inputs' shapes and types."""
    known: dict[tuple[Any, ...], Function] = {}

    def make_compiled(plugin: Any, inputs: Sequence[DeviceTensor]) -> Function:
        import torch

        config = torch._dynamo.config
        config.recompile_limit = config.accumulated_recompile_limit = 1000
        key = (plugin, *((tensor.shape, tensor.dtype) for tensor in inputs))
        if key not in known:
            known[key] = torch.compile(make(plugin, inputs), dynamic=False, mode=mode)
        return known[key]

    return make_compiled


@cache
def plain_kernel(source: str, expression: str) -> Any:
    """Compile a CUDA C++ kernel with cupy, by its name expression."""
    import cupy
    from cuda.pathfinder import find_nvidia_header_directory

    module = cupy.RawModule(
        code=source,
        options=("--std=c++17", f"-I{find_nvidia_header_directory('cudart')}"),
        name_expressions=[expression],
    )
    return module.get_function(expression)


@cache
def nvcc_library(source: Path, *definitions: str) -> ctypes.CDLL:
    """Compile a file with nvcc, which brings CUB along, for this GPU; the library is kept."""
    import cupy

    nvcc = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if nvcc is None:
        raise NotOffered("nvcc is not installed")
    command = [nvcc, "-O3", "-std=c++17", "-shared", "-Xcompiler", "-fPIC"]
    command += [f"-arch=sm_{cupy.cuda.Device().compute_capability}", *definitions, str(source)]
    known = hashlib.sha256("\0".join([*command, source.read_text()]).encode()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"{source.stem}-{known}.so"
    if not library.exists():
        done = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True)
        if done.returncode:
            raise NotOffered(f"nvcc fails: {done.stderr.strip().splitlines()[-1:]}")
    return ctypes.CDLL(str(library))
