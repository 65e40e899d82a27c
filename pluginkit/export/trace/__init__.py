"""Trace an author's methods: expressions and branches, from which C++ is generated."""
