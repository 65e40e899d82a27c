"""Child processes for work that may crash, and how they find a plugin class."""
