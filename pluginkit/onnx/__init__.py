"""ONNX models: load, rewrite, run and compare; no TensorRT and no GPU."""
