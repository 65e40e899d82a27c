"""Infer the types and shapes of a model's values, plugin nodes included."""
