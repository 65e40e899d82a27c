"""Say in ONNX's terms why TensorRT's parser refuses a node, and what helps."""

from __future__ import annotations

import re

import onnx.defs

#: Where an operator may come from that ONNX has, and one that it has not.
_OWN = (
    "pluginkit spells out some of its forms, or has a plugin for them; rewrites say what they lack."
)
_FOREIGN = (
    "ONNX has none either. If it is an operator of your own, begin a plugin. If ONNX Runtime's "
    "optimizer has made it of other nodes, save the model before that. If an exporter has left a "
    "function of its framework as it is, as tf2onnx does, write it with others before the export."
)
#: In small letters, as functions are named.
_FUNCTION = (
    "ONNX has none either. If it is an operator of your own, begin a plugin. If it is a function "
    "of PyTorch, which torch.onnx.export(dynamo=False) with an operator_export_type keeps in the "
    "domain org.pytorch.aten, export with dynamo=True, which spells some of them out, or write it "
    "with other functions before the export."
)
_TYPE = "TensorRT has no {op} of {0}. Cast to float32 before it, and back after it."
#: TensorRT's words about a node, and what they mean; a number stands for a group of the pattern.
_MEANINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), meaning)
    for pattern, meaning in (
        (r"Found unsupported input type of (\w+)", _TYPE),
        (r"does not support the given operator \w+ with the given input data type (\w+)", _TYPE),
        (r"input has type (\w+) but must have type", _TYPE),
        (r"current (?:input )?type is (\w+)", _TYPE),
        (
            r"Plugin not found, are the plugin name",
            "TensorRT has no operator {op}, and there is no plugin of that name. {origin}",
        ),
        (
            r"Pre-opset 7 broadcasting",
            "TensorRT has no {op} of opsets before 7. Convert the model to a later one.",
        ),
        (
            r"Unsupported data type for the Cast operator",
            "TensorRT has not both types of this Cast: of integers it has bool, int4, int8, int32 "
            "and int64, of 8-bit floats FLOAT8E4M3FN. Cast to one of these, or to a float type.",
        ),
        (
            r"resolve to a build-time constant|axis is not a constant|must be an initializer",
            "an input that TensorRT wants stored in the model is computed when it runs, or is an "
            "input of the model. Export it as a constant.",
        ),
        (
            r"allDimsGtEq\(kernelSize, 1\)|channels in `input` tensor must not be dynamic",
            "TensorRT needs the channels and the sizes of the kernel of each {op} when it builds, "
            "and here they are known when the model runs. Export weights of a fixed shape, or give "
            "--shapes one size for each of these dimensions.",
        ),
        (
            r"Unknown activation type: (\w+)",
            "TensorRT has no {0} as an activation of RNN, GRU and LSTM. Write the steps as a Scan, "
            "which it takes.",
        ),
        (
            r"at least 1 dimensions are required",
            "TensorRT has no {op} of a scalar. Reshape it to one element.",
        ),
        (
            r"Output must be float32-type",
            "TensorRT gives its output in float32 only. Cast that to the other type.",
        ),
        (
            r"transformationMode [!=]= ",
            "TensorRT has no Resize with this coordinate_transformation_mode and nearest_mode. "
            "pluginkit spells it out where the region, the scales or sizes, and the sizes of the "
            "resized axes are known: export for one image size, or give it with --shapes.",
        ),
        (
            r'keep_aspect_ratio_policy == "stretch"',
            "TensorRT resizes to given sizes only. Compute the sizes that keep the ratio, or "
            "export for one image size, or give it with --shapes.",
        ),
        (
            r"isInFlight\(p\.second\.symbolicRep\)",
            "a size that {op} makes follows from data, and TensorRT cannot trace it. Where scales "
            "of a resize do, store them, or convert it to opset 13: pluginkit computes those.",
        ),
        (
            r"antialias == 0",
            "TensorRT has no Resize with antialias.",
        ),
    )
)


def in_onnx_terms(op_type: str, words: str) -> str:
    """Return what the parser's words about a node mean, before the words themselves.

    Args:
        op_type: the operator of the node; empty if the parser does not say.
        words: the parser's message.
    """
    for pattern, meaning in _MEANINGS:
        found = pattern.search(words)
        if found:
            foreign = _FUNCTION if op_type.islower() else _FOREIGN
            origin = _OWN if op_type and onnx.defs.has(op_type) else foreign
            name = op_type or "such operator"
            said = meaning.format(*found.groups(), op=name, origin=origin)
            return f"{said}\nTensorRT said: {words}"
    return words
