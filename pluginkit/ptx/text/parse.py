"""Parse PTX text into a :class:`ParsedModule`.

A function is parsed on first use: some modules have hundreds of kernels in megabytes of text, of
which a launch needs one.
"""

from __future__ import annotations

import re
from functools import cached_property

from pluginkit.errors import KernelError
from pluginkit.ptx.text.body import BodyReader
from pluginkit.ptx.text.operands import array_elements, operands
from pluginkit.ptx.text.syntax import Function, Instruction, SourceLocation, Symbol, Variable
from pluginkit.ptx.types import DTYPES

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_HEADER = re.compile(
    r"\.(entry|func)\s*(?:\(([^)]*)\)\s*)?([\w$%.]+)\s*(?:\(([^)]*)\))?([^;{]*)([;{])"
)
#: Source files of toolkits. An author wants to see the line that calls into them instead.
_TOOLKIT = re.compile(
    r"nvrtc_builtin|cuda_(?:fp|bf)\d+|cooperative_groups|"
    r"[/\\](?:nvidia|cuda|cuda-[\d.]+|cub|thrust|cccl|_cccl|crt|numba|numba_cuda|triton)[/\\]"
)
#: Where functions lie among generic addresses: above shared and local memory.
FUNCTION_BASE, _FUNCTION_BYTES = 0x702 << 36, 16
_BRACE = re.compile(r"[{}]")
_FILE = re.compile(r'\.file\s+(\d+)\s+"([^"]*)"')
_VARIABLE = re.compile(
    r"\.(global|const|shared|local|param)\s+(?:\.align\s+(\d+)\s+)?(?:\.(v[24])\s+)?\.(\w+)\s*"
    r"(?:\.ptr\b\s*(?:\.(?:global|const|shared|local)\s*)?(?:\.align\s+\d+\s*)?)?"
    r"([\w$%][\w$%.]*)?\s*((?:\[[^\]]*\])*)\s*(?:=\s*([^;]+))?"
)
_DIMENSION = re.compile(r"\[\s*(\w*)\s*\]")


class ParsedModule:
    """Parsed PTX.

    Args:
        text: the module as a compiler writes it.

    Attributes:
        files: source files by the numbers that ``.loc`` uses.
        variables: the memory that the module declares, by name.

    Errors:
        PK350: the text is not PTX.
    """

    def __init__(self, text: str) -> None:
        text = _COMMENT.sub("", text.replace("\0", ""))
        if ".version" not in text:
            raise KernelError("PK350", "PTX: no .version directive; expected a PTX module.")
        self.files: dict[int, str] = {int(number): name for number, name in _FILE.findall(text)}
        self._functions: dict[str, Function] = {}
        self._sources: dict[str, tuple[re.Match[str], str]] = {}
        self._declarations = "".join(self._split(text))

    def _split(self, text: str) -> list[str]:
        """Remember the text of each function, and return the text between them."""
        between, position = [], 0
        while header := _HEADER.search(text, position):
            between.append(text[position : header.start()])
            position = header.end()
            if header[6] == "{":
                position = _closing_brace(text, position)
                self._sources[header[3]] = header, text[header.end() : position - 1]
        return [*between, text[position:]]

    @cached_property
    def variables(self) -> dict[str, Variable]:
        """The variables that the module declares."""
        code = self._declarations.partition(".section")[0]
        found = (variable_from(match) for match in _VARIABLE.finditer(code))
        return {variable.name: variable for variable in found}

    @cached_property
    def called_by_pointer(self) -> list[Function]:
        """The functions whose addresses the code or a variable holds."""
        values = [each for one in self.variables.values() for each in one.values or ()]
        code = [one.operands for name in self._sources for one in self._code_of(name)]
        moved = [each for operands in code for each in operands[1:]]
        named = {each.name for each in (*values, *moved) if isinstance(each, Symbol)}
        found = (self.function(name) for name in self._sources if name in named)
        return [one for one in found if one is not None and not one.is_kernel]

    def _code_of(self, name: str) -> list[Instruction]:
        function = self.function(name)
        listed = [] if function is None else function.code
        return [each for each in listed if each.opcode == "mov"]

    def function_address(self, name: str) -> int | None:
        """Return the address of a function, which lies in no memory; None if it is not defined."""
        if name not in self._sources:
            return None
        return FUNCTION_BASE + _FUNCTION_BYTES * list(self._sources).index(name)

    def author_place(self, location: SourceLocation) -> tuple[str, int]:
        """Return the file and line to show: where a toolkit's function is called, not inside it."""
        while location.inlined_at is not None and _TOOLKIT.search(self._file(location)):
            location = location.inlined_at
        return self._file(location), location.line

    def _file(self, location: SourceLocation) -> str:
        return self.files.get(location.file, "?")

    @property
    def kernels(self) -> list[str]:
        """The names of the kernels."""
        return [name for name, (header, _) in self._sources.items() if header[1] == "entry"]

    def function(self, name: str) -> Function | None:
        """Return a kernel or function that the module defines, or None."""
        if name not in self._functions and name in self._sources:
            header, body = self._sources[name]
            self._functions[name] = _function(header, body)
        return self._functions.get(name)


def _closing_brace(text: str, position: int) -> int:
    depth = 1
    while depth:
        brace = _BRACE.search(text, position)
        if brace is None:
            raise KernelError("PK350", "PTX: a function has no end; expected a closing brace.")
        depth += 1 if brace[0] == "{" else -1
        position = brace.end()
    return position


def _function(header: re.Match[str], body: str) -> Function:
    function = Function(
        header[3],
        header[1] == "entry",
        tuple(map(variable_from, _VARIABLE.finditer(header[4] or ""))),
        tuple(map(variable_from, _VARIABLE.finditer(header[2] or ""))),
    )
    BodyReader(function, _VARIABLE, variable_from).read(body)
    return function


def variable_from(match: re.Match[str]) -> Variable:
    """Return the variable of a declaration."""
    space, align, vector, kind, name, dimensions, values = match.groups()
    itemsize = DTYPES[kind].itemsize if kind in DTYPES else 8
    count = int(vector[1]) if vector else 1
    initial = None
    if values:
        initial = array_elements(operands(values.strip())[0])
    for size in _DIMENSION.findall(dimensions):
        count *= int(size, 0) if size else len(initial or ())
    nbytes = count * itemsize
    return Variable(name or "", space, kind, nbytes, int(align or itemsize), initial)
