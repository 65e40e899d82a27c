"""The node tests that come with onnx, by the name of their operator."""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from pathlib import Path

import onnx.backend.test.case.node as node_cases
from onnx.backend.test.case.test_case import TestCase


@functools.cache
def node_tests(op_type: str) -> list[TestCase]:
    """Every test of one node of this operator; functions spelled out are left out.

    onnx makes a test when the module that defines it is imported. Only this operator's modules are:
    all of them take five seconds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx casts beyond range while it makes them
        for path in sorted(Path(node_cases.__path__[0]).glob("*.py")):
            if re.search(rf"^class {op_type}\(", path.read_text(encoding="utf-8"), re.MULTILINE):
                importlib.import_module(f"{node_cases.__name__}.{path.stem}")
    return [
        test
        for test in node_cases._NodeTestCases
        if test.model is not None
        and not test.name.endswith("_expanded")
        and any(node.op_type == op_type for node in test.model.graph.node)
        and len(test.model.graph.node) == 1
    ]
