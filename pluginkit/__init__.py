"""pluginkit: TensorRT custom plugins in Python.

Subclass :class:`Plugin`, run ``pluginkit rewrite model.onnx``, test the plugin against numpy.
Importing the package imports neither TensorRT, cupy, numba, onnx nor numpy; names are loaded when
they are used.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.distribution import refuse_name_clash

if TYPE_CHECKING:
    from pluginkit.checking.debug_taps import debug_taps as debug_taps
    from pluginkit.contract.attributes import attribute as attribute
    from pluginkit.contract.dims import Dim as Dim
    from pluginkit.contract.dims import Shape as Shape
    from pluginkit.contract.dims import ceil_div as ceil_div
    from pluginkit.contract.dims import dim_max as dim_max
    from pluginkit.contract.dims import dim_min as dim_min
    from pluginkit.contract.dims import known as known
    from pluginkit.contract.dims import may_hold as may_hold
    from pluginkit.contract.dims import product as product
    from pluginkit.contract.dims import where as where
    from pluginkit.contract.dtypes import FLOAT_TYPES as FLOAT_TYPES
    from pluginkit.contract.dtypes import OFFSETS as OFFSETS
    from pluginkit.contract.dtypes import OUTPUT_TYPES as OUTPUT_TYPES
    from pluginkit.contract.dtypes import DType as DType
    from pluginkit.contract.dtypes import Scalar as Scalar
    from pluginkit.contract.dtypes import bfloat16 as bfloat16
    from pluginkit.contract.dtypes import bool_ as bool_
    from pluginkit.contract.dtypes import float16 as float16
    from pluginkit.contract.dtypes import float32 as float32
    from pluginkit.contract.dtypes import int8 as int8
    from pluginkit.contract.dtypes import int32 as int32
    from pluginkit.contract.dtypes import int64 as int64
    from pluginkit.contract.dtypes import offset_type as offset_type
    from pluginkit.contract.dtypes import uint8 as uint8
    from pluginkit.contract.launches import Copy as Copy
    from pluginkit.contract.launches import CudaKernel as CudaKernel
    from pluginkit.contract.launches import Fill as Fill
    from pluginkit.contract.launches import KernelArgument as KernelArgument
    from pluginkit.contract.launches import KernelConstant as KernelConstant
    from pluginkit.contract.launches import Launch as Launch
    from pluginkit.contract.launches import NumbaKernel as NumbaKernel
    from pluginkit.contract.launches import Step as Step
    from pluginkit.contract.plugin import Case as Case
    from pluginkit.contract.plugin import Plugin as Plugin
    from pluginkit.contract.spec import Input as Input
    from pluginkit.contract.spec import OnnxOp as OnnxOp
    from pluginkit.contract.spec import Output as Output
    from pluginkit.contract.spec import PluginSpec as PluginSpec
    from pluginkit.contract.spec import ShapeInput as ShapeInput
    from pluginkit.contract.spec import SizeOutput as SizeOutput
    from pluginkit.contract.tensors import DeviceTensor as DeviceTensor
    from pluginkit.contract.tensors import TensorDesc as TensorDesc
    from pluginkit.contract.tensors import Workspace as Workspace
    from pluginkit.discovery import find_plugins as find_plugins
    from pluginkit.engine import BuildOptions as BuildOptions
    from pluginkit.engine import BuildResult as BuildResult
    from pluginkit.engine import ConfigOptions as ConfigOptions
    from pluginkit.engine import build_engine as build_engine
    from pluginkit.engine import build_network as build_network
    from pluginkit.engine import run_engine as run_engine
    from pluginkit.engine.scan.scan_model import scan as scan
    from pluginkit.engine.scan.scan_report import ScanReport as ScanReport
    from pluginkit.errors import InputError as InputError
    from pluginkit.errors import KernelError as KernelError
    from pluginkit.errors import PluginkitError as PluginkitError
    from pluginkit.errors import TensorError as TensorError
    from pluginkit.onnx.model.model_file import load_model as load_model
    from pluginkit.onnx.model.model_file import save_model as save_model
    from pluginkit.onnx.precision.precision_options import Precision as Precision
    from pluginkit.onnx.precision.precision_options import Quantization as Quantization
    from pluginkit.onnx.rewriting.find_rewrites import find_rewrites as find_rewrites
    from pluginkit.onnx.rewriting.match import Match as Match
    from pluginkit.onnx.rewriting.pattern import AnyOf as AnyOf
    from pluginkit.onnx.rewriting.pattern import Constant as Constant
    from pluginkit.onnx.rewriting.pattern import Op as Op
    from pluginkit.onnx.rewriting.pattern import Optional as Optional
    from pluginkit.onnx.rewriting.replacement import Replacement as Replacement
    from pluginkit.onnx.rewriting.rewrite import Rewrite as Rewrite
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice as RewriteChoice
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult as RewriteResult
    from pluginkit.onnx.rewriting.rewrite_model import rewrite_model as rewrite_model
    from pluginkit.onnx.running.compare_models import Comparison as Comparison
    from pluginkit.onnx.running.compare_models import compare_models as compare_models
    from pluginkit.trt.callbacks import callback_errors as callback_errors
    from pluginkit.trt.plugin_layers import add_to_network as add_to_network
    from pluginkit.trt.plugin_registry import register as register

refuse_name_clash()

__version__ = "0.1.0"

_HOMES = {
    "pluginkit.errors": ("InputError", "KernelError", "PluginkitError", "TensorError"),
    "pluginkit.contract.attributes": ("attribute",),
    "pluginkit.contract.dims": (
        "Dim", "Shape", "ceil_div", "dim_max", "dim_min", "known", "may_hold", "product", "where",
    ),
    "pluginkit.contract.dtypes": (
        "FLOAT_TYPES", "OFFSETS", "OUTPUT_TYPES", "DType", "Scalar", "bfloat16", "bool_",
        "float16", "float32", "int8", "int32", "int64", "offset_type", "uint8",
    ),
    "pluginkit.contract.launches": (
        "Copy", "CudaKernel", "Fill", "KernelArgument", "KernelConstant", "Launch", "NumbaKernel",
        "Step",
    ),
    "pluginkit.contract.plugin": ("Case", "Plugin"),
    "pluginkit.contract.spec": (
        "Input", "OnnxOp", "Output", "PluginSpec", "ShapeInput", "SizeOutput",
    ),
    "pluginkit.contract.tensors": ("DeviceTensor", "TensorDesc", "Workspace"),
    "pluginkit.trt.callbacks": ("callback_errors",),
    "pluginkit.trt.plugin_layers": ("add_to_network",),
    "pluginkit.trt.plugin_registry": ("register",),
    "pluginkit.onnx.model.model_file": ("load_model", "save_model"),
    "pluginkit.onnx.precision.precision_options": ("Precision", "Quantization"),
    "pluginkit.onnx.rewriting.find_rewrites": ("find_rewrites",),
    "pluginkit.onnx.rewriting.match": ("Match",),
    "pluginkit.onnx.rewriting.pattern": ("AnyOf", "Constant", "Op", "Optional"),
    "pluginkit.onnx.rewriting.replacement": ("Replacement",),
    "pluginkit.onnx.rewriting.rewrite": ("Rewrite",),
    "pluginkit.onnx.rewriting.rewrite_choice": ("RewriteChoice",),
    "pluginkit.onnx.rewriting.rewrite_model": ("RewriteResult", "rewrite_model"),
    "pluginkit.onnx.running.compare_models": ("Comparison", "compare_models"),
    "pluginkit.discovery": ("find_plugins",),
    "pluginkit.engine": (
        "BuildOptions", "BuildResult", "ConfigOptions", "build_engine", "build_network",
        "run_engine",
    ),
    "pluginkit.engine.scan.scan_model": ("scan",),
    "pluginkit.engine.scan.scan_report": ("ScanReport",),
    "pluginkit.checking.debug_taps": ("debug_taps",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # the table above is the list

# A wheel holds plugins/ and graph_rewrites/ inside this package; a checkout has them next to it.
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
