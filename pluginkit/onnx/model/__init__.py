"""Read, write and walk ONNX models. External data is never loaded."""
