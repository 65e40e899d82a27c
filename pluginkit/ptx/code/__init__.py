"""A kernel as code: calls expanded, cut into blocks, each block made into operations."""
