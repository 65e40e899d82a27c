"""TensorRT's ONNX parser: run it, trace its errors to nodes, name every node it refuses."""
