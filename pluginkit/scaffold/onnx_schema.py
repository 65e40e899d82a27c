"""Derive the declaration of a plugin from the schema of an ONNX operator."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from pluginkit.contract.dtypes import FLOAT_TYPES, OUTPUT_TYPES, DType, bool_
from pluginkit.errors import UsageError
from pluginkit.scaffold.names import is_free, port_name
from pluginkit.scaffold.operator_declaration import Attribute, Operator, OperatorPort, expression

if TYPE_CHECKING:
    from onnx.defs import OpSchema

#: The types of a schema's attributes that a plugin supports, in Python.
ANNOTATIONS = {
    "INT": "int", "FLOAT": "float", "STRING": "str", "TENSOR": "np.ndarray",
    "INTS": "tuple[int, ...]", "FLOATS": "tuple[float, ...]", "STRINGS": "tuple[str, ...]",
}  # fmt: skip


def operator_of(text: str) -> Operator:
    """Return the operator of a name such as ``Elu`` or ``com.example::Swish``.

    An operator of a domain that onnx does not know is assumed to have one input and one output.

    Errors:
        PK643: there is no such operator, or no plugin can support it.
    """
    import onnx.defs

    domain, op_type = parsed_name(text)
    domain = "" if domain == "ai.onnx" else domain
    schemas = [one for one in onnx.defs.get_all_schemas() if one.domain == domain]
    schema = next((one for one in schemas if one.name == op_type), None)
    if schema is not None:
        return _SchemaReader(schema).operator()
    if schemas:
        near = difflib.get_close_matches(op_type, [one.name for one in schemas], 1)
        raise UsageError(
            "PK643",
            f"onnx {onnx.__version__} knows no operator '{text}'.",
            fix=f"did you mean '{near[0]}'?" if near else "check the name, or give its domain.",
        )
    x, y = OperatorPort("x", "T", FLOAT_TYPES), OperatorPort("y", "T", FLOAT_TYPES)
    return Operator(domain, op_type, 0, 0, (), (x,), (y,))


def parsed_name(text: str) -> tuple[str, str]:
    """Return the domain and the op_type in ``com.example::Swish``.

    Errors:
        PK643: it is not the name of an operator.
    """
    named = re.fullmatch(r"(?:([\w.-]+)::)?([A-Za-z_]\w*)", text, re.ASCII)
    if named is None:
        raise UsageError(
            "PK643", f"'{text}' is no operator; expected one such as Elu or com.example::Swish."
        )
    return named[1] or "", named[2]


class _SchemaReader:
    """Reads one schema, and refuses one that no plugin can support."""

    def __init__(self, schema: OpSchema) -> None:
        self._schema = schema

    def operator(self) -> Operator:
        schema = self._schema
        formals = sorted(schema.attributes.values(), key=lambda one: one.name)
        attributes = tuple(map(self._attribute, formals))
        if schema.deprecated:
            self._refuse("it is deprecated", "choose the operator that replaces it.")
        if not schema.inputs:
            self._refuse("it has no input", "choose an operator with one.")
        taken = {one.name for one in attributes}
        inputs = tuple(self._ports(schema.inputs, taken))
        # TensorRT wants all outputs of a plugin, also where a node leaves some out.
        outputs = [replace(p, is_optional=False) for p in self._ports(schema.outputs, taken)]
        likes = list(_likes(schema, inputs))
        if None not in likes:
            pairs = zip(outputs, likes, strict=True)
            outputs = [replace(port, like=like.name) for port, like in pairs if like]
        return Operator(
            schema.domain,
            schema.name,
            schema.since_version,
            _alike_since(schema),
            attributes,
            inputs,
            tuple(outputs),
        )

    def _refuse(self, message: str, fix: str) -> NoReturn:
        raise UsageError("PK643", f"no plugin can be {self._schema.name}: {message}.", fix=fix)

    def _attribute(self, formal: Any) -> Attribute:
        import onnx.helper

        kind = formal.type.name
        if kind not in ANNOTATIONS or not is_free(formal.name):
            self._refuse(
                f"its attribute '{formal.name}' is {kind}",
                "write a plugin for what your model does with it, without --onnx-op.",
            )
        if formal.default_value.type:
            default = onnx.helper.get_attribute_value(formal.default_value)
            return Attribute(formal.name, ANNOTATIONS[kind], expression(default))
        if formal.required:
            return Attribute(formal.name, ANNOTATIONS[kind], "")
        return Attribute(formal.name, f"{ANNOTATIONS[kind]} | None", "None")

    def _ports(self, formals: Sequence[Any], taken: set[str]) -> Iterator[OperatorPort]:
        for formal in formals:
            if formal.option.name == "Variadic":
                self._refuse(
                    f"it has any number of '{formal.name}'",
                    "write a plugin for the number that your model has, without --onnx-op.",
                )
            name = port_name(formal.name, taken)
            taken.add(name)
            yield self._port(formal, name)

    def _port(self, formal: Any, name: str) -> OperatorPort:
        is_output = any(output.type_str == formal.type_str for output in self._schema.outputs)
        carried = OUTPUT_TYPES if is_output else (*OUTPUT_TYPES, bool_)
        dtypes = tuple(each for each in carried if f"tensor({_onnx_name(each)})" in formal.types)
        if not dtypes:
            self._refuse(
                f"'{formal.name}' is none of {', '.join(each.name for each in carried)}",
                "write a plugin for other types between casts, without --onnx-op.",
            )
        variable = "" if "(" in formal.type_str else re.sub(r"\W", "_", formal.type_str)
        return OperatorPort(name, variable, dtypes, formal.option.name == "Optional")


def _alike_since(schema: OpSchema) -> int:
    import onnx.defs

    def signature(one: Any) -> object:
        attributes = one.attributes.values()
        return (
            [(each.name, each.option) for each in [*one.inputs, *one.outputs]],
            {each.name: (each.type, each.default_value.SerializeToString()) for each in attributes},
        )

    history = onnx.defs.get_all_schemas_with_history()
    versions = [one for one in history if (one.name, one.domain) == (schema.name, schema.domain)]
    newest_first = sorted(versions, key=lambda one: -one.since_version)
    alike = itertools.takewhile(lambda one: signature(one) == signature(schema), newest_first)
    return min(one.since_version for one in alike)


def _onnx_name(dtype: DType) -> str:
    return {"float32": "float"}.get(dtype.name, dtype.name)


def _likes(schema: OpSchema, inputs: Sequence[OperatorPort]) -> Iterator[OperatorPort | None]:
    """Return for each output the input whose shape it has, or None.

    It asks onnx's shape inference, with inputs of several ranks and without attributes.
    """
    inferred = [found for rank in (2, 3, 4) if (found := _inferred(schema, inputs, rank))]
    required = [index for index, port in enumerate(inputs) if not port.is_optional]
    for output in range(len(schema.outputs)):
        shapes = [(given, results[output]) for given, results in inferred if results[output]]
        alike = (at for at in required if all(given[at] == shape for given, shape in shapes))
        like = next(alike, None) if shapes else None
        yield None if like is None else inputs[like]


_Shape = list[str]


def _inferred(
    schema: OpSchema, inputs: Sequence[OperatorPort], rank: int
) -> tuple[list[_Shape], list[_Shape]] | None:
    """Return input shapes whose dimensions all differ, and the output shapes, [] if unknown."""
    import onnx
    from onnx import helper

    given = [[f"{port.name}_{dim}" for dim in range(rank)] for port in inputs]
    there = [port.name if not port.is_optional else "" for port in inputs]
    results = [f"output_{index}" for index in range(len(schema.outputs))]
    node = helper.make_node(schema.name, there, results, domain=schema.domain)
    values = [
        helper.make_tensor_value_info(port.name, port.dtypes[0].onnx, shape)
        for port, shape in zip(inputs, given, strict=True)
        if not port.is_optional
    ]
    graph = helper.make_graph([node], "shapes", values, [])
    opset = helper.make_opsetid(schema.domain, schema.since_version)
    try:
        model = onnx.shape_inference.infer_shapes(
            helper.make_model(graph, opset_imports=[opset]), strict_mode=True
        )
    except onnx.shape_inference.InferenceError:
        return None
    shapes = {
        value.name: [dim.dim_param for dim in value.type.tensor_type.shape.dim]
        for value in model.graph.value_info
    }
    return given, [shapes.get(name, []) for name in results]
