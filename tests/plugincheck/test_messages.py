"""A failure names the case, its shapes, the author's line and the first cause, once."""

import inspect
from pathlib import Path

import numpy as np
import pytest

from pluginkit.checking.plugin_under_test import Subject
from pluginkit.contract.plugin import Case
from pluginkit.testing import plugincheck
from tests.plugincheck import faulty_authors as faulty

pytestmark = pytest.mark.trt

FILE = faulty.__file__


def results(plugin, *checks, memory="gpu"):
    report = plugincheck(plugin, only=checks, isolate=False, memory=memory)
    return {one.check: one for one in report.results}


def line_with(plugin, text):
    lines, first = inspect.getsourcelines(plugin)
    (number,) = (first + index for index, line in enumerate(lines) if text in line)
    return f"{FILE}:{number}, in "


def test_reading_an_axis_too_far_refuses_the_case():
    failed = results(faulty.CheckReadsAnAxisTooFar, "cases", "shape_function")["cases"]
    assert failed.where == (
        "case 'one'\n" + line_with(faulty.CheckReadsAnAxisTooFar, "shape[3]") + "check"
    )
    assert failed.got == "CheckReadsAnAxisTooFar: tuple index out of range"


def test_a_plain_value_error_refuses_sizes_and_the_check_counts_them():
    found = results(faulty.CheckRefusesOthers, "shape_function")["shape_function"]
    assert found.status == "passed"
    assert found.remark == "6 sets of shapes; the plugin refuses 8 others"


def test_where_every_other_size_is_refused_shapes_are_not_checked():
    found = results(faulty.OneSizeAlone, "shape_function")["shape_function"]
    assert found.status == "not run"
    assert "the plugin refuses all 12 that were tried; add cases" in found.remark


def test_a_dimension_that_is_written_out_is_found_one_axis_at_a_time():
    one = faulty.DimensionWrittenOut
    failed = results(one, "shape_function", memory="host")["shape_function"]
    assert failed.status == "failed"
    assert "axis 0 of 'boxes_a' alone: [1, 4], [3, 4]" in failed.where
    assert failed.inputs == "boxes_a float32[1, 4], boxes_b float32[3, 4]"
    assert failed.got.startswith(
        "PK117 DimensionWrittenOut.reference: y is float32[1, 3]; expected float32[5, 3]."
    )


def test_one_cause_is_told_once_with_the_authors_line_and_the_shapes():
    found = results(faulty.LaunchesDivideByZero, "launches", "compile", "kernel_types")
    first = found["launches"]
    assert first.where.startswith("case 'one' with T=float32")
    assert line_with(faulty.LaunchesDivideByZero, "1 //") + "launches" in first.where
    assert first.inputs == "boxes float32[2, 3], scores absent"
    assert first.got.startswith("ZeroDivisionError: ")
    for name in ("compile", "kernel_types"):
        assert str(found[name]) == f"failed   {name}: of the same cause as launches"
        assert found[name].got == first.got


def test_a_dimension_has_the_name_of_its_input():
    found = results(faulty.ShapeAsksForAValue, "shape_function", "life_cycle")
    first = found["shape_function"]
    assert "PK122 dimension boxes.shape[0] is known only at run time" in first.got
    assert line_with(faulty.ShapeAsksForAValue, "return (boxes") + "output_shapes" in first.where
    assert found["life_cycle"].same_as == "shape_function"


def test_a_missing_half_names_its_header():
    found = results(faulty.HeaderForgotten, "compile", "kernel_types")
    assert 'identifier "__half" is undefined' in found["compile"].cause
    assert "write #include <cuda_fp16.h> in the kernel's source" in found["compile"].cause
    assert found["kernel_types"].same_as == "compile"


@pytest.mark.parametrize(
    "plugin", [faulty.SourceDoesNotCompile, faulty.SourceWithDefinesDoesNotCompile]
)
def test_a_compilers_log_names_the_authors_file_and_line(plugin):
    found = results(plugin, "compile", "kernel_types")
    source = Path(FILE).with_name("does_not_compile.cu")
    assert found["compile"].cause.startswith(f"{source}(2): error: expected an expression")
    assert found["kernel_types"].same_as == "compile"


def test_a_broken_cases_method_is_no_crash():
    class Raises(faulty.Boxes):
        """Its samples do not exist."""

        def check(self, boxes, scores):
            raise KeyError("boxes")

    assert Subject(Raises).unusable[0][1] == "KeyError('boxes')"


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (("boxes", [np.zeros((1, 4), np.float32)]), "got tuple ('boxes', "),
        (Case(7, []), "the name of a case is int 7; "),
        (Case("boxes", [[[0.0, 1.0]]]), "input 0 of case 'boxes' is list [[0.0, 1.0]]; "),
    ],
)
def test_a_case_that_is_none_is_named(case, said):
    ((where, error),) = Subject(faulty.CheckReadsAnAxisTooFar, [case]).unusable
    assert where == "cases()"
    assert said in error
    assert "expected" in error


def test_cases_that_return_nothing_are_named():
    class Forgetful(faulty.Boxes):
        """Its cases are made and not returned."""

        @classmethod
        def cases(cls):
            Case("boxes", [np.zeros((1, 4), np.float32)])

    ((_, error),) = Subject(Forgetful).unusable
    assert "got NoneType None; expected cases, as with yield Case" in error


@pytest.mark.parametrize("code", [0, 3])
def test_a_method_that_ends_the_process_fails_its_check(code):
    class Leaves(faulty.Boxes):
        """Its reference is a script of before."""

        def reference(self, boxes, scores):
            raise SystemExit(code)

    failed = results(Leaves, "reference")["reference"]
    assert failed.status == "failed"
    assert failed.got == f"SystemExit: {code}"


def test_what_nothing_reads_is_said():
    found = results(faulty.AttributeAndInputUnread, "attributes", "launches", "kernel_types")
    assert {one.status for one in found.values()} == {"passed"}, found
    assert found["attributes"].remark.endswith("plugins; no method reads 'bias'")
    assert found["launches"].remark.endswith("sets of shapes; no step reads 'scores'")


def test_what_kernels_print_is_said():
    printing = results(faulty.PrintsForgotten, "sanitizer")["sanitizer"]
    assert printing.status == "passed", printing
    assert printing.remark.endswith("calls; kernels print 'n is 0'")
    assert "print" not in results(faulty.AttributeAndInputUnread, "sanitizer")["sanitizer"].remark


def test_nothing_is_said_of_attributes_where_self_is_passed_on():
    remark = results(faulty.PassesItselfOn, "attributes")["attributes"].remark
    assert remark.endswith("plugins")


def test_shipped_plugins_read_all_that_they_declare():
    from pluginkit.checking.unread_attributes import unread_attributes
    from pluginkit.discovery import find_plugins

    plugins = list(find_plugins().values())
    assert len(plugins) > 5
    assert {one.__name__: unread_attributes(one) for one in plugins if unread_attributes(one)} == {}
