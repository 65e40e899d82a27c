"""Test a plugin: plugincheck, a driver that plays TensorRT's part, and fixtures for pytest."""

from __future__ import annotations

from pluginkit.checking.check_report import CheckReport, CheckResult
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.checking.plugincheck import PluginChecks, plugincheck
from pluginkit.checking.trt_double.driver import Profile, build_layer, drive
from pluginkit.contract.calls import run_reference
from pluginkit.errors import CheckError

__all__ = [
    "CheckError",
    "CheckReport",
    "CheckResult",
    "PluginChecks",
    "Profile",
    "build_layer",
    "drive",
    "plugincheck",
    "run_kernels",
    "run_reference",
]
