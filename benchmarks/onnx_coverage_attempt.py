"""Attempt to get one of ONNX's node tests through TensorRT, in a worker process.

An attempt builds the test's model for compute capability 8.9, unchanged or rewritten. The outputs
of a rewritten model, computed by ONNX Runtime and numpy references, are compared with those of the
test.
"""

from __future__ import annotations

import faulthandler
import functools
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper
from onnx.backend.test.case.test_case import TestCase

from pluginkit.errors import ModelError, PluginkitError, UsageError

if TYPE_CHECKING:
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult

FLAVOUR, CAPABILITY = "tensorrt_rtx", (8, 9)
#: The levels: unchanged, with rewrites that need no plugin, and with all rewrites.
Level = Literal["native", "rewritten", "plugin"]
LEVELS: tuple[Level, ...] = get_args(Level)

_T = onnx.TensorProto
#: The types that TensorRT imports as a graph input or output.
_ELEM_TYPES = frozenset(
    [_T.FLOAT, _T.FLOAT16, _T.BFLOAT16, _T.INT8, _T.UINT8, _T.INT32, _T.INT64, _T.BOOL]
)
_TRAINING = "ai.onnx.preview.training"

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Attempt:
    """An attempt to make.

    Attributes:
        test: the test's name.
        level: which rewrites may be used.
        is_stored: whether the model stores all inputs but the first.
    """

    test: str
    level: Level
    is_stored: bool


@dataclass(frozen=True)
class Outcome:
    """The result of an attempt.

    Attributes:
        problem: why it failed; empty if it did not.
        rewrites: those that changed the model; at the native level, those that would.
        evaluator: the program that reproduced the expected outputs.
    """

    problem: str = ""
    rewrites: tuple[str, ...] = ()
    evaluator: str = ""


@functools.cache
def base_tests() -> dict[str, TestCase]:
    """Return onnx's node tests by name, without those of expanded functions."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # onnx casts beyond range while it makes them
        tests = load_model_tests(kind="node")
    return {test.name: test for test in tests if "_expanded" not in test.name}


def is_importable(model: onnx.ModelProto) -> bool:
    """Whether TensorRT imports the types of all inputs and outputs; it has no training."""
    return all(node.domain != _TRAINING for node in model.graph.node) and all(
        value.type.WhichOneof("value") == "tensor_type"
        and value.type.tensor_type.elem_type in _ELEM_TYPES
        for value in [*model.graph.input, *model.graph.output]
    )


def make_attempt(attempt: Attempt) -> Outcome:
    """Rewrite, build and, if the model was rewritten, run and compare."""
    name = attempt.test
    test = base_tests()[name]
    if attempt.is_stored and len(test.model.graph.input) < 2:
        return Outcome("it has no second input to store.")
    model, feeds = _model_and_feeds(test, attempt.is_stored)
    rewrites: tuple[str, ...] = ()
    try:
        if attempt.level == "native":
            _build(model, feeds[0])
        result = _rewrite(model, attempt.level)
        rewrites = tuple(dict.fromkeys(each.rewrite for each in result.applied))
        if attempt.level == "native":
            return Outcome(rewrites=rewrites)
        if not rewrites:
            reasons = [f"{each.rewrite}: {each.reason}" for each in result.refused]
            return Outcome("; ".join(["no rewrite fits", *reasons]))
        _build(result.model, feeds[0])
    except PluginkitError as error:
        return Outcome(_summary(error), rewrites)
    expected = [list(map(_array, outputs)) for _, outputs in test.data_sets]
    problem, evaluator = _compare(result.model, result.plugins, feeds, expected, test)
    return Outcome(problem, rewrites, evaluator)


def _rewrite(model: onnx.ModelProto, level: Level) -> RewriteResult:
    from pluginkit.discovery import find_plugins
    from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
    from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
    from pluginkit.trt.target import installed_target

    allowed = [each for each in find_rewrites() if level != "rewritten" or each.plugin is None]
    target = installed_target(FLAVOUR)
    return rewrite_model(
        model, allowed, plugins=find_plugins(), choice=RewriteChoice(target=target)
    )


def _model_and_feeds(
    test: TestCase, is_stored: bool
) -> tuple[onnx.ModelProto, list[dict[str, Array]]]:
    """The test's model, and an array by input for each of its data sets.

    With ``is_stored`` the arrays of all inputs but the first are put into the model, which then has
    one data set.
    """
    names = [value.name for value in test.model.graph.input]
    feeds = [dict(zip(names, map(_array, inputs), strict=True)) for inputs, _ in test.data_sets]
    if not is_stored:
        return test.model, feeds
    model = onnx.ModelProto()
    model.CopyFrom(test.model)
    del model.graph.input[1:]
    for name in names[1:]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(feeds[0][name], name))
    return model, [{name: feeds[0][name] for name in names[:1]}]


def _array(value: Any) -> Array:
    return onnx.numpy_helper.to_array(value) if isinstance(value, _T) else np.asarray(value)


def _build(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> None:
    """Build an engine for these arrays' shapes, and for their values where those are shapes."""
    from pluginkit.discovery import find_plugins
    from pluginkit.engine import BuildOptions, build_engine

    shapes: dict[str, list[Any]] = {
        value.name: [feeds[value.name].shape]
        for value in model.graph.input
        if any(not dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save(model, path)
        build = functools.partial(
            build_engine,
            path,
            options=BuildOptions(flavour=FLAVOUR, compute_capabilities=[CAPABILITY]),
            plugins=find_plugins(),
            rewrites=[],
        )
        for _ in [*feeds, None]:
            try:
                build(shapes=shapes)
                break
            except UsageError as error:  # an input that holds a shape needs a range of values
                names = [name for name in feeds if f"input {name}[" in error.message]
                if error.code != "PK505" or names[0] in shapes:
                    raise
                shapes[names[0]] = [feeds[names[0]].ravel().tolist()]


def _summary(error: PluginkitError) -> str:
    """Return the cause if there is one, since it has TensorRT's own message."""
    return error.cause or f"{error.code} {error.message}"


def _compare(
    model: onnx.ModelProto,
    plugins: Mapping[Any, Any],
    feeds: Sequence[Mapping[str, Array]],
    expected: Sequence[Sequence[Array]],
    test: TestCase,
) -> tuple[str, str]:
    """Return the first difference, or "", and the program that ran the model.

    Some kernels of ONNX Runtime differ from ONNX's definition, and it does not know opsets newer
    than its release; then onnx's own evaluator decides.
    """
    problems = []
    for name, run in (("onnxruntime", _run_onnxruntime), ("onnx.reference", _run_reference)):
        try:
            for inputs, outputs in zip(feeds, expected, strict=False):
                _assert_similar(outputs, run(model, inputs, plugins), test)
        except AssertionError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            problems.append(f"{name}: {' '.join(lines[:4])}")
        except Exception as error:  # onnx's evaluator raises exceptions of any type
            problems.append(f"{name}: {type(error).__name__}: {error}")
        else:
            return "", name
    return "it builds; " + "; ".join(problems), ""


def _assert_similar(expected: Sequence[Array], got: Sequence[Array], test: TestCase) -> None:
    """As onnx itself compares, with the tolerances of the test."""
    from onnx.backend.test.runner import Runner

    Runner.assert_similar_outputs(expected, got, rtol=test.rtol, atol=test.atol)


def _run_onnxruntime(
    model: onnx.ModelProto, inputs: Mapping[str, Array], plugins: Mapping[Any, Any]
) -> list[Array]:
    from pluginkit.onnx.running.run_model import run_model

    try:
        outputs = run_model(model, inputs, plugins, base_dir=Path())
    except ModelError as error:
        raise AssertionError(_summary(error)) from error
    return list(outputs.values())


def _run_reference(
    model: onnx.ModelProto, inputs: Mapping[str, Array], plugins: Mapping[Any, Any]
) -> list[Array]:
    from onnx.reference import ReferenceEvaluator

    from pluginkit.onnx.model.plugin_nodes import plugin_nodes

    operators = {
        (node.domain, node.op_type): _operator(node, plugins)
        for _, node, _ in plugin_nodes(model, plugins)
    }
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        evaluator = ReferenceEvaluator(model, new_ops=list(operators.values()))
        return list(map(np.asarray, evaluator.run(None, dict(inputs))))


def _operator(node: onnx.NodeProto, plugins: Mapping[Any, Any]) -> type[Any]:
    """An operator of onnx's evaluator that runs the plugin's reference."""
    from onnx.reference.op_run import OpRun

    from pluginkit.contract import calls
    from pluginkit.onnx.model.plugin_nodes import plugin_of_node

    def run(self: Any, *arrays: Array, **_: Any) -> tuple[Array, ...]:
        plugin = plugin_of_node(self.onnx_node, plugins)
        assert plugin is not None  # noqa: S101  # plugin_nodes found it
        return tuple(calls.run_reference(plugin, [each for each in arrays if each is not None]))

    return type(node.op_type, (OpRun,), {"op_domain": node.domain, "_run": run})


def serve(connection: Connection, log: str) -> None:
    """Make attempts until the other end closes.

    Args:
        connection: sends attempts and takes outcomes.
        log: a file for what is printed, the stack of a crash too.
    """
    with Path(log).open("wb", buffering=0) as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    faulthandler.enable()
    while True:
        try:
            attempt: Attempt = connection.recv()
        except EOFError:
            break
        try:
            outcome = make_attempt(attempt)
        except Exception as error:  # the other tests go on
            outcome = Outcome(f"{type(error).__name__}: {error}")
        connection.send(outcome)
    os._exit(0)  # TensorRT frees what plugins hold in an arbitrary order
