"""Sizes that are cast to floats to be compared are compared as integers."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.compare_sizes import CompareSizes
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run

FEEDS = {"x": np.ones((3, 5), np.float32)}


def model(compared, shape="bool y"):
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[n, m] x) => ({shape})
        <float zero = {{0}}, float more = {{4}}, float half = {{0.5}}, int64 one = {{1}},
         int64[1] ax = {{0}}> {{
            s = Size(x) i = Cast<to = 6>(s) f = Cast<to = 1>(i)
            h = Shape(x) d = Gather(h, one) e = Cast<to = 1>(d)
            r = ReduceMax<axes = [0, 1], keepdims = 0>(x) q = Cast<to = 7>(r) t = Cast<to = 1>(q)
            [node] y = {compared} }}"""
    )


@pytest.mark.parametrize("compared", ["Greater(f, zero)", "Less(e, more)", "Greater(f, e)"])
def test_the_integers_compare_alike(compared):
    made = model(compared)
    (got,) = outputs_of(CompareSizes, made, FEEDS)
    np.testing.assert_array_equal(got, run(made, FEEDS)[0])


@pytest.mark.parametrize("compared", ["Greater(f, half)", "Less(t, more)", "Less(zero, more)"])
def test_other_numbers_are_left(compared):
    assert reason_against(CompareSizes, model(compared)) == (
        "it compares other things than sizes that are cast to floats"
    )
