"""The C++ of the shipped plugins makes the same launches as their classes.

For the attributes and ranks of every case, and every type; without kernels, since these tests do
not depend on what they compute.
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pluginkit import Fill, Input, Output, Plugin, float32
from pluginkit.contract import calls
from pluginkit.errors import ExportError
from pluginkit.export.compile.compiler import find_compiler
from pluginkit.export.compile.library_builder import LibraryBuilder
from pluginkit.export.generate import cpp_expressions
from pluginkit.export.generate.generate_library import GeneratedLibrary, generate_library
from pluginkit.export.generate.kernel_names import named_kernels
from pluginkit.export.prove.compare import Proof
from pluginkit.export.prove.prove_library import prove_library
from pluginkit.export.trace.methods import trace_plugin
from pluginkit.export.variant import ANY, DimRange, Variant, merged
from tests.export.called_plugins import SHIPPED

pytestmark = pytest.mark.slow

PLUGINS = Path(__file__).parents[2] / "plugins"
#: Dimensions that vary, where they vary in all of them, and those of higher ranks that do not.
DYNAMIC: DimRange = (0, 5000)
#: With more dimensions than this, only the first two vary, since paths multiply with each.
MOST_DYNAMIC = 3


def variants_of(plugin_class: type[Plugin]) -> list[Variant]:
    """Yield each case in its first types, and the first case of each set of attributes in all."""
    variants = []
    for number, case in enumerate(plugin_class.cases()):
        plugin = plugin_class(**case.attributes)
        every = zip(plugin_class.spec.inputs, case.inputs, strict=True)
        given = [(port, array) for port, array in every if array is not None]
        if plugin_class.spec.has_optional_inputs:
            plugin = plugin.with_inputs(*(port.name for port, _ in given))
        bindings = list(plugin_class.spec.type_bindings()) or [{}]
        for binding in bindings if number == 0 else bindings[:1]:
            dtypes = tuple(binding.get(str(p.variable), p.dtypes[0]) for p, _ in given)
            if calls.refuses_types(plugin, calls.describe_dtypes(plugin, dtypes)):
                continue
            ranges = tuple(
                ((0, 5000),) * port.length if port.is_shape_input else ranges_of(array)
                for port, array in given
            )
            variants.append(Variant(plugin, dtypes, ranges))
    return merged(variants)


def ranges_of(array: Any) -> tuple[DimRange, ...]:
    if array.ndim <= MOST_DYNAMIC:
        return (DYNAMIC,) * array.ndim
    return (DYNAMIC, DYNAMIC, *((size, size) for size in array.shape[2:]))


def generated(plugin_class: type[Plugin], limit: int | None = None) -> GeneratedLibrary:
    traced = [
        trace_plugin(one)
        for variant in variants_of(plugin_class)[:limit]
        for one in variant.with_tactics()
    ]
    return generate_library(traced, ["90"], named_kernels(traced))


def proof_of(library: GeneratedLibrary, calls_each: int = 120) -> Proof:
    compiler = dataclasses.replace(find_compiler(), optimization="-O0")
    with LibraryBuilder(library.files, compiler, 11) as builder:
        return prove_library(library, builder, compiler, calls_each)


def test_every_plugin_is_exported() -> None:
    folders = [each.parent.name for each in PLUGINS.glob("[!_]*/__init__.py")]
    modules = [cls.__module__.split(".") for cls in SHIPPED.values()]
    assert sorted(folder for folder in folders for each in modules if folder in each) == sorted(
        folders
    )


#: Small enough for every run; ``pytest -m exhaustive`` compares the others.
QUICKER = {"CircPad", "NonZero", "ScatterND"}
#: They take every shape of the types and ranks of their cases.
NEVER_REFUSES = {"BitCast", "CumProd"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICKER else [pytest.mark.exhaustive])
        for name in sorted(SHIPPED)
    ],
)
def test_launches_equal_those_of_the_class(name: str) -> None:
    library = generated(SHIPPED[name])
    proof = proof_of(library)
    distinct = len(set(library.code))
    assert proof.calls >= 40 * distinct + 15 * (len(library.traced) - distinct)
    assert proof.shapes[name] > 10 * distinct
    assert proof.steps >= len(library.traced)
    assert proof.refusals < proof.calls
    assert (proof.refusals == 0) == (name in NEVER_REFUSES)


@pytest.mark.parametrize("name", ["NonZero", "TopK"])
def test_the_same_plugin_gives_the_same_files(name: str) -> None:
    first, second = (generated(SHIPPED[name], 2) for _ in range(2))
    assert first.files == second.files


@pytest.mark.parametrize(
    ("name", "table", "key", "wrong"),
    [
        ("NonZero", "_CALLS", "ceil_div", "floor_div"),
        ("TopK", "_CALLS", "min", "dim_max"),
        ("Unique", "_INFIX", "add", "-"),
        ("TopK", "_INFIX", "less", ">"),
    ],
)
def test_a_mistake_of_the_generator_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, table: str, key: str, wrong: str
) -> None:
    monkeypatch.setitem(getattr(cpp_expressions, table), key, wrong)
    library = generated(SHIPPED[name], 3)
    with pytest.raises(ExportError) as found:
        proof_of(library)
    assert found.value.code == "PK806"
    assert "in Python" in found.value.message
    assert "shapes [" in str(found.value.where)


class Enormous(Plugin):
    """An output that has more elements than 64 bits count, for the largest input."""

    x = Input(float32)
    y = Output(float32)

    def output_shapes(self, x):  # type: ignore[no-untyped-def]
        return (x.shape[0],) * 3

    def launches(self, x, y):  # type: ignore[no-untyped-def]
        return Fill(y, 0)

    def reference(self, x):  # type: ignore[no-untyped-def]
        return x


def test_calls_whose_outputs_cannot_exist_are_left_out() -> None:
    traced = trace_plugin(Variant(Enormous(), (float32,), ((ANY,),)))
    proof = proof_of(generate_library([traced], ["90"], named_kernels([traced])), 30)
    assert proof.calls > 5
    assert proof.refusals == 0
