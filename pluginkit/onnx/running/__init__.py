"""Run models on the CPU, draw inputs for them, and compare them."""
