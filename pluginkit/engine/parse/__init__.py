"""Run TensorRT's ONNX parser, trace its errors to nodes, and name every node that it refuses."""
