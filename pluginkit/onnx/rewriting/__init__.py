"""Find patterns in a model and replace them."""
