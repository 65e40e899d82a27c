"""Draw models as one self-contained page that loads nothing."""
