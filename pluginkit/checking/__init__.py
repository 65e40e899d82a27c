"""Check a plugin: plugincheck, its named checks, and the test double of TensorRT."""
