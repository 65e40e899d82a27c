"""Models of one node that TensorRT refuses, with inputs, for every rewrite that needs no plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.decode_weights import DecodeWeights
from pluginkit.graph_rewrites.detach_sizes import DetachSizes
from pluginkit.graph_rewrites.drop_dropout import DropDropout
from pluginkit.graph_rewrites.drop_optional import DropOptional
from pluginkit.graph_rewrites.expand_affine_grid import ExpandAffineGrid
from pluginkit.graph_rewrites.expand_batch_statistics import ExpandBatchStatistics
from pluginkit.graph_rewrites.expand_bit_cast import ExpandBitCast
from pluginkit.graph_rewrites.expand_bit_shift import ExpandBitShift
from pluginkit.graph_rewrites.expand_bitwise import ExpandBitwise
from pluginkit.graph_rewrites.expand_bitwise_not import ExpandBitwiseNot
from pluginkit.graph_rewrites.expand_bool_reduction import ExpandBoolReduction
from pluginkit.graph_rewrites.expand_center_crop_pad import ExpandCenterCropPad
from pluginkit.graph_rewrites.expand_col2im import ExpandCol2Im
from pluginkit.graph_rewrites.expand_compress import ExpandCompress
from pluginkit.graph_rewrites.expand_cum_prod import ExpandCumProd
from pluginkit.graph_rewrites.expand_det import ExpandDet
from pluginkit.graph_rewrites.expand_dft import ExpandDft
from pluginkit.graph_rewrites.expand_dilated_transpose import ExpandDilatedTranspose
from pluginkit.graph_rewrites.expand_dynamic_dft import ExpandDynamicDft
from pluginkit.graph_rewrites.expand_dynamic_resize import ExpandDynamicResize
from pluginkit.graph_rewrites.expand_elu import ExpandElu
from pluginkit.graph_rewrites.expand_eye_like import ExpandEyeLike
from pluginkit.graph_rewrites.expand_hardmax import ExpandHardmax
from pluginkit.graph_rewrites.expand_integer_convolutions import (
    ExpandConvInteger,
    ExpandQLinearConv,
)
from pluginkit.graph_rewrites.expand_integer_einsum import (
    ExpandIntegerEinsum,
    ExpandIntegerMatMul,
)
from pluginkit.graph_rewrites.expand_integer_products import (
    ExpandMatMulInteger,
    ExpandQLinearMatMul,
)
from pluginkit.graph_rewrites.expand_max_pool_indices import ExpandMaxPoolIndices
from pluginkit.graph_rewrites.expand_max_unpool import ExpandMaxUnpool
from pluginkit.graph_rewrites.expand_mod import ExpandMod
from pluginkit.graph_rewrites.expand_pool import ExpandPool
from pluginkit.graph_rewrites.expand_quantization import (
    ExpandDequantizeLinear,
    ExpandDynamicQuantizeLinear,
    ExpandQuantizeLinear,
)
from pluginkit.graph_rewrites.expand_rectifiers import ExpandPRelu, ExpandRelu
from pluginkit.graph_rewrites.expand_reduction import ExpandScalarReduction
from pluginkit.graph_rewrites.expand_resize import ExpandResize
from pluginkit.graph_rewrites.expand_stft import ExpandStft
from pluginkit.graph_rewrites.expand_tensor_scatter import ExpandTensorScatter
from pluginkit.graph_rewrites.expand_tf_idf import ExpandTfIdf
from pluginkit.graph_rewrites.expand_vector_operators import (
    ExpandVectorOperator,
    ExpandVectorProduct,
)
from pluginkit.graph_rewrites.rename_einsum_letters import RenameEinsumLetters
from pluginkit.graph_rewrites.spread_sizes import SpreadSizes
from pluginkit.graph_rewrites.store_mel_weights import StoreMelWeights
from pluginkit.graph_rewrites.widen_range import WidenRange
from pluginkit.graph_rewrites.widen_recurrent import WidenRecurrent
from pluginkit.onnx.rewriting.rewrite import Rewrite
from pluginkit.onnx.running.run_model import run_onnxruntime

BFLOAT16 = ml_dtypes.bfloat16
Inputs = Mapping[str, np.ndarray | None]


def node_model(
    op_type: str,
    inputs: Inputs,
    *,
    stored: Sequence[str] = (),
    outputs: Sequence[str] = ("y",),
    opset: int = 22,
    dims: Mapping[str, Sequence[int | str | None]] | None = None,
    ranks: Mapping[str, int] | None = None,
    **attributes: object,
) -> onnx.ModelProto:
    """A model of one node, called ``node``.

    Args:
        op_type: its operator.
        inputs: an array for each of its inputs, which gives the type and the shape; None for one
            that is absent.
        stored: the inputs that the model stores.
        outputs: the names of its outputs.
        opset: the version of the operators.
        dims: the declared shapes of inputs, where they are not those of the arrays.
        ranks: of the outputs that shape inference does not know.
        attributes: the node's attributes.
    """
    arrays = {name: array for name, array in inputs.items() if array is not None}
    names = [name if array is not None else "" for name, array in inputs.items()]
    values = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            (dims or {}).get(name, array.shape),
        )
        for name, array in arrays.items()
        if name not in stored
    ]
    node = helper.make_node(op_type, names, list(outputs), name="node", **attributes)
    graph = helper.make_graph(
        [node],
        "test",
        values,
        [onnx.ValueInfoProto(name=name) for name in outputs if name],
        [numpy_helper.from_array(arrays[name], name) for name in stored],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    del model.graph.output[:]
    model.graph.output.extend(inferred.graph.output)
    for value in model.graph.output:
        if not value.type.tensor_type.HasField("shape"):
            rank = (ranks or {})[value.name]
            value.type.tensor_type.shape.dim.extend([onnx.TensorShapeProto.Dimension()] * rank)
    return model


@dataclass(frozen=True)
class Sample:
    """A model that a rewrite takes, and inputs for it.

    Attributes:
        rewrite: the rewrite.
        model: the model.
        feeds: an array for each input.
        units: by how much integers may differ, where a product close to a half is rounded.
        also: further rewrites, of what the rewrite makes.
        given: the outputs, of an operator that nothing on a CPU computes.
        is_refused: whether TensorRT-RTX refuses the model. It looks at an operator's name only, and
            takes one of another domain for ONNX's own of that name, right or wrong.
    """

    rewrite: type[Rewrite]
    model: onnx.ModelProto
    feeds: Mapping[str, np.ndarray]
    units: int = 0
    also: Sequence[type[Rewrite]] = ()
    given: Sequence[np.ndarray] = ()
    is_refused: bool = True

    @property
    def rewrites(self) -> list[type[Rewrite]]:
        """All rewrites that the model needs."""
        return [self.rewrite, *self.also]

    def expected(self) -> list[np.ndarray]:
        """What the operator itself gives, in ONNX Runtime if it is ONNX Runtime's own."""
        if self.given:
            return list(self.given)
        node, opsets = self.model.graph.node[0], self.model.opset_import
        if node.domain in ("com.microsoft", "ai.onnx.ml") or not onnx.defs.has(
            node.op_type, max_inclusive_version=opsets[0].version, domain=node.domain
        ):
            return list(run_onnxruntime(self.model, self.feeds).values())
        with np.errstate(invalid="ignore"):
            made = ReferenceEvaluator(self.model).run(None, dict(self.feeds))
        return [np.asarray(each) for each in made]


def sample(rewrite: type[Rewrite], op_type: str, inputs: Inputs, **options: object) -> Sample:
    """A Sample; ``options`` as for node_model."""
    stored = options.get("stored", ())
    feeds = {
        name: array for name, array in inputs.items() if array is not None and name not in stored
    }
    units = 1 if op_type.startswith("QLinear") else 0
    return Sample(rewrite, node_model(op_type, inputs, **options), feeds, units)


_random = np.random.default_rng(11)


def normal(*shape: int, dtype: object = np.float32) -> np.ndarray:
    """Normal numbers."""
    return _random.standard_normal(shape).astype(dtype)


def integers(*shape: int, dtype: object = np.uint8, low: int = 0, high: int = 255) -> np.ndarray:
    """Integers, both ends included."""
    return _random.integers(low, high, shape, endpoint=True).astype(dtype)


def f32(*values: float) -> np.ndarray:
    """One float32 as a scalar, several as a vector."""
    return np.array(values[0] if len(values) == 1 else values, np.float32)


def i64(*values: int) -> np.ndarray:
    """A vector of int64."""
    return np.array(values, np.int64)


def full_range(dtype: object, *shape: int) -> np.ndarray:
    """Integers of all sizes, the extremes first."""
    info = np.iinfo(dtype)
    array = _random.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    array.flat[:4] = [info.min, info.max, 0, 1]
    return array


def _integer_samples() -> dict[str, Sample]:
    found = {}
    for dtype in (np.uint8, np.int8, np.int32, np.int64):
        kind = np.dtype(dtype).name
        bits = np.iinfo(dtype).bits
        x = full_range(dtype, 3, 40)
        shifts = np.arange(-1, 39).astype(dtype) if bits < 64 else np.arange(28, 68).astype(dtype)
        for direction in ("LEFT", "RIGHT"):
            found[f"shift {direction} {kind}"] = sample(
                ExpandBitShift,
                "BitShift",
                {"x": x, "n": np.abs(shifts) if bits == 8 and np.uint8 == dtype else shifts},
                opset=28,
                direction=direction,
            )
        for op_type in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
            found[f"{op_type} {kind}"] = sample(
                ExpandBitwise, op_type, {"a": x, "b": full_range(dtype, 40)}
            )
        found[f"BitwiseNot {kind}"] = sample(ExpandBitwiseNot, "BitwiseNot", {"x": x})
    return found


def _uint8_samples() -> dict[str, Sample]:
    a, b = full_range(np.uint8, 2, 3, 8, 8), full_range(np.uint8, 2, 3, 8, 8)
    pairs = ("Add", "Sub", "Mul", "Max", "Min", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    found = {op: sample(CarryIntegers, op, {"a": a, "b": b}) for op in pairs}
    for op in ("Div", "Mod"):
        found[op] = sample(CarryIntegers, op, {"a": a, "b": np.maximum(b, 1)})
    moved: dict[str, dict[str, np.ndarray]] = {
        "Reshape": {"x": a, "shape": i64(6, 64)},
        "Unsqueeze": {"x": a, "axes": i64(0)},
        "Expand": {"x": a[:1], "shape": i64(2, 3, 8, 8)},
        "Tile": {"x": a, "repeats": i64(1, 1, 2, 1)},
        "Pad": {"x": a, "pads": i64(0, 0, 1, 0, 0, 0, 0, 2), "value": np.uint8(7)},
        "Slice": {"x": a, "starts": i64(1), "ends": i64(7), "axes": i64(3)},
        "Gather": {"x": a, "indices": i64(1, 0, 1)},
        "ReduceMax": {"x": a, "axes": i64(2)},
        "ReduceMin": {"x": a, "axes": i64(2, 3)},
        "TopK": {"x": a, "k": i64(3)},
    }
    for op, inputs in moved.items():
        outputs = ("y", "indices_of_y") if op == "TopK" else ("y",)
        found[op] = sample(CarryIntegers, op, inputs, stored=[*inputs][1:], outputs=outputs)
    found["Transpose"] = sample(CarryIntegers, "Transpose", {"x": a}, perm=[0, 2, 3, 1])
    found["Concat"] = sample(CarryIntegers, "Concat", {"a": a, "b": b}, axis=1)
    found["MaxPool"] = sample(
        CarryIntegers, "MaxPool", {"x": a}, kernel_shape=[3, 3], strides=[2, 2]
    )
    condition = integers(8, 8, high=1).astype(bool)
    found["Where"] = sample(CarryIntegers, "Where", {"c": condition, "a": a, "b": b})
    for op in ("ReduceMax", "ReduceMin"):
        found[f"{op} bool"] = sample(
            ExpandBoolReduction, op, {"x": condition, "axes": i64(1)}, stored=["axes"]
        )
    divisor = np.where(full_range(np.int8, 9) == 0, 3, full_range(np.int8, 9)).astype(np.int8)
    found["Mod int8"] = sample(CarryIntegers, "Mod", {"a": full_range(np.int8, 9), "b": divisor})
    return {f"uint8 {name}": each for name, each in found.items()}


def _pool_samples() -> dict[str, Sample]:
    image, volume = normal(2, 3, 17, 19), normal(1, 2, 9, 8, 7)
    dilated = {"kernel_shape": [3, 2], "dilations": [2, 3]}
    found = {
        "dilated": sample(ExpandPool, "MaxPool", {"x": image}, **dilated),
        "dilated, padded": sample(
            ExpandPool, "MaxPool", {"x": image}, **dilated, pads=[1, 0, 1, 1], strides=[2, 1]
        ),
        "float16": sample(
            ExpandPool, "MaxPool", {"x": image.astype(np.float16)}, **dilated, pads=[1, 1, 1, 1]
        ),
        "bfloat16": sample(
            ExpandPool, "MaxPool", {"x": image.astype(BFLOAT16)}, **dilated, pads=[1, 1, 1, 1]
        ),
        "ceil": sample(ExpandPool, "MaxPool", {"x": image}, **dilated, strides=[4, 3], ceil_mode=1),
        "batch": sample(
            ExpandPool, "MaxPool", {"x": image}, **dilated, dims={"x": ["n", 3, 17, 19]}
        ),
        "average": sample(
            ExpandPool, "AveragePool", {"x": image}, **dilated, pads=[1, 1, 1, 1], strides=[2, 2]
        ),
        "average with padding": sample(
            ExpandPool,
            "AveragePool",
            {"x": volume},
            kernel_shape=[2, 2, 2],
            dilations=[2, 2, 1],
            strides=[3, 2, 2],
            pads=[1, 0, 1, 1, 1, 0],
            count_include_pad=1,
            ceil_mode=1,
        ),
        "average float16": sample(
            ExpandPool, "AveragePool", {"x": image.astype(np.float16)}, **dilated
        ),
        "norm 3": sample(ExpandPool, "LpPool", {"x": image}, kernel_shape=[2, 3], p=3),
        "norm 2, dilated": sample(ExpandPool, "LpPool", {"x": image}, **dilated, p=2),
        "norm 4, same": sample(
            ExpandPool,
            "LpPool",
            {"x": image},
            kernel_shape=[2, 3],
            p=4,
            auto_pad="SAME_LOWER",
            strides=[2, 2],
        ),
    }
    return {f"pool {name}": each for name, each in found.items()}


def _quantized_samples() -> dict[str, Sample]:
    found = {}
    for dtype in (np.uint8, np.int8):
        info = np.iinfo(dtype)
        low, high, kind = info.min, info.max, np.dtype(dtype).name
        zero = np.array(low + 100, dtype)
        a = integers(2, 5, 40, dtype=dtype, low=low, high=high)
        b = integers(40, 6, dtype=dtype, low=low, high=high)
        long_a = integers(3, 700, dtype=dtype, low=low, high=high)
        long_b = integers(700, 4, dtype=dtype, low=low, high=high)
        x = integers(2, 4, 9, 9, dtype=dtype, low=low, high=high)
        w = integers(5, 4, 3, 3, dtype=np.int8, low=-128, high=127)
        wide_x = integers(1, 64, 6, 6, dtype=dtype, low=low, high=high)
        wide_w = integers(3, 64, 3, 3, dtype=np.int8, low=-128, high=127)
        zeros = {"a zero": zero, "b zero": zero}
        found |= {
            f"matmul {kind}": sample(
                ExpandMatMulInteger, "MatMulInteger", {"a": a, "b": b, **zeros}
            ),
            f"matmul, long, {kind}": sample(
                ExpandMatMulInteger, "MatMulInteger", {"a": long_a, "b": long_b, **zeros}
            ),
            f"matmul without zeros, {kind}": sample(
                ExpandMatMulInteger, "MatMulInteger", {"a": a, "b": b}
            ),
            f"conv {kind}": sample(
                ExpandConvInteger,
                "ConvInteger",
                {"x": x, "w": w, "x zero": zero, "w zero": np.array(3, np.int8)},
                stored=["w", "w zero"],
                pads=[1, 1, 1, 1],
            ),
            f"conv, many channels, {kind}": sample(
                ExpandConvInteger,
                "ConvInteger",
                {"x": wide_x, "w": wide_w, "x zero": zero},
                strides=[2, 2],
            ),
            f"qlinear matmul {kind}": sample(
                ExpandQLinearMatMul,
                "QLinearMatMul",
                {
                    "a": a,
                    "a scale": f32(0.02),
                    "a zero": zero,
                    "b": b,
                    "b scale": f32(0.03),
                    "b zero": zero,
                    "y scale": f32(0.7),
                    "y zero": zero,
                },
            ),
            f"qlinear conv {kind}": sample(
                ExpandQLinearConv,
                "QLinearConv",
                {
                    "x": x,
                    "x scale": f32(0.02),
                    "x zero": zero,
                    "w": w,
                    "w scale": f32(0.1, 0.2, 0.3, 0.4, 0.5),
                    "w zero": np.zeros(5, np.int8),
                    "y scale": f32(7),
                    "y zero": zero,
                    "bias": integers(5, dtype=np.int32, low=-5000, high=5000),
                },
                stored=["w", "w scale", "w zero", "bias"],
                opset=10,
                pads=[0, 1, 1, 0],
            ),
        }
    image = normal(2, 3, 8)
    scales = f32(0.01, 0.02, 0.005)
    zero_u8, zeros_i8 = np.array(130, np.uint8), np.array([3, -4, 0], np.int8)
    blocks = np.abs(normal(2, 3, 2)) + 0.1
    for name, inputs, attributes in [
        ("one scale", {"x": image, "s": f32(0.01), "z": zero_u8}, {}),
        ("axis", {"x": image, "s": scales, "z": zeros_i8}, {"axis": 1}),
        ("blocks", {"x": image, "s": blocks, "z": integers(2, 3, 2)}, {"axis": 2, "block_size": 4}),
    ]:
        found[f"quantize, {name}"] = sample(
            ExpandQuantizeLinear, "QuantizeLinear", inputs, stored=["s", "z"], **attributes
        )
        stored_dtype = inputs["z"].dtype
        info = np.iinfo(stored_dtype)
        x = integers(2, 3, 8, dtype=stored_dtype, low=info.min, high=info.max)
        found[f"dequantize, {name}"] = sample(
            ExpandDequantizeLinear,
            "DequantizeLinear",
            {**inputs, "x": x},
            stored=["s", "z"],
            **attributes,
        )
    found["dequantize a bias"] = sample(
        ExpandDequantizeLinear,
        "DequantizeLinear",
        {"x": integers(3, dtype=np.int32, low=-9999, high=9999), "s": scales},
        axis=0,
        opset=19,
    )
    half = {"x": image.astype(np.float16), "s": np.float16(0.01), "z": zero_u8}
    found["quantize, float16"] = sample(
        ExpandQuantizeLinear, "QuantizeLinear", half, stored=["s", "z"]
    )
    return {f"integer {name}": each for name, each in found.items()}


def _resize_samples() -> dict[str, Sample]:
    image = normal(2, 3, 7, 9)
    roi = f32(0, 0, 0.2, -0.1, 1, 1, 0.8, 1.3)
    crop = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 5.0}
    cases: dict[str, tuple[Inputs, dict[str, object]]] = {}
    for mode in ("nearest", "linear", "cubic"):
        cases[f"crop, {mode}"] = (
            {"x": image, "roi": roi, "scales": None, "sizes": i64(2, 3, 5, 6)},
            {"mode": mode, **crop},
        )
        cases[f"symmetric, {mode}"] = (
            {"x": image, "roi": None, "scales": f32(1, 1, 0.61, 1.37)},
            {"mode": mode, "coordinate_transformation_mode": "half_pixel_symmetric"},
        )
        policy = {"mode": mode, "keep_aspect_ratio_policy": "not_larger", "axes": [2, 3]}
        cases[f"aspect, {mode}"] = (
            {"x": image, "roi": None, "scales": None, "sizes": i64(14, 13)},
            policy,
        )
    for mode in ("linear", "cubic"):
        cases[f"antialias, {mode}"] = (
            {"x": image, "roi": None, "scales": f32(1, 1, 0.6, 0.4)},
            {"mode": mode, "antialias": 1},
        )
    cases["excluded"] = (
        {"x": image, "roi": None, "scales": f32(1, 1, 0.6, 0.6)},
        {
            "mode": "cubic",
            "coordinate_transformation_mode": "half_pixel_symmetric",
            "exclude_outside": 1,
        },
    )
    half = image.astype(np.float16)
    cases["float16"] = (
        {"x": half, "roi": None, "scales": f32(1, 1, 0.6, 0.4)},
        {"mode": "linear", "antialias": 1},
    )
    found = {}
    for name, (inputs, attributes) in cases.items():
        stored = [key for key, array in inputs.items() if key != "x" and array is not None]
        found[f"resize {name}"] = sample(
            ExpandResize, "Resize", inputs, stored=stored, **attributes
        )
    return found


def _integer_and_scalar_samples() -> dict[str, Sample]:
    counts = integers(3, 4, dtype=np.int64, low=-9, high=9)
    image, slope = normal(2, 3, 4, 5), i64(2, 3, 4, 5)
    sizes = {"roi": None, "scales": None, "sizes": i64(7, 3)}
    return {
        "Relu int32": sample(ExpandRelu, "Relu", {"x": counts.astype(np.int32)}),
        "PRelu int64": sample(ExpandPRelu, "PRelu", {"x": counts, "slope": slope}),
        "ReduceMax of a scalar": sample(ExpandScalarReduction, "ReduceMax", {"x": f32(2.5)}),
        "Resize of the last axes": sample(
            SpreadSizes,
            "Resize",
            {"x": image, **sizes},
            stored=["sizes"],
            opset=19,
            axes=[2, 3],
            mode="linear",
            dims={"x": ["n", 3, 4, 5]},
            ranks={"y": 4},
        ),
    }


def _dft_samples() -> dict[str, Sample]:
    real, complex_ = normal(2, 5, 7, 1), normal(2, 5, 7, 2)
    found = {}
    for name, array, length, axis, attributes in [
        ("real", real, None, 1, {}),
        ("complex", complex_, None, -2, {}),
        ("longer", complex_, 8, 1, {}),
        ("shorter", real, 4, 1, {}),
        ("onesided", real, None, 2, {"onesided": 1}),
        ("inverse", complex_, None, 1, {"inverse": 1}),
        ("real inverse", complex_, None, 2, {"inverse": 1, "onesided": 1}),
        ("real inverse, odd", complex_, 9, 1, {"inverse": 1, "onesided": 1}),
    ]:
        inputs = {
            "x": array,
            "n": None if length is None else np.array(length),
            "axis": np.array(axis),
        }
        stored = [key for key in ("n", "axis") if inputs[key] is not None]
        found[f"dft {name}"] = sample(ExpandDft, "DFT", inputs, stored=stored, **attributes)
    found["dft opset 17"] = sample(ExpandDft, "DFT", {"x": complex_}, opset=17, axis=2)
    found["dft float16"] = sample(ExpandDft, "DFT", {"x": real.astype(np.float16)}, opset=17)
    for name, parts, sizes, half in [("real", 1, (2, "n", 1), 1), ("complex", 2, (2, 30, 2), 0)]:
        inputs = {"x": normal(2, 30, parts), "step": i64(4)[0], "window": normal(9)}
        found[f"stft {name}"] = sample(
            ExpandStft,
            "STFT",
            inputs,
            stored=["step"],
            dims={"x": sizes},
            opset=17,
            ranks={"y": 4},
            onesided=half,
        )
    return found


def _other_samples() -> dict[str, Sample]:
    mask = np.array([True, False, True, False])
    edges = np.array(
        [0.0, -0.0, 5.5, -5.5, 7.25, -7.25, np.inf, -np.inf, np.nan, 1.0, -1.0, 3.0], np.float32
    )
    tokens = np.array([[1, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8]], np.int32)
    words = {
        "min_gram_length": 1,
        "max_gram_length": 2,
        "max_skip_count": 3,
        "ngram_counts": [0, 4],
        "ngram_indexes": [0, 1, 2, 3, 4, 5, 6],
        "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7],
        "weights": [0.5, 1.0, 2.0, 1.0, 3.0, 0.25, 1.0],
    }
    peaks = normal(1, 2, 3, 3)
    places = np.stack([np.arange(9).reshape(3, 3) * 4 + plane * 36 for plane in range(2)])[None]
    found = {
        "mod": sample(ExpandMod, "Mod", {"a": edges[:, None], "b": edges[None]}, opset=13),
        "mod float16": sample(
            ExpandMod, "Mod", {"a": normal(9, dtype=np.float16), "b": normal(9, dtype=np.float16)}
        ),
        "compress": sample(
            ExpandCompress, "Compress", {"x": normal(5, 4), "c": mask}, stored=["c"], axis=-2
        ),
        "compress flat": sample(
            ExpandCompress, "Compress", {"x": normal(5, 4), "c": mask}, stored=["c"]
        ),
        "bits bool": sample(ExpandBitCast, "BitCast", {"x": mask}, to=2, opset=26),
        "bits int8": sample(
            ExpandBitCast, "BitCast", {"x": full_range(np.int8, 9)}, to=2, opset=26
        ),
        "bits uint8": sample(
            ExpandBitCast, "BitCast", {"x": full_range(np.uint8, 9)}, to=3, opset=26
        ),
        "dropout": sample(
            DropDropout,
            "Dropout",
            {"x": normal(3, 4), "ratio": f32(0), "trains": np.array(True)},
            stored=["ratio", "trains"],
            outputs=("y", "mask"),
        ),
        "crop and pad": sample(
            ExpandCenterCropPad,
            "CenterCropPad",
            {"x": normal(5, 3, 4), "shape": i64(2, 7)},
            stored=["shape"],
            axes=[0, 2],
        ),
        "batch statistics": sample(
            ExpandBatchStatistics,
            "BatchNormalization",
            {
                "x": normal(2, 3, 4, 5),
                **{name: normal(3) for name in ("scale", "bias", "mean")},
                "variance": np.abs(normal(3)),
            },
            outputs=("y", "running_mean", "running_variance"),
            opset=15,
            training_mode=1,
        ),
        "dynamic range": sample(
            ExpandDynamicQuantizeLinear,
            "DynamicQuantizeLinear",
            {"x": normal(5, 7) * 3},
            outputs=("y", "scale", "zero"),
            opset=11,
        ),
        "weights of 4 bits": sample(
            DecodeWeights,
            "DequantizeLinear",
            {
                "x": integers(6, 4, dtype=ml_dtypes.int4, low=-8, high=7),
                "s": f32(0.1, 0.2, 0.3, 0.4),
                "z": integers(4, dtype=ml_dtypes.int4, low=1, high=7),
            },
            stored=["x", "s", "z"],
            axis=1,
        ),
        "resize to any size": sample(
            ExpandDynamicResize,
            "Resize",
            {"x": normal(1, 2, 9, 8), "roi": None, "scales": f32(1, 1, 0.5, 0.5)},
            stored=["scales"],
            dims={"x": (1, 2, "h", "w")},
            ranks={"y": 4},
            mode="cubic",
            antialias=1,
            exclude_outside=1,
        ),
        "strided and dilated transpose": sample(
            ExpandDilatedTranspose,
            "ConvTranspose",
            {"x": normal(2, 4, 6, 5), "w": normal(4, 3, 3, 2), "b": normal(3)},
            stored=["w", "b"],
            strides=[2, 1],
            dilations=[1, 3],
            pads=[1, 0, 2, 1],
        ),
        "elu of signals": replace(
            sample(ExpandElu, "Elu", {"x": normal(2, 3, 8)}, alpha=0.5), is_refused=False
        ),
        "hardmax of unknown sizes": sample(
            ExpandHardmax, "Hardmax", {"x": normal(2, 3, 4)}, dims={"x": (2, 3, "n")}
        ),
        **{
            f"range of {np.dtype(dtype)}": replace(
                sample(
                    WidenRange,
                    "Range",
                    {
                        name: np.array(number, dtype)
                        for name, number in [("a", 6), ("b", 1), ("c", -2)]
                    },
                    ranks={"y": 1},
                ),
                also=[DetachSizes],
            )
            for dtype in (np.float16, ml_dtypes.bfloat16)
        },
        "softmax of a vector": sample(ExpandVectorOperator, "Softmax", {"x": normal(5)}, axis=0),
        "argmax of a vector": sample(ExpandVectorOperator, "ArgMax", {"x": normal(5)}),
        "integers' einsum": sample(
            ExpandIntegerEinsum,
            "Einsum",
            {name: integers(3, 4, dtype=np.int64) for name in ("a", "b")},
            ranks={"y": 2},
            equation="ij,kj->ik",
        ),
        "einsum with capitals": sample(
            RenameEinsumLetters,
            "Einsum",
            {"a": normal(2, 3), "b": normal(3, 2)},
            ranks={"y": 2},
            equation="jB, BK",  # capitals come first: the output is Kj
        ),
        "integers' product": sample(
            ExpandIntegerMatMul,
            "MatMul",
            {"a": integers(2, 3, dtype=np.int32), "b": integers(3, 4, dtype=np.int32)},
        ),
        "halves with lengths": sample(
            WidenRecurrent,
            "GRU",
            {
                "x": normal(4, 2, 3, dtype=np.float16),
                "w": normal(1, 15, 3, dtype=np.float16),
                "r": normal(1, 15, 5, dtype=np.float16),
                "b": None,
                "lengths": np.array([4, 4], np.int32),
            },
            stored=["w", "r"],
            hidden_size=5,
        ),
        "optional": sample(DropOptional, "OptionalGetElement", {"x": normal(3)}, opset=18),
        "determinant": sample(ExpandDet, "Det", {"x": normal(2, 3, 4, 4)}),
        "places": sample(
            ExpandMaxPoolIndices,
            "MaxPool",
            {"x": normal(2, 3, 7, 9)},
            outputs=("y", "indices_of_y"),
            kernel_shape=[3, 2],
            strides=[2, 1],
            pads=[1, 1, 1, 0],
        ),
        "unpool": sample(
            ExpandMaxUnpool,
            "MaxUnpool",
            {"x": peaks, "indices": places},
            kernel_shape=[2, 2],
            strides=[2, 2],
        ),
        "unpool larger": sample(
            ExpandMaxUnpool,
            "MaxUnpool",
            {"x": peaks, "indices": places, "shape": i64(1, 2, 7, 8)},
            stored=["shape"],
            ranks={"y": 4},
            kernel_shape=[2, 2],
            strides=[2, 2],
        ),
    }
    for mode in ("TF", "IDF", "TFIDF"):
        found[f"words {mode}"] = sample(
            ExpandTfIdf, "TfIdfVectorizer", {"x": tokens}, opset=9, mode=mode, **words
        )
    for name, options in {
        "cumulated": {},
        "cumulated backwards": {"reverse": 1},
        "cumulated, exclusive": {"exclusive": 1, "reverse": 1},
    }.items():
        found[name] = sample(
            ExpandCumProd,
            "CumProd",
            {"x": normal(3, 5), "axis": np.array(-1)},
            stored=["axis"],
            opset=26,
            **options,
        )
    found["Fourier transform of any length"] = sample(
        ExpandDynamicDft,
        "DFT",
        {"x": normal(2, 6, 2), "length": None, "axis": np.array(1)},
        stored=["axis"],
        opset=20,
        dims={"x": (2, "n", 2)},
    )
    found["vector by matrices"] = sample(
        ExpandVectorProduct, "MatMul", {"x": normal(3), "matrices": normal(2, 3, 4)}
    )
    found["a circular cache"] = sample(
        ExpandTensorScatter,
        "TensorScatter",
        {"cache": normal(2, 3, 6, 4), "update": normal(2, 3, 2, 4), "at": i64(5, 1)},
        opset=24,
        mode="circular",
    )
    found["identity matrix"] = sample(
        ExpandEyeLike, "EyeLike", {"x": normal(3, 5)}, dims={"x": ("n", 5)}, k=1
    )
    numbers = {
        "mels": i64(8),
        "length": i64(64),
        "rate": i64(8000),
        "low": f32(20),
        "high": f32(4000),
    }
    numbers = {each: number.reshape(()) for each, number in numbers.items()}
    found["mel weights"] = sample(StoreMelWeights, "MelWeightMatrix", numbers, stored=[*numbers])
    for name, blocks, options in [
        ("", 25, {}),
        (", strided", 21, {"strides": [2, 1], "pads": [0, 1, 0, 1]}),
        (", dilated", 12, {"dilations": [2, 2]}),
    ]:
        found[f"columns{name}"] = sample(
            ExpandCol2Im,
            "Col2Im",
            {"x": normal(2, 12, blocks), "image": i64(6, 7), "block": i64(2, 3)},
            stored=["image", "block"],
            **options,
        )
    for name, sizes, options in [
        ("2-D", (5, 3), {}),
        ("2-D, corners", (5, 3), {"align_corners": 1}),
        ("3-D", (4, 2, 3), {"align_corners": 1}),
    ]:
        theta = normal(2, len(sizes), len(sizes) + 1)
        found[f"affine {name}"] = sample(
            ExpandAffineGrid,
            "AffineGrid",
            {"theta": theta, "size": i64(2, 1, *sizes)},
            stored=["size"],
            **options,
        )
    return found


SAMPLES: dict[str, Sample] = {
    **_integer_samples(),
    **_uint8_samples(),
    **_pool_samples(),
    **_quantized_samples(),
    **_resize_samples(),
    **_dft_samples(),
    **_integer_and_scalar_samples(),
    **_other_samples(),
}
