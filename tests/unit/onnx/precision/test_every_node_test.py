"""ONNX's own node tests, converted to a 16-bit type, are valid models."""

import importlib
import warnings
from pathlib import Path

import onnx
import onnx.backend.test.case.node as node_cases
import pytest

from pluginkit.errors import PluginkitError
from pluginkit.onnx.precision.convert_precision import convert_precision
from pluginkit.onnx.precision.precision_options import Precision


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_node_test_is_valid_when_it_is_converted(dtype: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx casts beyond range while it makes them
        for path in sorted(Path(node_cases.__path__[0]).glob("[!_]*.py")):
            importlib.import_module(f"{node_cases.__name__}.{path.stem}")
    refused, converted = [], 0
    for test in node_cases._NodeTestCases:
        opsets = [e.version for m in (test.model,) if m for e in m.opset_import if not e.domain]
        if not opsets or (dtype == "bfloat16" and opsets[0] < 13):
            continue  # operators of training alone, or no Cast to the type
        for convert_io in (False, True):
            model = onnx.ModelProto.FromString(test.model.SerializeToString())
            try:
                report = convert_precision(
                    model, Precision(dtype, convert_io=convert_io), {}, Path()
                )
            except PluginkitError as error:
                refused.append(f"{test.name}: {error}")
            else:
                converted += report.converted > 0
    assert refused == []
    assert converted > 1000
