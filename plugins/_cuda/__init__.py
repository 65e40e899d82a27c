"""CUDA headers for the kernels of several plugins, with their host side in Python."""
