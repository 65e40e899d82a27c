"""Check a plugin: plugincheck, its named checks, and the double that plays TensorRT."""
