"""Check and derive the names of a class, its module, its inputs and its outputs."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection

import pluginkit
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import RESERVED_ATTRIBUTES
from pluginkit.errors import UsageError

#: Other names that the templates import or define.
_WRITTEN = {
    "DType", "Dim", "Iterable", "Match", "Path", "PLUGINS", "PluginChecks", "Sequence", "Shape",
}  # fmt: skip
#: Names that a plugin's class and methods use for something else.
_TAKEN = {"cls", "kernel", "self", "stream", "workspace"} | RESERVED_ATTRIBUTES


def check_name(name: str) -> None:
    """Refuse a name that cannot be a plugin's class.

    Errors:
        PK640: it is not a class name in capitalised words, or it already has another meaning.
    """
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
        words = unicodedata.normalize("NFKD", re.sub(r"_PK$", "", name))  # of é, an e and an accent
        words = "".join(letter for letter in words if not unicodedata.combining(letter))
        near = "".join(word[:1].upper() + word[1:] for word in re.findall("[A-Za-z0-9]+", words))
        raise UsageError(
            "PK640",
            f"'{name}' is no name of a plugin's class; expected one such as CircPad.",
            fix=f"did you mean '{near}'?" if near[:1].isalpha() else "begin with a capital letter.",
        )
    taken = {*pluginkit.__all__, *dir(builtins), *_WRITTEN}
    if name in taken or keyword.iskeyword(module_of(name)):
        raise UsageError(
            "PK640",
            f"'{name}' means something else in Python or in pluginkit; expected an unused name.",
            fix=f"call it, say, My{name}.",
        )


def module_of(name: str) -> str:
    """Return ``circ_pad`` for ``CircPad``, ``add_rms_norm`` for ``AddRMSNorm``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def kernel_file(module: str, kernel: str) -> str:
    """Return the name of a kernel's file."""
    return f"{module}.cu" if kernel == "cuda" else "kernel.py"


def is_free(name: str) -> bool:
    """Whether an attribute, input or output of a plugin may have the name."""
    is_python = name.isidentifier() and not keyword.iskeyword(name)
    return is_python and not hasattr(Plugin, name) and name not in _TAKEN


def port_name(name: str, taken: Collection[str]) -> str:
    """Return a parameter's name for an operator's input or output: lower case, and unique."""
    found = re.sub(r"\W", "_", name).lower()
    while not is_free(found) or found in taken or hasattr(builtins, found):
        found += "_"
    return found
