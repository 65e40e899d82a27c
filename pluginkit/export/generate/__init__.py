"""Generate C++17 that computes the same as traced plugins."""
