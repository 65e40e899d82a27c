"""Plugins and plans that run without Python: from a class and a model to a shared library."""
