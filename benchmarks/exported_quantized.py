"""Models that ONNX Runtime's quantizers and optimizers write, for exports.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import onnx.version_converter
import torch
from torch import nn

_OPSET = 17


class _Reader:
    """A few batches of calibration data, as ONNX Runtime asks for them."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        self._batches = iter([inputs] * 3)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def _images() -> tuple[nn.Module, Any]:
    layers = [nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.Hardswish()]
    deeper = [nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.LeakyReLU(0.1), nn.AvgPool2d(2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.Softmax(1)]
    return nn.Sequential(*layers, *deeper, *head), torch.randn(2, 3, 17, 18)


class _Block(nn.Module):
    """Attention and two layers of a transformer, spelled out."""

    def __init__(self) -> None:
        super().__init__()
        self.queries_keys_values, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.norm, self.wide, self.narrow = nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x: Any) -> Any:
        heads = self.queries_keys_values(x).reshape(x.shape[0], 6, 3, 2, 8).permute(2, 0, 3, 1, 4)
        weights = (heads[0] @ heads[1].transpose(2, 3) / 8**0.5).softmax(3)
        x = self.norm(x + self.out((weights @ heads[2]).transpose(1, 2).reshape(x.shape)))
        return x + self.narrow(nn.functional.gelu(self.wide(x)))


def _tokens() -> tuple[nn.Module, Any]:
    return nn.Sequential(_Block(), nn.LayerNorm(16), nn.Linear(16, 7)), torch.randn(2, 6, 16)


def _sequences() -> tuple[nn.Module, Any]:
    class Sequences(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(16, 8, batch_first=True)
            self.head = nn.Linear(8, 4)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x)[0]).sigmoid()

    return Sequences(), torch.randn(2, 6, 16)


def _signals() -> tuple[nn.Module, Any]:
    layers = [nn.Conv1d(6, 8, 3, padding=2, dilation=2), nn.LeakyReLU(0.2)]
    deeper = [nn.Conv1d(8, 8, 3, groups=8), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4)]
    return nn.Sequential(*layers, *deeper), torch.randn(2, 6, 20)


def _words() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.Embedding(20, 32), nn.Linear(32, 7)), torch.randint(0, 20, (2, 6))


def _bags() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.EmbeddingBag(20, 8), nn.Linear(8, 3)), torch.randint(0, 20, (2, 6))


_NETWORKS = {"images": _images, "tokens": _tokens, "sequences": _sequences}


def quantized() -> dict[str, Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]]:
    """Return what writes a model and returns its inputs and description, by name."""
    found: dict[str, Any] = {}
    for name, network in _NETWORKS.items():
        found |= {
            f"{kind}_of_{name}": partial(_write, network, change)
            for kind, change in _CHANGES.items()
        }
    found |= {
        f"{kind}_of_tokens": partial(_write, _tokens, change)
        for kind, change in _CHANGES_OF_TOKENS.items()
    }
    found |= {
        f"{kind}_of_signals": partial(_write, _signals, change)
        for kind, change in _CHANGES_OF_SIGNALS.items()
    }
    found["four_bits_of_words"] = partial(_write, _words, _four_bits_of_embeddings)
    found["optimized_extended_of_bags"] = partial(_write, _bags, _CHANGES["optimized_extended"])
    del found["half_of_sequences"]  # ONNX Runtime ends the process
    return found


def _write(network: Any, change: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    torch.manual_seed(0)
    module, x = network()
    plain = path.with_name(f"{path.stem}.plain")
    options = {"input_names": ["x"], "opset_version": _OPSET, "dynamo": False}
    try:
        with torch.no_grad():
            torch.onnx.export(module.eval(), (x,), str(plain), dynamic_axes={"x": [0]}, **options)
        inputs = {"x": x.numpy()}
        change(plain, path, inputs)
    finally:
        plain.unlink(missing_ok=True)
    tail = "x".join(map(str, x.shape[1:]))
    shapes = {"x": ",".join(f"{rows}x{tail}" for rows in (1, 2, 8))}
    opset = next(each.version for each in onnx.load(path).opset_import if not each.domain)
    return inputs, {"exporter": "onnxruntime", "opset": opset, "is_random": False, "shapes": shapes}


def _static(plain: Path, path: Path, inputs: dict[str, Any], **options: Any) -> None:
    from onnxruntime.quantization import quantize_static

    quantize_static(plain, path, _Reader(inputs), **options)


def _static_by_operator(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization import QuantFormat

    _static(plain, path, inputs, quant_format=QuantFormat.QOperator)


def _static_by_channel(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization import QuantType

    types = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
    _static(plain, path, inputs, per_channel=True, **types)


def _static_of_shorts(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization import QuantType

    _static(plain, path, inputs, activation_type=QuantType.QUInt16)


def _static_of_four_bits(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization import QuantType

    types = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt4}
    _static(plain, path, inputs, **types)


def _static_of_unsigned_four_bits(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization import QuantType

    _static(plain, path, inputs, weight_type=QuantType.QUInt4)


def _dynamic(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(plain, path)


def _four_bits(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(onnx.load(plain), block_size=16, is_symmetric=False)
    quantizer.process()
    quantizer.model.save_model_to_file(str(path))


def _four_bits_in_qdq(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization import QuantFormat
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        DefaultWeightOnlyQuantConfig,
        MatMulNBitsQuantizer,
    )

    model = onnx.version_converter.convert_version(onnx.load(plain), 21)
    config = DefaultWeightOnlyQuantConfig(16, quant_format=QuantFormat.QDQ)
    quantizer = MatMulNBitsQuantizer(model, algo_config=config)
    quantizer.process()
    quantizer.model.save_model_to_file(str(path))


def _four_bits_of_embeddings(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    model = onnx.version_converter.convert_version(onnx.load(plain), 21)
    quantizer = MatMulNBitsQuantizer(
        model, block_size=16, is_symmetric=False, op_types_to_quantize=("MatMul", "Gather")
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(path))


def _four_bit_floats(kind: int, plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.quantization.matmul_bnb4_quantizer import MatMulBnb4Quantizer

    quantizer = MatMulBnb4Quantizer(onnx.load(plain), kind, 16)
    quantizer.process()
    quantizer.model.save_model_to_file(str(path))


def _optimized(level: str, plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(plain, options, providers=["CPUExecutionProvider"])


def _optimized_static(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    quantized = path.with_name(f"{path.stem}.quantized")
    try:
        _static(plain, quantized, inputs)
        _optimized("ORT_ENABLE_EXTENDED", quantized, path, inputs)
    finally:
        quantized.unlink(missing_ok=True)


def _optimized_transformer(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.transformers.optimizer import optimize_model

    optimize_model(str(plain), "bert", num_heads=2, hidden_size=16).save_model_to_file(str(path))


def _half(plain: Path, path: Path, inputs: dict[str, Any]) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(plain), keep_io_types=True), path)


_CHANGES = {
    "static_qdq": _static,
    "static_qdq_by_channel": _static_by_channel,
    "static_qdq_of_four_bits": _static_of_four_bits,
    "static_qdq_of_shorts": _static_of_shorts,
    "static_qoperator": _static_by_operator,
    "dynamic_quantization": _dynamic,
    "four_bits": _four_bits,
    "optimized_basic": partial(_optimized, "ORT_ENABLE_BASIC"),
    "optimized_extended": partial(_optimized, "ORT_ENABLE_EXTENDED"),
    "optimized_all": partial(_optimized, "ORT_ENABLE_ALL"),
    "optimized_as_transformer": _optimized_transformer,
    "half": _half,
}
_CHANGES_OF_TOKENS = {
    "optimized_static_qdq": _optimized_static,
    "four_bits_in_qdq": _four_bits_in_qdq,
    "four_bit_floats": partial(_four_bit_floats, 0),
    "four_bit_normal_floats": partial(_four_bit_floats, 1),
}
_CHANGES_OF_SIGNALS = {
    "static_qoperator": _static_by_operator,
    "dynamic_quantization": _dynamic,
    "static_qdq_of_unsigned_four_bits": _static_of_unsigned_four_bits,
}
