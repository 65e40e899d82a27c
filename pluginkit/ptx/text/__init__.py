"""Parse PTX text."""
