"""Read the values of a JSON document, with their types checked."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints


class JsonReader:
    """Reads typed values out of a JSON object and names what is missing or of another type.

    Args:
        document: what was parsed.
        path: where it was found, for the messages.

    Errors:
        ValueError: in all methods: a value is missing or of another type.
    """

    def __init__(self, document: object, path: str) -> None:
        if not isinstance(document, dict):
            raise ValueError(f"{path or 'the document'} is not an object")
        self._document = document
        self._path = path

    def get(self, name: str, kind: type) -> Any:
        """Return a member of this type."""
        value = self._document.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{self._path}{name} is not {kind.__name__}")
        return value

    def fields(self, record: type) -> dict[str, Any]:
        """Return the members for those fields of a dataclass that are texts, numbers or truths.

        Or tuples of texts or numbers. A field with a default may be missing.
        """
        kinds = get_type_hints(record)
        found = {}
        for field in dataclasses.fields(record):
            kind = kinds[field.name]
            if field.default is not dataclasses.MISSING and not self.has(field.name):
                continue
            if kind in (str, int, bool):
                found[field.name] = self.get(field.name, kind)
            elif get_args(kind) in ((str, ...), (int, ...)):
                found[field.name] = self.tuple_of(field.name, get_args(kind)[0])
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a member that is not null."""
        return self._document.get(name) is not None

    def one(self, name: str) -> JsonReader:
        """Return a member that is an object."""
        return JsonReader(self.get(name, dict), f"{self._path}{name}.")

    def many(self, name: str) -> list[JsonReader]:
        """Return the objects of a list."""
        values = enumerate(self.get(name, list))
        return [JsonReader(value, f"{self._path}{name}[{index}].") for index, value in values]

    def members(self) -> dict[str, JsonReader]:
        """Return the members of an object of objects, by name."""
        values = self._document.items()
        return {key: JsonReader(value, f"{self._path}{key}.") for key, value in values}

    def texts(self) -> dict[str, str]:
        """Return the members of an object of texts, by name."""
        return {key: self.get(key, str) for key in self._document}

    def tuple_of(self, name: str, kind: type) -> tuple[Any, ...]:
        """Return a list whose items are all of this type."""
        values = self.get(name, list)
        if not all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
            raise ValueError(f"{self._path}{name} has values that are not {kind.__name__}")
        return tuple(values)

    def shapes(self, name: str) -> tuple[tuple[int, ...], ...]:
        """Return a list of lists of ints."""
        rows = self.tuple_of(name, list)
        if any(type(dim) is not int for row in rows for dim in row):
            raise ValueError(f"{self._path}{name} has values that are not int")
        return tuple(map(tuple, rows))
