"""The operators that ship, one module or folder each."""
