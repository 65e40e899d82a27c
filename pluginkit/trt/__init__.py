"""TensorRT's side: which flavour is there, the adapters that TensorRT calls, and the registry."""
