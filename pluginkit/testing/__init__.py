"""Testing plugins: plugincheck, the driver that plays TensorRT's part, the pytest plugin."""

from __future__ import annotations

from pluginkit.testing.report import Report, Result
from pluginkit.testing.session import PluginChecks, plugincheck

__all__ = ["PluginChecks", "Report", "Result", "plugincheck"]
