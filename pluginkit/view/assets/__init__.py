"""The page's HTML, style and scripts."""
