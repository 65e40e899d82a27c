"""The checks, which are found in this folder. Each says what it proves and what it does not."""
