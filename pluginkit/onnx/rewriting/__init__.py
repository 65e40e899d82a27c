"""Rewrites: patterns, where they match, and the model that comes out."""
