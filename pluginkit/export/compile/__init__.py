"""Compile generated C++ to shared libraries, with nothing but g++."""
