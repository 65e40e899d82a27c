"""The checks, found by walking this folder. Each says what it proves and what it does not."""
