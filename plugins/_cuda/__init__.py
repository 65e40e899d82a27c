"""What kernels of several plugins share: CUDA headers, and the launches of what is in them."""
