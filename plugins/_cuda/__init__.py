"""CUDA headers that kernels of several plugins include, and the Python that goes with them."""
