"""Measure plugins and their peers on a GPU: first the error, then device time and host time."""
