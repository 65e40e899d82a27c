"""pluginkit: TensorRT custom plugins in Python.

Subclass :class:`Plugin`, run ``pluginkit rewrite model.onnx``, test the plugin against numpy.
Importing the package imports neither TensorRT, cupy, numba, onnx nor numpy; names are loaded when
they are used.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pluginkit.attributes import attribute
    from pluginkit.dims import ceil_div, dim_max, dim_min
    from pluginkit.dtypes import (
        DType,
        bfloat16,
        bool_,
        float16,
        float32,
        int8,
        int32,
        int64,
        uint8,
    )
    from pluginkit.engine import BuildResult, build_engine, run_engine
    from pluginkit.errors import PluginkitError
    from pluginkit.kernels.declare import Copy, CudaKernel, Fill, Launch, NumbaKernel
    from pluginkit.onnx.compare import Comparison, compare_models
    from pluginkit.onnx.driver import RewriteResult, rewrite_model
    from pluginkit.onnx.model import load_model, save_model
    from pluginkit.onnx.rewrite import Match, Op, Rewrite
    from pluginkit.plugin import Case, Plugin
    from pluginkit.spec import Input, OnnxOp, Output, PluginSpec
    from pluginkit.tensors import DeviceTensor, TensorDesc, Workspace
    from pluginkit.trt.callbacks import callback_errors
    from pluginkit.trt.registry import add_to_network, register

__version__ = "0.1.0"

_HOMES = {
    "pluginkit.attributes": ("attribute",),
    "pluginkit.dims": ("ceil_div", "dim_max", "dim_min"),
    "pluginkit.dtypes": (
        "DType", "bfloat16", "bool_", "float16", "float32", "int8", "int32", "int64", "uint8",
    ),
    "pluginkit.engine": ("BuildResult", "build_engine", "run_engine"),
    "pluginkit.errors": ("PluginkitError",),
    "pluginkit.kernels.declare": ("Copy", "CudaKernel", "Fill", "Launch", "NumbaKernel"),
    "pluginkit.onnx.compare": ("Comparison", "compare_models"),
    "pluginkit.onnx.driver": ("RewriteResult", "rewrite_model"),
    "pluginkit.onnx.model": ("load_model", "save_model"),
    "pluginkit.onnx.rewrite": ("Match", "Op", "Rewrite"),
    "pluginkit.plugin": ("Case", "Plugin"),
    "pluginkit.spec": ("Input", "OnnxOp", "Output", "PluginSpec"),
    "pluginkit.tensors": ("DeviceTensor", "TensorDesc", "Workspace"),
    "pluginkit.trt.callbacks": ("callback_errors",),
    "pluginkit.trt.registry": ("add_to_network", "register"),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # the table above is the list

# A wheel holds plugins/ and graph_rewrites/ inside this package; a checkout has them beside it.
if not (Path(__file__).parent / "plugins").is_dir():
    __path__.append(str(Path(__file__).parent.parent))


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pluginkit' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
