"""Models with values of types that TensorRT lacks."""

import numpy as np
from onnx import helper, numpy_helper

DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "uint32", "uint64", "int32", "int64")
ELEM = {
    np.dtype(name): helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in (*DTYPES, "float32")
}


def elem(dtype):
    return ELEM[np.dtype(dtype)]


def value(name, dtype, shape):
    return helper.make_tensor_value_info(name, elem(dtype), shape)


def model_of(nodes, inputs, outputs, stored=(), opset=18):
    """A model from ``{name: array}`` of inputs and ``{name: (dtype, shape)}`` of outputs."""
    graph = helper.make_graph(
        nodes,
        "g",
        [value(name, array.dtype, array.shape) for name, array in inputs.items()],
        [value(name, *given) for name, given in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(stored).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("elsewhere", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def trips(count):
    """What a Loop of a known number of rounds reads; TensorRT wants a condition too."""
    return {"count": np.int64(count), "always": np.array(True)}


def body(nodes, inputs, outputs, stored=()):
    return helper.make_graph(
        nodes,
        "body",
        [value(*each) for each in inputs],
        [value(*each) for each in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(stored).items()],
    )
