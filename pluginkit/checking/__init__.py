"""plugincheck: named checks of a plugin, and what they run on."""
