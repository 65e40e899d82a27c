"""A double that plays TensorRT's part: it calls a plugin's adapters in TensorRT's order."""
