"""Write the beginning of a plugin: its module, kernel, test and rewrite.

Without an operator this is a small plugin that works, for its author to change. For an ONNX
operator the declaration follows from the schema, and each method that only its author can write
raises NotImplementedError and says what to write.
"""

from __future__ import annotations

from pluginkit.scaffold.names import check_name, module_of
from pluginkit.scaffold.project import ProjectFolders, Scaffold, scaffold, write_new_files

__all__ = ["ProjectFolders", "Scaffold", "check_name", "module_of", "scaffold", "write_new_files"]
