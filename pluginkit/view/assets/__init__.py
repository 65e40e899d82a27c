"""Hold the page's frame, style and scripts."""
