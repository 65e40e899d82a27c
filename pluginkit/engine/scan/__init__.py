"""Find out which nodes TensorRT takes, which rewrites replace, and which are left."""
