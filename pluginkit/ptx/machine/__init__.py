"""The machine that runs a launch."""
