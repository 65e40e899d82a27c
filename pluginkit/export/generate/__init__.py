"""Generate C++17 from traced plugins."""
