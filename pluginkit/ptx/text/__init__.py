"""Read PTX text."""
