"""The types that TensorRT computes with, and what is said where a node is of no such type."""

from __future__ import annotations

import onnx

_T = onnx.TensorProto

FLOATS = (_T.FLOAT, _T.FLOAT16, _T.BFLOAT16)
NO_FLOAT = "its type is unknown, or none of float32, float16 and bfloat16"

INTEGERS = (_T.UINT8, _T.INT8, _T.INT32, _T.INT64)
NO_INTEGER = "its type is unknown, or none of uint8, int8, int32 and int64"
