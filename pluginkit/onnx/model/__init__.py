"""ONNX files and their graphs: reading, writing, walking. External data is never loaded."""
