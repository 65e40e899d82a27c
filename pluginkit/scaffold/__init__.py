"""Generate the files of a new plugin: its module, kernel, test and rewrite.

Without an operator, this is a small working plugin that the author changes. For an ONNX operator,
the declaration follows from the schema, and each method that only the author can write raises
NotImplementedError with a message that says what to write.
"""

from __future__ import annotations

from pluginkit.scaffold.names import check_name, module_of
from pluginkit.scaffold.project import ProjectFolders, Scaffold, scaffold, write_new_files

__all__ = ["ProjectFolders", "Scaffold", "check_name", "module_of", "scaffold", "write_new_files"]
