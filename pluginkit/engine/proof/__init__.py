"""Prove a plan: compare it with the model that it was built from."""
