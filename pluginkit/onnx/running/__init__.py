"""Models on the CPU: ONNX Runtime and plugin references, drawn inputs, comparisons."""
