"""What a plugin class declares, and how the framework reads it and calls its methods."""
