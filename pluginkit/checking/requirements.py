"""The requirements of checks: of the plugin, and of this machine."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable

from pluginkit.checking.plugin_under_test import Subject
from pluginkit.distribution import pip_install


def _cases(subject: Subject) -> str | None:
    return None if subject.cases else "sample inputs: define cases(), or pass cases"


def _onnx_op(subject: Subject) -> str | None:
    has_op = subject.plugin_class.spec.onnx_op is not None
    return None if has_op else "onnx_op is not set: there is no operator to compare with"


@functools.cache
def _flavours() -> frozenset[str]:
    """Return the TensorRT packages; finding their versions takes a tenth of a second."""
    from pluginkit.trt.flavour import available_flavours

    return frozenset(available_flavours())


def _tensorrt(subject: Subject) -> str | None:
    return None if _flavours() else "a TensorRT package: pip install tensorrt-rtx"


def _builder(subject: Subject) -> str | None:
    has_it = "tensorrt_rtx" in _flavours()
    return None if has_it else "tensorrt_rtx, which builds without a GPU: pip install tensorrt-rtx"


def _compilers(subject: Subject) -> str | None:
    from pluginkit.contract.launches import NumbaKernel

    kernels = subject.plugin_class.spec.kernels.values()
    if not kernels:
        return "kernels: the plugin declares none"
    wanted = {"cuda.bindings"}
    if any(isinstance(kernel, NumbaKernel) for kernel in kernels):
        wanted.add("numba.cuda")
    return _missing(wanted)


def _missing(modules: set[str]) -> str | None:
    lacking = sorted(name for name in modules if not _is_installed(name))
    return f"{', '.join(lacking)}: {pip_install('cuda')}" if lacking else None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


def _cuda(subject: Subject) -> str | None:
    if subject.memory == "host":
        return "a kernel: this plugin works in host memory"
    from pluginkit.device.gpus import find_gpu

    return "a CUDA GPU" if find_gpu() is None else _missing({"cupy", "cuda.bindings"})


def _device(subject: Subject) -> str | None:
    if subject.memory == "host" or _cuda(subject) is None:
        return None
    return _machine(subject)


def _machine(subject: Subject) -> str | None:
    """Return what the PTX machine, which runs kernels if there is no GPU, lacks."""
    if subject.memory == "host":
        return "a kernel: this plugin works in host memory"
    if "launches" not in subject.plugin_class.spec.overrides:
        return "a CUDA GPU, or launches(): the PTX machine runs no enqueue of one's own"
    return _compilers(subject) if subject.plugin_class.spec.kernels else None


#: Each function returns what is missing, or None.
REQUIREMENTS: dict[str, Callable[[Subject], str | None]] = {
    "cases": _cases,
    "onnx_op": _onnx_op,
    "tensorrt": _tensorrt,
    "builder": _builder,
    "compilers": _compilers,
    "cuda": _cuda,
    "device": _device,
    "machine": _machine,
}


def missing_for(needs: tuple[str, ...], subject: Subject) -> str | None:
    """Return a description of the first requirement that is not met, or None."""
    return next((text for name in needs if (text := REQUIREMENTS[name](subject))), None)
