"""Compile generated C++ to shared libraries; that needs only g++."""
