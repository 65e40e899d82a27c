"""Export plugins as shared libraries, so that they and their plans run without Python."""
