"""Run the numpy reference, and compare it with the operator that it implements."""

from __future__ import annotations

from typing import Any

from pluginkit.checking.check import check
from pluginkit.checking.checks.schema_checks import schema_of
from pluginkit.checking.executions import expect
from pluginkit.checking.known_references import KnownReferences
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.contract import calls
from pluginkit.quantities import counted


@check(20, needs=("cases",))
def reference(subject: Subject) -> str:
    """The reference runs on every case in every combination of types.

    Its outputs have the declared number, shapes and dtypes. It does not change its inputs, and a
    second run gives the same values.

    Does not prove that the values are right.
    """
    count = 0
    for call in subject.calls():
        first, arrays = call.reference(), [array.copy() for array in call.arrays]
        call.plugin.reference(*_by_port(call, arrays))
        for port, before, after in zip(
            calls.present_ports(call.plugin), call.arrays, arrays, strict=True
        ):
            if before.tobytes() != after.tobytes():
                raise Failure(
                    f"{call.label}: reference",
                    f"it changes '{port.name}'",
                    "inputs unchanged",
                    case=call.case,
                )
        second = KnownReferences().outputs(call.plugin, call.arrays)
        for port, a, b in zip(call.plugin.spec.outputs, first, second, strict=True):
            if a.tobytes() != b.tobytes():
                raise Failure(
                    f"{call.label}: '{port.name}'",
                    "another value in each run",
                    "one value",
                    case=call.case,
                )
        count += 1
    return counted(count, "call")


def _by_port(call: PluginCall, arrays: list[Any]) -> list[Any]:
    given = iter(arrays)
    return [next(given) if present else None for present in call.plugin.present]


@check(25, needs=("onnx_op", "cases"))
def reference_against_onnx(subject: Subject) -> str:
    """The reference agrees with ONNX Runtime, or with onnx's evaluator where that has no kernel.

    Compares every case in every combination of types, within the plugin's tolerance, and reports
    how many calls neither could run.

    Does not prove anything about inputs that ONNX leaves undefined, nor about attributes that the
    operator lacks: those keep their defaults.
    """
    from pluginkit.errors import ModelError
    from pluginkit.onnx.running.onnxruntime_session import run_onnxruntime

    compared, refused = 0, 0
    for call in subject.calls():
        if not any(array.size for array in call.reference()):
            continue  # nothing to compare, and some ONNX Runtimes divide by zero here
        model = _model(call)
        names = [value.name for value in model.graph.input]
        try:
            outputs = run_onnxruntime(model, dict(zip(names, call.arrays, strict=True)))
        except ModelError:
            refused += 1
            continue
        expect(call, [outputs[value.name] for value in model.graph.output], "ONNX")
        compared += 1
    if not compared:
        raise NotRun(f"a runtime: neither ONNX Runtime nor onnx computes any of {refused} calls")
    return f"{counted(compared, 'call')}" + (
        f"; {refused} that no runtime computes" if refused else ""
    )


def _model(call: PluginCall) -> Any:
    from onnx import helper

    spec = call.plugin.spec
    op = spec.onnx_op
    if op is None:
        raise NotRun("onnx_op")
    known = schema_of(op).attributes
    attributes: dict[str, Any] = {
        one.name: one.to_wire(value)
        for one in spec.attributes
        if one.name in known and (value := getattr(call.plugin, one.name)) is not None
    }
    given = iter(call.dtypes)
    inputs = [
        (port.name, next(given)) if there else None
        for port, there in zip(spec.inputs, call.plugin.present, strict=True)
    ]
    node = helper.make_node(
        op.op_type,
        [one[0] if one else "" for one in inputs],
        [port.name for port in spec.results],
        domain=op.domain,
        **attributes,
    )
    expected = call.reference()
    graph = helper.make_graph(
        [node],
        "reference",
        [
            helper.make_tensor_value_info(name, dtype.onnx, shape)
            for (name, dtype), shape in zip(filter(None, inputs), call.shapes, strict=True)
        ],
        [
            helper.make_tensor_value_info(
                port.name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for port, array in zip(spec.results, expected, strict=False)
        ],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(op.domain, op.since)], ir_version=10
    )
