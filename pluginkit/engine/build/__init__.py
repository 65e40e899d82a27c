"""Build an engine: options, optimization profiles, the plugins of the model, the plan."""
