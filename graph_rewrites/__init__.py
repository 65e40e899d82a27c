"""The ONNX rewrites that ship, one module each."""
