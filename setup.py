"""Finds the packages; plugins/ and graph_rewrites/ install inside pluginkit."""

from setuptools import find_packages, setup

INSIDE = {"pluginkit.plugins": "plugins", "pluginkit.graph_rewrites": "graph_rewrites"}

packages = find_packages(include=["pluginkit", "pluginkit.*"])
for package, folder in INSIDE.items():
    packages += [package, *(f"{package}.{name}" for name in find_packages(folder))]

setup(packages=packages, package_dir=INSIDE)
