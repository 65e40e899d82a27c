"""Rewrites that ship with pluginkit."""
