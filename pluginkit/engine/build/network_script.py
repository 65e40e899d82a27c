"""Let a script describe a network with TensorRT's API."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pluginkit.discovery import module_at
from pluginkit.errors import PluginkitError, UsageError

#: The function of a script, named as in Polygraphy's network scripts.
NETWORK_FUNCTION = "load_network"
_SIGNATURE = f"{NETWORK_FUNCTION}(builder, network)"


class NetworkScript:
    """A script whose function describes a network.

    Polygraphy's network scripts do, too: what ``func.extend(CreateNetwork())`` decorates is called
    with the network that is given.

    Errors:
        PK529: there is no such script, or no such function in it.  PK430: it cannot be imported.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file() or path.suffix != ".py":
            problem = "is no Python file" if path.is_file() else "does not exist"
            raise UsageError(
                "PK529",
                f"network script '{path}' {problem}; expected a file name.py with {_SIGNATURE}.",
                fix="build a model with pluginkit build." if path.suffix == ".onnx" else None,
            )
        self.path = path.resolve()
        with self._importing():
            found = getattr(module_at(self.path), NETWORK_FUNCTION, None)
        if found is None:
            raise self._error(f"defines no {NETWORK_FUNCTION}", f"expected {_SIGNATURE}")
        self._function: Callable[[Any, Any], object] = inspect.unwrap(found)
        try:
            inspect.signature(self._function).bind(None, None)
        except TypeError as error:
            parameters = ", ".join(map(str, inspect.signature(self._function).parameters.values()))
            raise self._error(
                f"defines {NETWORK_FUNCTION}({parameters})", f"expected {_SIGNATURE}"
            ) from error

    def describe(self, builder: Any, network: Any, errors: list[str]) -> None:
        """Call the function.

        Args:
            builder: TensorRT's IBuilder.
            network: the INetworkDefinition that the function fills.
            errors: what TensorRT has logged.

        Errors:
            PK529: the function fails, returns another network, or marks no output.
        """
        with self._importing():
            try:
                returned = self._function(builder, network)
            except PluginkitError as error:
                error.where = ", ".join(filter(None, [self._line(error), error.where]))
                raise
            except (Exception, SystemExit) as error:  # a script raises anything
                logged = "".join(f"\nTensorRT said: {each}" for each in dict.fromkeys(errors))
                raise UsageError(
                    "PK529",
                    f"network script '{self.path}' failed.",
                    where=self._line(error),
                    cause=f"{type(error).__name__}: {error}{logged}",
                    fix="call pluginkit.add_to_network(network, plugin, inputs), which has a way "
                    "for every flavour."
                    if "add_plugin" in str(error)
                    else f"correct {NETWORK_FUNCTION} in it.",
                ) from error
        if returned is not None and not _holds(returned, network):
            raise self._error(
                "returns another network", "expected that it fills the network that it gets"
            )
        if not network.num_outputs:
            raise self._error(
                "marks no output", "expected one at least: network.mark_output(tensor)"
            )

    @contextmanager
    def _importing(self) -> Iterator[None]:
        """Let the script import the modules beside it."""
        sys.path.insert(0, str(self.path.parent))
        try:
            yield
        finally:
            sys.path.remove(str(self.path.parent))

    def _line(self, error: BaseException) -> str:
        """Return the line of the script, or of what it imports from its folder, that failed."""
        trace = traceback.extract_tb(error.__traceback__)
        folder = str(self.path.parent)
        lines = [each for each in trace if each.filename.startswith(folder)]
        return f"{lines[-1].filename}:{lines[-1].lineno}" if lines else str(self.path)

    def _error(self, problem: str, expected: str) -> UsageError:
        return UsageError("PK529", f"network script '{self.path}' {problem}; {expected}.")


def _holds(returned: object, network: Any) -> bool:
    """Whether a function returned its network, by itself or with the builder and a parser."""
    return any(
        each is network for each in (returned if isinstance(returned, tuple) else [returned])
    )
