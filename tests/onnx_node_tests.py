"""The node tests that come with onnx, by the name of their operator."""

from __future__ import annotations

import functools
import warnings

from onnx.backend.test.case.test_case import TestCase


@functools.cache
def _every() -> list[TestCase]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx casts beyond range while it makes them
        return load_model_tests(kind="node")


def node_tests(op_type: str) -> list[TestCase]:
    """Every test of one node of this operator; functions spelled out are left out."""
    return [
        test
        for test in _every()
        if test.model is not None
        and not test.name.endswith("_expanded")
        and any(node.op_type == op_type for node in test.model.graph.node)
        and len(test.model.graph.node) == 1
    ]
