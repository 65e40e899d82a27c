"""Build a plan from a model, describe it in a manifest, and run it; on Polygraphy.

Importing this package imports neither TensorRT, Polygraphy, onnx nor numpy.
"""

from __future__ import annotations

from pluginkit.engine.build.build_engine import BuildResult, build_engine
from pluginkit.engine.build.build_network import build_network
from pluginkit.engine.build.build_options import BuildOptions
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.engine.build.config_options import ConfigOptions
from pluginkit.engine.build.profiles import ShapeRange
from pluginkit.engine.plan.check_manifest import check_manifest
from pluginkit.engine.plan.manifest import Manifest
from pluginkit.engine.plan.run_engine import run_engine, time_engine
from pluginkit.engine.timing.timing import Timing, TimingOptions

__all__ = [
    "BuildObserver",
    "BuildOptions",
    "BuildResult",
    "ConfigOptions",
    "Manifest",
    "ShapeRange",
    "Timing",
    "TimingOptions",
    "build_engine",
    "build_network",
    "check_manifest",
    "run_engine",
    "time_engine",
]
