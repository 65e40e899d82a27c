"""The generated C++ against the Python class: the same launches for thousands of shapes."""
