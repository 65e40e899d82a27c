"""Make valid C++ names from an author's names."""

from __future__ import annotations

#: Names that generated functions use themselves.
_OURS = frozenset({"context", "recorder", "kernels", "text", "product", "abs"})
#: Names that a variable cannot have.
# fmt: off
_TAKEN = _OURS | {
    "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break",
    "case", "catch", "char", "char16_t", "char32_t", "class", "compl", "const", "constexpr",
    "const_cast", "continue", "decltype", "default", "delete", "do", "double", "dynamic_cast",
    "else", "enum", "explicit", "export", "extern", "false", "float", "for", "friend", "goto",
    "if", "inline", "int", "long", "mutable", "namespace", "new", "noexcept", "not", "not_eq",
    "nullptr", "operator", "or", "or_eq", "private", "protected", "public", "register",
    "reinterpret_cast", "return", "short", "signed", "sizeof", "static", "static_assert",
    "static_cast", "struct", "switch", "template", "this", "thread_local", "throw", "true",
    "try", "typedef", "typeid", "typename", "union", "unsigned", "using", "virtual", "void",
    "volatile", "wchar_t", "while", "xor", "xor_eq",
}
# fmt: on


def local_name(port: str) -> str:
    """Return the name of the variable for an input."""
    return f"{port}_" if port in _TAKEN else port


def function_name(plugin: str) -> str:
    """Return the name of the constant that holds a plugin's Program."""
    return f"k{plugin[:1].upper()}{plugin[1:]}"
