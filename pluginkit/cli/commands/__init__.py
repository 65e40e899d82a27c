"""One module for each command of ``pluginkit``."""
