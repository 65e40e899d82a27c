"""Prove that the generated C++ and the Python class ask for the same, for thousands of shapes."""
