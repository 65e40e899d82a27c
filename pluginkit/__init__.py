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
    from pluginkit.attributes import attribute as attribute
    from pluginkit.dims import ceil_div as ceil_div
    from pluginkit.dims import dim_max as dim_max
    from pluginkit.dims import dim_min as dim_min
    from pluginkit.dtypes import FLOAT_TYPES as FLOAT_TYPES
    from pluginkit.dtypes import OUTPUT_TYPES as OUTPUT_TYPES
    from pluginkit.dtypes import DType as DType
    from pluginkit.dtypes import bfloat16 as bfloat16
    from pluginkit.dtypes import bool_ as bool_
    from pluginkit.dtypes import float16 as float16
    from pluginkit.dtypes import float32 as float32
    from pluginkit.dtypes import int8 as int8
    from pluginkit.dtypes import int32 as int32
    from pluginkit.dtypes import int64 as int64
    from pluginkit.dtypes import uint8 as uint8
    from pluginkit.engine import BuildResult as BuildResult
    from pluginkit.engine import build_engine as build_engine
    from pluginkit.engine import run_engine as run_engine
    from pluginkit.engine.scan import ScanReport as ScanReport
    from pluginkit.engine.scan import scan as scan
    from pluginkit.errors import PluginkitError as PluginkitError
    from pluginkit.kernels.declare import Copy as Copy
    from pluginkit.kernels.declare import CudaKernel as CudaKernel
    from pluginkit.kernels.declare import Fill as Fill
    from pluginkit.kernels.declare import Launch as Launch
    from pluginkit.kernels.declare import NumbaKernel as NumbaKernel
    from pluginkit.onnx.compare import Comparison as Comparison
    from pluginkit.onnx.compare import compare_models as compare_models
    from pluginkit.onnx.driver import RewriteResult as RewriteResult
    from pluginkit.onnx.driver import rewrite_model as rewrite_model
    from pluginkit.onnx.model import load_model as load_model
    from pluginkit.onnx.model import save_model as save_model
    from pluginkit.onnx.rewrite import AnyOf as AnyOf
    from pluginkit.onnx.rewrite import Constant as Constant
    from pluginkit.onnx.rewrite import Match as Match
    from pluginkit.onnx.rewrite import Op as Op
    from pluginkit.onnx.rewrite import Optional as Optional
    from pluginkit.onnx.rewrite import Replacement as Replacement
    from pluginkit.onnx.rewrite import Rewrite as Rewrite
    from pluginkit.plugin import Case as Case
    from pluginkit.plugin import Plugin as Plugin
    from pluginkit.spec import Input as Input
    from pluginkit.spec import OnnxOp as OnnxOp
    from pluginkit.spec import Output as Output
    from pluginkit.spec import PluginSpec as PluginSpec
    from pluginkit.spec import ShapeInput as ShapeInput
    from pluginkit.spec import SizeOutput as SizeOutput
    from pluginkit.tensors import DeviceTensor as DeviceTensor
    from pluginkit.tensors import TensorDesc as TensorDesc
    from pluginkit.tensors import Workspace as Workspace
    from pluginkit.testing.taps import debug_taps as debug_taps
    from pluginkit.trt.callbacks import callback_errors as callback_errors
    from pluginkit.trt.registry import add_to_network as add_to_network
    from pluginkit.trt.registry import register as register

__version__ = "0.1.0"

_HOMES = {
    "pluginkit.attributes": ("attribute",),
    "pluginkit.dims": ("ceil_div", "dim_max", "dim_min"),
    "pluginkit.dtypes": (
        "FLOAT_TYPES", "OUTPUT_TYPES",
        "DType", "bfloat16", "bool_", "float16", "float32", "int8", "int32", "int64", "uint8",
    ),
    "pluginkit.engine": ("BuildResult", "build_engine", "run_engine"),
    "pluginkit.engine.scan": ("ScanReport", "scan"),
    "pluginkit.errors": ("PluginkitError",),
    "pluginkit.kernels.declare": ("Copy", "CudaKernel", "Fill", "Launch", "NumbaKernel"),
    "pluginkit.onnx.compare": ("Comparison", "compare_models"),
    "pluginkit.onnx.driver": ("RewriteResult", "rewrite_model"),
    "pluginkit.onnx.model": ("load_model", "save_model"),
    "pluginkit.onnx.rewrite": (
        "AnyOf", "Constant", "Match", "Op", "Optional", "Replacement", "Rewrite",
    ),
    "pluginkit.plugin": ("Case", "Plugin"),
    "pluginkit.spec": ("Input", "OnnxOp", "Output", "PluginSpec", "ShapeInput", "SizeOutput"),
    "pluginkit.tensors": ("DeviceTensor", "TensorDesc", "Workspace"),
    "pluginkit.testing.taps": ("debug_taps",),
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
