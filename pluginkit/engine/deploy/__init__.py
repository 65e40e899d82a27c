"""Folders for servers without Python: libraries of plugins, models, and how to load them."""
