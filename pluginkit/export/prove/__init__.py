"""Compare the generated C++ with the Python class, for thousands of shapes."""
