"""Play TensorRT's part: call a plugin's adapters in TensorRT's order."""
