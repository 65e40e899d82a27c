"""What the page is made of: its frame, its style and its script, in parts."""
