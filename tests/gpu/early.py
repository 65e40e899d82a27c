"""Compile the kernels of a file's tests on all processors, while the first tests run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from pluginkit import Plugin
from pluginkit.contract import calls
from pluginkit.kernels.compile_early import kernels_of_call
from pluginkit.kernels.load import architecture_of, current_device
from pluginkit.kernels.machine_code import begin
from pluginkit.kernels.specialise import CudaSpecialisation


def kernels_of(coming: Iterable[tuple[Plugin, calls.Inputs]]) -> list[CudaSpecialisation]:
    """Return the CUDA C++ kernels that calls launch, each once."""
    every = {}
    for plugin, inputs in coming:
        for kernel in kernels_of_call(plugin, inputs, calls.describe_outputs(plugin, inputs)):
            if isinstance(kernel, CudaSpecialisation):
                every[kernel] = None
    return list(every)


def compile_together(kernels: Sequence[CudaSpecialisation]) -> None:
    """Begin to compile kernels; a worker of pytest-xdist takes its share, the others find it."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    begin(kernels[worker::workers], architecture_of(current_device()))
