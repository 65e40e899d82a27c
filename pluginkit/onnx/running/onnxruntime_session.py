"""Run models without plugin nodes in ONNX Runtime on the CPU, bfloat16 included."""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.external_data_helper
import onnx.helper
import onnx.reference
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as OrtNotImplemented

from pluginkit.errors import ModelError
from pluginkit.onnx.model.model_file import load_model

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


def run_onnxruntime(model: str | Path | onnx.ModelProto, inputs: Arrays) -> dict[str, Array]:
    """Run a model in ONNX Runtime on the CPU.

    A model for which ONNX Runtime lacks a CPU kernel, as for most operators in bfloat16, runs in
    onnx's reference evaluator.

    Args:
        model: a file, or a model without external data.
        inputs: an array for each graph input; bfloat16 as ml_dtypes.bfloat16.

    Returns:
        Each graph output by name.

    Errors:
        PK440: an input is missing or unknown.  PK441: ONNX Runtime refuses the model or a node.
    """
    if not isinstance(model, onnx.ModelProto):
        return run_in_folder(load_model(model), Path(model).parent, inputs)
    return run_in_folder(model, None, inputs)


def run_in_folder(model: onnx.ModelProto, folder: Path | None, inputs: Arrays) -> dict[str, Array]:
    """Run a model as :func:`run_onnxruntime` does, with its external data in ``folder``."""
    stored = {tensor.name for tensor in model.graph.initializer}
    check_feeds([value.name for value in model.graph.input], stored, inputs)
    return Runner(model, folder, f"model '{model.graph.name}'").run(inputs)


def check_feeds(declared: Sequence[str], stored: Collection[str], inputs: Collection[str]) -> None:
    """Check that the inputs are those of a model.

    Args:
        declared: the names of the graph inputs.
        stored: the names of the initializers, which may be graph inputs too.
        inputs: the names of the given inputs.

    Errors:
        PK440: an input is missing or unknown.
    """
    expected = [name for name in declared if name not in stored]
    missing = [name for name in expected if name not in inputs]
    unknown = [name for name in inputs if name not in declared]
    if missing or unknown:
        name, problem = (missing[0], "missing") if missing else (unknown[0], "unknown")
        raise ModelError(
            "PK440",
            f"input '{name}' is {problem}; expected {', '.join(expected)}.",
            fix="give an array for each graph input.",
        )


class Runner:
    """A model without plugin nodes, loaded and ready to run."""

    def __init__(
        self,
        model: onnx.ModelProto,
        folder: Path | None,
        where: str,
        *,
        is_optimized: bool = True,
    ) -> None:
        self._where = where
        self._names = [value.name for value in model.graph.output]
        self._session: Any = None
        self._evaluator: Any = None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors are raised anyway; warnings help nobody here
        if not is_optimized:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if folder is not None:
            key = "session.model_external_initializers_file_folder_path"
            options.add_session_config_entry(key, str(folder.resolve()))
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except OrtNotImplemented:
            self._evaluator = onnx.reference.ReferenceEvaluator(_with_data(model, folder))
        except Exception as error:  # its exception classes have no common base
            raise self._refused(error) from error

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Return each output by name."""
        if self._evaluator is not None:
            try:
                values = self._evaluator.run(self._names, dict(inputs))
            except Exception as error:  # it raises anything
                raise self._refused(error) from error
            return {n: np.asarray(value) for n, value in zip(self._names, values, strict=True)}
        feeds = {name: _to_ort(np.asarray(array)) for name, array in inputs.items()}
        try:
            values = self._session.run_with_ort_values(self._names, feeds)
        except Exception as error:  # its exception classes have no common base
            raise self._refused(error) from error
        return {name: _from_ort(value) for name, value in zip(self._names, values, strict=True)}

    def _refused(self, error: Exception) -> ModelError:
        return ModelError(
            "PK441",
            "ONNX Runtime cannot run the model.",
            where=self._where,
            cause=str(error),
            fix="give ONNX Runtime the operator as a local function of the model."
            if "is not a registered function/op" in str(error)
            else "give valid inputs; an index out of range is bounded with --range name:0,n.",
        )


def _with_data(model: onnx.ModelProto, folder: Path | None) -> onnx.ModelProto:
    if folder is None:
        return model
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    onnx.external_data_helper.load_external_data_for_model(whole, str(folder))
    return whole


def _to_ort(array: Array) -> Any:
    elem_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    array = np.ascontiguousarray(array) if array.ndim else array
    if array.dtype.isbuiltin == 1 or array.dtype.kind in "OUS":
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    raw = array.view(f"u{array.dtype.itemsize}")
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(raw, elem_type)


def _from_ort(value: Any) -> Array:
    if not value.is_tensor():
        raise ModelError(
            "PK442",
            f"a value is a {value.data_type()}; expected a tensor.",
        )
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.element_type())
    if dtype.isbuiltin == 1 or dtype.kind == "O":
        return np.asarray(value.numpy())
    size = value.tensor_size_in_bytes()  # numpy() does not take bfloat16
    content = ctypes.string_at(value.data_ptr(), size) if size else b""
    return np.frombuffer(content, dtype).reshape(value.shape())
