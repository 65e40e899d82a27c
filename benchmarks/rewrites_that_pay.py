"""Count what rewrites cost that spell an operator out, beside what the operator itself would cost.

    python benchmarks/rewrites_that_pay.py

For each case the operator's node is rewritten, and the bytes and operations of both are counted
from the shapes; nothing is run. Counted in the rewrite's favour: TensorRT fuses every element-wise
operator into what reads it, so that only the other nodes move bytes, each its inputs and outputs
once; views move none. The times are the larger of bytes and operations at the rates of an H200
(copies of 4.3 TB/s, 60 TFLOPS in float32), and 2 us for each step of a loop.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log2, prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from record import host_environment, record

from pluginkit import Rewrite, find_plugins, rewrite_model
from pluginkit.graph_rewrites.expand_col2im import ExpandCol2Im
from pluginkit.graph_rewrites.expand_cum_prod import ExpandCumProd
from pluginkit.graph_rewrites.expand_dft import ExpandDft
from pluginkit.graph_rewrites.expand_max_pool_indices import ExpandMaxPoolIndices
from pluginkit.graph_rewrites.expand_max_unpool import ExpandMaxUnpool
from pluginkit.graph_rewrites.expand_resize import ExpandResize
from pluginkit.graph_rewrites.expand_tf_idf import ExpandTfIdf

BYTES_PER_US, OPERATIONS_PER_US, STEP_US = 4.3e6, 60e6, 2.0
#: Nodes that only look at memory otherwise, or that are computed while the plan is built.
VIEWS = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "Constant"}
#: Nodes that compute each element from a few others, and become part of what reads or writes them.
ELEMENTWISE = {
    *("Add", "Sub", "Mul", "Div", "Mod", "Pow", "Neg", "Abs", "Sqrt", "Exp", "Log", "Floor"),
    *("Ceil", "Round", "Cast", "Where", "Equal", "Greater", "GreaterOrEqual", "Less", "Not"),
    *("LessOrEqual", "And", "Or", "Xor", "Max", "Min", "Clip", "Relu", "Sigmoid", "Expand", "Sign"),
}  # fmt: skip
#: Nodes that read as many elements of their first input as they write.
SELECTING = {"Gather", "GatherElements", "GatherND", "Slice"}


@dataclass(frozen=True)
class Case:
    """An operator on inputs of certain shapes.

    Attributes:
        rewrite: the rewrite that spells it out.
        op_type: the operator.
        inputs: a shape and type for each input, or an array that the model stores.
        attributes: the node's.
        operations: what the operator needs, the faster algorithm where there are two.
        outputs: how many it has.
        opset: of the model.
    """

    rewrite: type[Rewrite]
    op_type: str
    inputs: tuple[tuple[tuple[int, ...], str] | np.ndarray, ...]
    attributes: dict[str, Any]
    operations: Callable[[list[int]], float]
    outputs: int = 1
    opset: int = 20


def _elements(sizes: list[int]) -> float:
    return float(sum(sizes))


CASES: dict[str, Case] = {
    "DFT of 16,000 frames of 400": Case(
        ExpandDft, "DFT", (((16, 1000, 400, 1), "float32"),), {"axis": 2},
        lambda s: 2.5 * s[0] * log2(400), opset=17,
    ),
    "DFT of [65536, 128]": Case(
        ExpandDft, "DFT", (((65536, 128, 1), "float32"),), {"axis": 1},
        lambda s: 2.5 * s[0] * log2(128), opset=17,
    ),
    "Col2Im [8, 64 * 9, 128 * 128]": Case(
        ExpandCol2Im, "Col2Im",
        (((8, 576, 16384), "float32"), np.array([128, 128]), np.array([3, 3])),
        {"pads": [1, 1, 1, 1]}, lambda s: s[0],
    ),
    "MaxUnpool to [8, 64, 128, 128]": Case(
        ExpandMaxUnpool, "MaxUnpool", (((8, 64, 64, 64), "float32"), ((8, 64, 64, 64), "int64")),
        {"kernel_shape": [2, 2], "strides": [2, 2]}, _elements,
    ),
    "MaxPool with indices, [8, 64, 128, 128]": Case(
        ExpandMaxPoolIndices, "MaxPool", (((8, 64, 128, 128), "float32"),),
        {"kernel_shape": [2, 2], "strides": [2, 2]}, _elements, outputs=2,
    ),
    "Resize, antialiased, [8, 3, 1024, 1024] to a quarter": Case(
        ExpandResize, "Resize",
        (
            ((8, 3, 1024, 1024), "float32"), np.zeros(0, np.float32),
            np.array([1, 1, 0.25, 0.25], np.float32),
        ),
        {"mode": "linear", "antialias": 1}, lambda s: 2 * 8 * (s[0] / 4 + s[0] / 16),
    ),
    "TfIdfVectorizer, 64 texts of 512, 1000 words": Case(
        ExpandTfIdf, "TfIdfVectorizer", (((64, 512), "int32"),),
        {
            "min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0, "mode": "TF",
            "ngram_counts": [0], "ngram_indexes": list(range(1000)),
            "pool_int64s": list(range(1000)),
        },
        _elements,
    ),
    "CumProd [4096, 8192]": Case(
        ExpandCumProd, "CumProd", (((4096, 8192), "float32"), np.array(1)), {}, _elements, opset=26,
    ),
    "DFT of [4096, 1024]": Case(
        ExpandDft, "DFT", (((4096, 1024, 1), "float32"),), {"axis": 1},
        lambda s: 2.5 * s[0] * log2(1024), opset=17,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What is moved and computed."""

    nodes: int
    nbytes: int
    operations: float
    steps: int = 0

    @property
    def us(self) -> float:
        """The time that it takes at least."""
        work = max(self.nbytes / BYTES_PER_US, self.operations / OPERATIONS_PER_US)
        return max(work, self.steps * STEP_US)


def model_of(case: Case) -> onnx.ModelProto:
    """Return the model of one node."""
    names = [f"x{number}" for number in range(len(case.inputs))]
    given = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(one[1])), one[0]
        )
        for name, one in zip(names, case.inputs, strict=True)
        if not isinstance(one, np.ndarray)
    ]
    stored = [
        numpy_helper.from_array(one, name)
        for name, one in zip(names, case.inputs, strict=True)
        if isinstance(one, np.ndarray)
    ]
    outputs = [f"y{number}" for number in range(case.outputs)]
    node = helper.make_node(case.op_type, names, outputs, name="node", **case.attributes)
    infos = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph([node], "case", given, infos, stored)
    opsets = [helper.make_opsetid("", case.opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    found = onnx.shape_inference.infer_shapes(model, data_prop=True)
    del model.graph.output[:]
    model.graph.output.extend(found.graph.output)
    return model


def _tensors(model: onnx.ModelProto) -> dict[str, tuple[int, int]]:
    """Return the elements of each value, and the bytes of one."""
    found = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {
        one.name: (prod(one.dims), helper.tensor_dtype_to_np_dtype(one.data_type).itemsize)
        for one in found.initializer
    }
    for value in (*found.input, *found.value_info, *found.output):
        kind = value.type.tensor_type
        if not kind.HasField("shape") or not kind.elem_type:
            continue
        dims = [dim.dim_value for dim in kind.shape.dim]
        if all(dim.HasField("dim_value") for dim in kind.shape.dim):
            itemsize = helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize
            sizes[value.name] = prod(dims), itemsize
    return sizes


def _dims(model: onnx.ModelProto, name: str) -> list[int]:
    found = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = (*found.input, *found.value_info, *found.output)
    (value,) = (one for one in values if one.name == name)
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def cost_of(model: onnx.ModelProto) -> Cost:
    """Count the nodes of a model, with element-wise ones fused into what reads them."""
    sizes = _tensors(model)
    made_by = {name: node for node in model.graph.node for name in node.output}

    def leaves(name: str) -> list[str]:
        """Return what has to be read for a value."""
        node = made_by.get(name)
        if node is None or node.op_type not in ELEMENTWISE | VIEWS - {"Shape", "Constant"}:
            return [name]
        return [leaf for given in node.input if given for leaf in leaves(given)]

    nbytes, operations, steps = 0, 0.0, 0
    for node in model.graph.node:
        if node.op_type in VIEWS:
            continue
        written = [sizes[name] for name in node.output if name]
        if node.op_type == "Scan":
            (axis,) = helper.get_node_attr_value(node, "scan_input_axes")
            steps += _dims(model, node.input[-1])[axis]
        operations += _operations(node, [sizes[name] for name in node.input if name], written)
        if node.op_type not in ELEMENTWISE:
            read = [[sizes[leaf] for leaf in leaves(name)] for name in node.input if name]
            if node.op_type in SELECTING:
                read[0] = [min(*read[0], written[0])]
            nbytes += sum(count * itemsize for each in (*read, written) for count, itemsize in each)
    return Cost(len(model.graph.node), nbytes, operations, steps)


def _operations(
    node: onnx.NodeProto, read: list[tuple[int, int]], written: list[tuple[int, int]]
) -> float:
    if node.op_type in ("MatMul", "Gemm", "Einsum"):
        # Rows times columns times what is summed, from the three sizes.
        return 2.0 * (read[0][0] * read[1][0] * written[0][0]) ** 0.5
    return float(max(count for count, _ in (*read, *written)))


def operator_cost(case: Case, model: onnx.ModelProto) -> Cost:
    """Return what one kernel for the operator has to move and compute."""
    sizes = _tensors(model)
    values = [sizes[value.name] for value in (*model.graph.input, *model.graph.output)]
    counts = [count for count, _ in values]
    return Cost(1, sum(count * itemsize for count, itemsize in values), case.operations(counts))


def _plugin_of(model: onnx.ModelProto) -> str:
    """Return the plugin that the model becomes today, "" where it is spelled out."""
    nodes = rewrite_model(model, plugins=find_plugins()).model.graph.node
    return next((node.op_type for node in nodes if node.op_type.endswith("_PK")), "")


def rows() -> list[dict[str, Any]]:
    """Return each case, the slowest rewrites first."""
    found = []
    for name, case in CASES.items():
        model = model_of(case)
        own = operator_cost(case, model)
        spelled = cost_of(rewrite_model(model, [case.rewrite]).model)
        spelled = replace(spelled, nbytes=max(spelled.nbytes, own.nbytes))
        found.append(
            {
                "case": name,
                "plugin": _plugin_of(model),
                "nodes": spelled.nodes,
                "steps": spelled.steps,
                "operator_mb": own.nbytes / 1e6,
                "rewritten_mb": spelled.nbytes / 1e6,
                "operator_gflop": own.operations / 1e9,
                "rewritten_gflop": spelled.operations / 1e9,
                "operator_us": own.us,
                "rewritten_us": spelled.us,
                "ratio": spelled.us / own.us,
            }
        )
    return sorted(found, key=lambda row: -row["ratio"])


def table(found: list[dict[str, Any]]) -> str:
    """Return the rows in markdown."""
    lines = [
        "| operator | nodes | MB: operator, rewritten | GFLOP: operator, rewritten | "
        "us at least: operator, rewritten | ratio | today |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found:
        numbers = [
            f"{row['operator_' + unit]:.3g}, {row['rewritten_' + unit]:.3g}"
            for unit in ("mb", "gflop", "us")
        ]
        lines.append(
            f"| {row['case']} | {row['nodes']} | {' | '.join(numbers)} | {row['ratio']:.1f} | "
            f"{row['plugin'].removesuffix('_PK') or 'rewritten'} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Count every case."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    found = rows()
    print(table(found))
    record("rewrites_that_pay", host_environment(), found)


if __name__ == "__main__":
    main()
