"""Time an engine: its runs, copies and layers, and ONNX Runtime and PyTorch beside it."""
