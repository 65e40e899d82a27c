"""GPUs, memory for tensors, and one enqueue of a plugin's kernels outside TensorRT."""
