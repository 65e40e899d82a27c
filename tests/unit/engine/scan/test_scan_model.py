"""Combine the answers about a model before and after its rewrites."""

from __future__ import annotations

from onnx import helper

from pluginkit.engine.parse.traceable_model import (
    node_ids,
)
from pluginkit.engine.scan.scan_model import _with_meaning, _with_rewrites
from pluginkit.engine.scan.scan_report import NodeReport
from pluginkit.onnx.rewriting.rewrite_outcomes import AppliedRewrite
from tests.unit.engine.parse.models import model_of, value


def test_nodes_between_matched_ones_went_in_the_same_rewrite() -> None:
    sigmoid = helper.make_node("Sigmoid", ["x"], ["s"])
    mul = helper.make_node("Mul", ["x", "s"], ["m"], name="mul")
    relu = helper.make_node("Relu", ["m"], ["y"])
    before = model_of([sigmoid, mul, relu], [value("x", [4])], [value("y", [4])])
    silu = helper.make_node("Silu_PK", ["x"], ["m"], domain="my")
    after = model_of([silu, relu], [value("x", [4])], [value("y", [4])])
    was = [NodeReport(node, "native") for node in node_ids(before)]
    now = [NodeReport(node, "native") for node in node_ids(after)]
    now[1] = NodeReport(now[1].node, "refused", "it does not build", "builder")
    applied = [AppliedRewrite("ReplaceSilu", "main graph", "mul", "m", ("Silu_PK",))]
    found = _with_rewrites(before, was, now, applied)
    assert [one.status for one in found] == ["rewritten", "rewritten", "refused"]
    assert [one.rewrites for one in found] == [("ReplaceSilu",), ("ReplaceSilu",), ()]
    assert found[0].made == ("Silu_PK",)
    assert (found[2].node.position, found[2].stage) == (2, "builder")


def test_nodes_whose_value_is_stored_are_folded_and_refused_ones_rewritten() -> None:
    shape = helper.make_node("Shape", ["x"], ["s"], name="shape")
    taken = helper.make_node("Gather", ["s", "s"], ["g"], name="gather")
    again = helper.make_node("Gather", ["s", "s"], ["h"], name="again")
    odd = helper.make_node("Size", ["x"], ["n"], name="size")
    last = helper.make_node("Sum", ["g", "h", "n"], ["y"], name="sum")
    before = model_of([shape, taken, again, odd, last], [value("x", [4])], [value("y", [1])])
    stored = helper.make_node("Constant", [], ["g"], value_ints=[4])
    size = helper.make_node("Constant", [], ["n"], value_int=4)
    sums = helper.make_node("Sum", ["g", "g", "n"], ["y"], name="sum")
    after = model_of([stored, size, sums], [value("x", [4])], [value("y", [1])])
    was = [NodeReport(node, "native") for node in node_ids(before)]
    was[3] = NodeReport(was[3].node, "refused", "no such operator", "parser")
    applied = [
        AppliedRewrite("Fold", "main graph", "gather", "g", ("Constant",)),
        AppliedRewrite("Merge", "main graph", "again", "h", ()),
        AppliedRewrite("Fold", "main graph", "size", "n", ("Constant",)),
    ]
    now = [NodeReport(node, "native") for node in node_ids(after)]
    found = _with_rewrites(before, was, now, applied)
    statuses = ["folded", "folded", "folded", "rewritten", "native"]
    assert [one.status for one in found] == statuses


def test_what_the_builder_says_of_a_node_is_explained() -> None:
    sample = helper.make_node("GridSample", ["x", "g"], ["y"], name="warp")
    inputs = [value("x", [1, 2, 4, 4]), value("g", [1, 3, 3, 2])]
    model = model_of([sample], inputs, [value("y", [1, 2, 3, 3])])
    (node,) = node_ids(model)
    failed = NodeReport(node, "refused", "CHECK(ssa_validation()) failed", "builder")
    explained = _with_meaning(failed, model, {})
    assert explained.reason.startswith("TensorRT fails on a value that is sampled")
    assert "What helps: build with --with ReplaceEveryGridSample." in explained.reason
    assert explained.reason.endswith("TensorRT said: CHECK(ssa_validation()) failed")
    unknown = NodeReport(node, "refused", "something else", "builder")
    refused = NodeReport(node, "refused", failed.reason, "parser")
    assert [_with_meaning(one, model, {}) for one in (unknown, refused)] == [unknown, refused]
