"""The shipped plugins pass everything that can run without a GPU."""

from types import SimpleNamespace

import pytest

from pluginkit import CudaKernel, Plugin
from pluginkit.checking.check import all_checks
from pluginkit.checking.checks import export_checks, kernel_checks
from pluginkit.checking.checks.kernel_checks import Wanted
from pluginkit.discovery import find_plugins
from pluginkit.export.generate.generate_library import GeneratedLibrary, generate_library
from pluginkit.export.generate.kernel_names import named_kernels
from pluginkit.export.trace.methods import TracedPlugin
from pluginkit.kernels import compile as compiling
from pluginkit.kernels.specialise import CudaSpecialisation, Specialisation
from pluginkit.testing import plugincheck
from tests.plugins.compilation import assert_all_are_read

pytestmark = pytest.mark.trt

SHIPPED = [one for one in find_plugins().values() if one.__module__.startswith("pluginkit.")]
each_shipped_plugin = pytest.mark.parametrize("plugin", SHIPPED, ids=lambda one: one.__name__)


def test_there_are_shipped_plugins() -> None:
    assert {"ScatterElements", "ScatterND", "CircPad", "GridSample"} <= {
        one.__name__ for one in SHIPPED
    }
    assert {one.__name__ for one in set(SHIPPED) - set(WITH_CUDA)} <= MACHINE_CODE


EXECUTING = {n for n, one in all_checks().items() if {"device", "machine"} & set(one.needs)}


@pytest.mark.slow
@each_shipped_plugin
def test_a_shipped_plugin_passes_all_that_runs_no_kernel(plugin) -> None:
    """In this process; test_broken_adapters runs checks in a process of their own."""
    wanted = {name for name, one in all_checks().items() if not one.needs_gpu}
    wanted -= EXECUTING | {"compile", "exports"}
    report = plugincheck(plugin, only=sorted(wanted), isolate=False)
    assert not report.has_failures, str(report)
    assert len(report.of("passed")) >= len(wanted) - 3, str(report)
    not_run = {result.check for result in report.of("not run")}
    assert not_run <= {"declaration", "reference_against_onnx"}, str(report)


def _unless(plugin: type[Plugin], is_left: bool) -> object:
    return pytest.param(plugin, id=plugin.__name__, marks=[pytest.mark.exhaustive] * is_left)


#: Their C++ is compiled and compared in every run of the tests, as are some calls of TopK and
#: Unique in tests/export; ``pytest -m exhaustive`` compares that of the others.
COMPARED = {"CircPad", "NonZero", "ScatterND"}


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [_unless(one, one.__name__ not in COMPARED) for one in SHIPPED])
def test_the_cpp_of_the_cases_makes_the_launches_of_the_class(plugin) -> None:
    report = plugincheck(plugin, only=["exports"], isolate=False)
    assert [result.status for result in report.results] == ["passed"], str(report)


@pytest.mark.slow
@each_shipped_plugin
def test_the_cases_are_written_in_cpp(plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared for some plugins above is traced and generated for all."""
    written: list[GeneratedLibrary] = []

    def generate(traced: list[TracedPlugin], _: object) -> SimpleNamespace:
        written.append(generate_library(traced, ["90"], named_kernels(traced)))
        return SimpleNamespace(calls=0, paths=0)

    monkeypatch.setattr(export_checks, "_compared", generate)
    report = plugincheck(plugin, only=["exports"], isolate=False)
    assert [result.status for result in report.results] == ["passed"], str(report)
    (library,) = written
    assert library.symbols
    assert all(file in library.files for file in ("variants.h", "variants.cpp"))


#: Their kernels have PTX of their own, or are the first of a kind: they become machine code in
#: every run of the tests; ``pytest -m exhaustive`` makes that of the others.
MACHINE_CODE = {
    "AddRMSNorm", "CircPad", "DeformConv", "RandomNumbers", "ScatterElements", "TreeEnsemble",
}  # fmt: skip
OLDEST = compiling.ARCHITECTURES[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "plugin", [_unless(one, one.__name__ not in MACHINE_CODE) for one in SHIPPED]
)
def test_the_kernels_of_the_cases_compile(plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the oldest architecture: tests/plugins compile every kernel for others."""
    monkeypatch.setattr(compiling, "ARCHITECTURES", (OLDEST,))
    (result,) = plugincheck(plugin, only=["compile"]).results
    assert result.status == "passed", result
    assert str(result).endswith(f" for {OLDEST}"), result


#: Numba has no such front end; MACHINE_CODE has those plugins whose kernels it compiles.
WITH_CUDA = [
    one
    for one in SHIPPED
    if any(isinstance(kernel, CudaKernel) for kernel in one.spec.kernels.values())
]


#: NVRTC takes seconds to read the templates of CUB that they use.
WITH_CUB = {"SegmentReduce", "TopK", "Unique"}


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [_unless(one, one.__name__ in WITH_CUB) for one in WITH_CUDA])
def test_nvrtc_reads_the_kernels_of_the_cases(plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the oldest architecture, all but what is wrong in PTX: in a tenth of the time."""
    read: list[Specialisation] = []

    def read_all(wanted: list[Wanted], arch: str) -> None:
        cuda = [one for _, _, one in wanted if isinstance(one, CudaSpecialisation)]
        assert_all_are_read(cuda, arch)
        read.extend(cuda)

    monkeypatch.setattr(compiling, "ARCHITECTURES", (OLDEST,))
    monkeypatch.setattr(kernel_checks, "_compile_all", read_all)
    (result,) = plugincheck(plugin, only=["compile"], isolate=False).results
    assert result.status == "passed", result
    assert read


#: Their kernels run in every run of the tests; ``pytest -m exhaustive`` runs the others.
EVERY_TIME = {"CircPad", "ScatterElements", "ScatterND"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "plugin",
    [_unless(one, one.__name__ not in EVERY_TIME) for one in SHIPPED],
)
def test_no_kernel_of_a_shipped_plugin_is_wrong_or_flagged(plugin) -> None:
    report = plugincheck(plugin, only=sorted(EXECUTING), isolate=False)
    assert not report.has_failures, str(report)
    passed = {result.check for result in report.of("passed")}
    assert {"sanitizer", "kernel_types", "poisoned_outputs", "determinism"} <= passed, str(report)
    assert ("kernel_in_place" in passed) == plugin.spec.has_aliases, str(report)
