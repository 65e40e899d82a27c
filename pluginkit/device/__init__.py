"""Find GPUs, hold tensors in memory, and run a plugin's kernels without TensorRT."""
