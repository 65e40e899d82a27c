"""Run models without plugin nodes in ONNX Runtime on the CPU, bfloat16 included."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.external_data_helper
import onnx.helper
import onnx.reference
import onnxruntime

from pluginkit.errors import ModelError
from pluginkit.onnx.inference.element_types import dtype_of_elem_type
from pluginkit.onnx.model.model_file import load_model
from pluginkit.onnx.running.float32_model import float32_model
from pluginkit.onnx.running.onnxruntime_faults import depends_on_threads, without_known_faults
from pluginkit.onnx.running.onnxruntime_refusal import lacks_kernel, refusal
from pluginkit.onnx.running.run_limit import limited_run

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
#: Runs a model on an array for each input, and returns its outputs in order.
_Run = Callable[[Arrays], list[Array]]


def run_onnxruntime(model: str | Path | onnx.ModelProto, inputs: Arrays) -> dict[str, Array]:
    """Run a model in ONNX Runtime on the CPU.

    If ONNX Runtime lacks a CPU kernel, as for most operators in bfloat16, nodes with 16-bit floats
    compute in float32; if that is not enough, the model runs in onnx's reference evaluator.

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
    check_feeds(model.graph.input, stored, inputs)
    return LoadedModel(model, folder, f"model '{model.graph.name}'").run(inputs)


def check_feeds(
    declared: Sequence[onnx.ValueInfoProto], stored: Collection[str], inputs: Arrays
) -> None:
    """Check that the arrays are the inputs of a model.

    Args:
        declared: the graph inputs.
        stored: the names of the initializers, which may be graph inputs too.
        inputs: the given inputs.

    Errors:
        PK440: an input is missing or unknown, or has another dtype or shape than the model
        declares.
    """
    names = [value.name for value in declared]
    expected = [name for name in names if name not in stored]
    missing = [name for name in expected if name not in inputs]
    unknown = [name for name in inputs if name not in names]
    if missing or unknown:
        name, problem = (missing[0], "missing") if missing else (unknown[0], "unknown")
        raise ModelError(
            "PK440",
            f"input '{name}' is {problem}; expected {', '.join(expected)}.",
            fix="give an array for each graph input.",
        )
    for value in declared:
        if value.name in inputs and value.type.HasField("tensor_type"):
            _check_feed(value, np.asarray(inputs[value.name]))


def _check_feed(value: onnx.ValueInfoProto, array: Array) -> None:
    tensor = value.type.tensor_type
    dims = [_size(dim) for dim in tensor.shape.dim] if tensor.HasField("shape") else None
    fits = dims is None or (
        len(dims) == array.ndim
        and all(dim in (None, size) for dim, size in zip(dims, array.shape, strict=True))
    )
    dtype = dtype_of_elem_type(tensor.elem_type)
    is_text = tensor.elem_type == onnx.TensorProto.STRING and array.dtype.kind in "OUS"
    is_right = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type or 1) == array.dtype
    if fits and (not tensor.elem_type or is_right or is_text):
        return
    shape = "" if dims is None else f" ({', '.join('?' if d is None else str(d) for d in dims)})"
    got = "x".join(map(str, array.shape)) or "scalar"
    raise ModelError(
        "PK440",
        f"input '{value.name}' is {array.dtype.name} {got}; expected {dtype}{shape}.",
        fix=f"give '{value.name}' as an array of {dtype}{shape}.",
    )


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    """Return a dimension's size; None if it is dynamic. Exporters also write -1 or 0 for that."""
    return dim.dim_value if dim.dim_value > 0 else None


class LoadedModel:
    """A model without plugin nodes, loaded and ready to run.

    ONNX Runtime's optimizations are off: its fusions compute other values, such as a MatMul of
    quantized weights in integers. If its CPU lacks a kernel for a type, the model runs with its
    16-bit nodes computed in float32, else in onnx's reference evaluator.

    Args:
        model: the model.
        folder: the folder of external data.
        where: the model in the words of an error.
        is_rounding: whether 16-bit nodes compute in float32 in any case, and round what they make.
            ONNX Runtime keeps float32 between nodes that it has no 16-bit kernel for, so that
            neither a rounding nor an overflow shows.
    """

    def __init__(
        self, model: onnx.ModelProto, folder: Path | None, where: str, is_rounding: bool = False
    ) -> None:
        self._where = where
        self._model = without_known_faults(model)
        self._folder = folder
        self._names = [value.name for value in model.graph.output]
        ways = (_session, _float32_session, _evaluation)
        self._ways = iter((_float32_session, *ways) if is_rounding else ways)
        self._refused_with: Exception | None = None
        self._run = self._next_way()

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Return each output by name."""
        while True:
            try:
                return dict(zip(self._names, self._run(inputs), strict=True))
            except ModelError:
                raise
            except Exception as error:  # their exception classes have no common base
                self._note(error)
                self._run = self._next_way()

    def _next_way(self) -> _Run:
        for way in self._ways:
            try:
                run = way(self._model, self._folder, self._names, self._where)
            except Exception as error:  # their exception classes have no common base
                self._note(error)
            else:
                if run is not None:
                    return run
        cause = self._refused_with or RuntimeError("there is no way to run it")
        raise refusal(cause, self._model, self._where) from cause

    def _note(self, error: Exception) -> None:
        """Keep ONNX Runtime's own error, unless another way may have the kernel that it lacks."""
        self._refused_with = self._refused_with or error
        if not lacks_kernel(self._refused_with):
            raise refusal(error, self._model, self._where) from error


def _session(model: onnx.ModelProto, folder: Path | None, names: Sequence[str], where: str) -> _Run:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised anyway; warnings help nobody here
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if depends_on_threads(model):
        options.intra_op_num_threads = 1
    if folder is not None:
        key = "session.model_external_initializers_file_folder_path"
        options.add_session_config_entry(key, str(folder.resolve()))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run(inputs: Arrays) -> list[Array]:
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        if any(array.dtype.kind in "OUS" for array in arrays.values()):
            # ONNX Runtime makes no OrtValue of strings
            with limited_run(where) as limited:
                found = session.run(list(names), arrays, limited)
            return [_from_maps(each) if isinstance(each, list) else each for each in found]
        feeds = {name: _to_ort(array) for name, array in arrays.items()}
        with limited_run(where) as limited:
            made = session.run_with_ort_values(list(names), feeds, limited)
        return [
            _from_maps(session.run([name], dict(inputs))[0])
            if value.data_type().startswith("seq(map")
            else _from_ort(value)
            for name, value in zip(names, made, strict=True)
        ]

    return run


def _float32_session(
    model: onnx.ModelProto, folder: Path | None, names: Sequence[str], where: str
) -> _Run | None:
    wide = float32_model(model)
    return None if wide is None else _session(wide, folder, names, where)


def _evaluation(
    model: onnx.ModelProto, folder: Path | None, names: Sequence[str], where: str
) -> _Run:
    evaluator = onnx.reference.ReferenceEvaluator(_with_data(model, folder))

    def run(inputs: Arrays) -> list[Array]:
        return [np.asarray(value) for value in evaluator.run(list(names), dict(inputs))]

    return run


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
    if array.dtype.isbuiltin == 1:
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    raw = array.view(f"u{array.dtype.itemsize}")
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(raw, elem_type)


def _from_maps(rows: Sequence[Mapping[Any, float]]) -> Array:
    """Return the numbers of a list of maps, as a tensor with a row for each map."""
    return np.array([list(row.values()) for row in rows], np.float32)


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
