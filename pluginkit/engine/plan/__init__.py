"""A plan on disk: its files, its manifest, and running it."""
