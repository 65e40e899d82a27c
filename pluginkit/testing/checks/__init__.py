"""The checks, found by walking this folder; each says what it proves and what it does not."""
