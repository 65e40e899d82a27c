"""Finds the packages; plugins/, graph_rewrites/ and docs/errors.md install inside pluginkit."""

from setuptools import find_packages, setup

INSIDE = {"pluginkit.plugins": "plugins", "pluginkit.graph_rewrites": "graph_rewrites"}

packages = find_packages(include=["pluginkit", "pluginkit.*"])
for package, folder in INSIDE.items():
    packages += [package, *(f"{package}.{name}" for name in find_packages(folder))]

setup(packages=[*packages, "pluginkit.docs"], package_dir={**INSIDE, "pluginkit.docs": "docs"})
