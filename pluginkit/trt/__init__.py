"""Load TensorRT, adapt plugins to the interfaces that it calls, and register them."""
