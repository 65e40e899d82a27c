"""Every error that pluginkit raises on purpose.

The text of an error has a first line with its code, its subject, what pluginkit got and what it
expected, and then where it happened, the cause and the fix:

    PK104 CircPad: attribute 'pads' is [1.5]; expected tuple[int, ...].
      Where: node 'Pad_12' in model.onnx
      Fix:   export pads as INTS.

``docs/errors.md`` lists every code; a test compares it with the code. Each class also derives from
the builtin exception that a caller who knows nothing of pluginkit would catch.
"""

from __future__ import annotations


class PluginkitError(Exception):
    """Base of every pluginkit error.

    Args:
        code: ``"PK"`` and three digits, stable across releases.
        message: one line, subject first: what was got, and what was expected.
        where: the file, node, callback or line where it happened.
        cause: why it happened, if the message cannot say so in one line.
        fix: what the user can do about it.

    Attributes:
        rewrite: the name of an opt-in rewrite with which a build may succeed.
    """

    rewrite: str | None = None

    def __init__(
        self,
        code: str,
        message: str,
        *,
        where: str | None = None,
        cause: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.where = where
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        lines = [self._first_line()]
        labelled = (("Where:", self.where), ("Cause:", self.cause), ("Fix:", self.fix))
        for label, text in labelled:
            if text:
                indented = text.strip().replace("\n", "\n" + " " * 9)
                lines.append(f"  {label:<6} {indented}")
        return "\n".join(lines)

    def _first_line(self) -> str:
        return f"{self.code} {self.message}"


class DeclarationError(PluginkitError, TypeError):
    """A Plugin or Rewrite class is declared wrongly; raised when the class is made."""


class AttributeValueError(PluginkitError, ValueError):
    """A plugin attribute has a value that its declaration does not allow."""


class TensorError(PluginkitError, ValueError):
    """An input, or a value computed from the inputs, has an impossible shape, dtype or content."""


class InputError(TensorError):
    """A plugin refuses its inputs; the plugin's author raises it.

    pluginkit puts the plugin's name first. ``InputError("x has no pixel.", code="empty")``, raised
    by ``GridSample.check``, has the code ``"GridSample/empty"`` and reads::

        GridSample/empty: x has no pixel.

    Args:
        message: what was got, and what was expected.
        code: a short name of the error, which callers can compare; it is one of the plugin's own.
        where: as for PluginkitError.
        cause: as for PluginkitError.
        fix: as for PluginkitError.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        where: str | None = None,
        cause: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(code, message, where=where, cause=cause, fix=fix)
        self.args = (message,)  # what a copy is made from
        self.plugin = ""

    def name_plugin(self, plugin: str) -> None:
        """Put the plugin's name before the code and the message, unless one is there."""
        if not self.plugin:
            self.plugin = plugin
            self.code = f"{plugin}/{self.code}" if self.code else plugin
            self.message = f"{plugin}: {self.message}"

    def _first_line(self) -> str:
        return f"{self.code}: {self.args[0]}" if self.code else self.message


class UnknownDimError(PluginkitError, ValueError):
    """Code asked for the value of a dimension that is known only at run time."""


class MissingDependencyError(PluginkitError, ImportError):
    """A package, library or device that this step needs is missing."""


class RegistrationError(PluginkitError, RuntimeError):
    """The plugin registry refused a plugin, or holds another one under its name."""


class CallbackError(PluginkitError, RuntimeError):
    """A plugin failed inside a TensorRT callback; ``__cause__`` is the original exception."""


class KernelError(PluginkitError, RuntimeError):
    """A kernel did not compile, load or launch."""


class ModelError(PluginkitError, ValueError):
    """An ONNX file is unreadable, is no valid model, or holds something this step cannot handle."""


class RewriteError(PluginkitError, RuntimeError):
    """A rewrite produced an invalid graph."""


class ParseError(PluginkitError, RuntimeError):
    """TensorRT's ONNX parser refused the model."""


class BuildError(PluginkitError, RuntimeError):
    """TensorRT did not build an engine."""


class RunError(PluginkitError, RuntimeError):
    """TensorRT did not run an engine."""


class CrashError(PluginkitError, RuntimeError):
    """TensorRT, or another library in C++, ended the process of a command."""


class PlanError(PluginkitError, ValueError):
    """A plan or its manifest is missing, damaged, or does not fit this machine."""


class CheckError(PluginkitError, AssertionError):
    """plugincheck found something wrong with a plugin."""


class ExportError(PluginkitError, RuntimeError):
    """A plugin cannot be written in C++, or what was written differs from the Python class."""


class UsageError(PluginkitError, ValueError):
    """A command-line option or a function argument is out of range or contradictory."""
