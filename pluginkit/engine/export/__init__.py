"""Export the plugins of a model, or of a plan that is to hold them."""
