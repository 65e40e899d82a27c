"""A test double of TensorRT: calls a plugin's adapters in TensorRT's order."""
