"""Which nodes of a model TensorRT takes, which a rewrite replaces, and which are left."""
