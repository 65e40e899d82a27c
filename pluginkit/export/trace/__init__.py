"""Trace an author's methods into expressions and branches, from which C++ is generated."""
