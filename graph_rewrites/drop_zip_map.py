"""Return a tensor instead of the maps that scikit-learn's exporter makes from it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx.helper

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, is_op, place_of, scopes


class DropZipMap(GraphRewrite):
    """ai.onnx.ml.ZipMap(scores) -> Identity(scores), as an output of the model.

    A ZipMap turns each row into a map from labels to scores, and TensorRT has no maps. The output
    keeps its name and becomes the tensor, with a column for each label in the order of the labels.
    """

    pattern = Op("ZipMap", domain="ai.onnx.ml")
    cost = "an output is a tensor instead of a list of maps: its columns are those of the labels."

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        scope = next(scopes(graphs.model))
        outputs = {value.name: value for value in graphs.model.graph.output}
        changes: list[Change] = []
        for node in graphs.model.graph.node:
            if not is_op(node, "ZipMap", "ai.onnx.ml") or node.output[0] not in outputs:
                continue
            labels = [each for each in node.attribute if each.name.startswith("classlabels")]
            count = sum(len(onnx.helper.get_attribute_value(each)) for each in labels)
            changes.append((place_of(scope, node), ("Identity",)))
            value_type = onnx.helper.make_tensor_type_proto(
                onnx.TensorProto.FLOAT, [None, count or None]
            )
            outputs[node.output[0]].type.CopyFrom(value_type)
            node.op_type, node.domain = "Identity", ""
            del node.attribute[:]
        return changes
