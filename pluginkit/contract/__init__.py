"""Declare a plugin class, read its declaration, and call its methods."""
