"""Testing plugins: a driver that plays TensorRT's part."""
