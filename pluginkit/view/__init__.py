"""Pictures of models: one self-contained page that loads nothing."""
