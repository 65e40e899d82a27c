import pytest

from pluginkit.engine.parse.parser_words import in_onnx_terms


@pytest.mark.parametrize(
    ("op_type", "words", "meaning"),
    [
        (
            "PRelu",
            "Assertion failed: status.is_success(): Found unsupported input type of INT32",
            "TensorRT has no PRelu of INT32.",
        ),
        (
            "ReduceL2",
            "validUnaryType: This version of TensorRT does not support the given operator SQRT "
            "with the given input data type INT64.",
            "TensorRT has no ReduceL2 of INT64.",
        ),
        (
            "Resize",
            "ITensor::getDimensions: Error Code 4: API Usage Error (y: first input has type Int32 "
            "but must have type Float, Half, BFloat16, FP8, E8M0, FP4, Int4, or Int8.",
            "TensorRT has no Resize of Int32.",
        ),
        (
            "ReduceSum",
            "Assertion failed: resolvedWeights(axesWeights): Axis input must resolve to a "
            "build-time constant (an initializer or a constant-foldable subgraph)!",
            "an input that TensorRT wants stored",
        ),
        (
            "Clip",
            "only supports floating-point, INT32, or INT64 inputs for Clip! The current input "
            "type is INT8.",
            "TensorRT has no Clip of INT8.",
        ),
        (
            "Conv",
            "INetworkDefinition::addConvolutionNd: Error Code 3: API Usage Error (Parameter check "
            "failed, condition: allDimsGtEq(kernelSize, 1) && volume(kernelSize) < "
            "maxKernelDimsProduct((kernelSize).nbDims).",
            "TensorRT needs the channels and the sizes of the kernel of each Conv",
        ),
        (
            "Upsample",
            "Error Code 2: Internal Error (Assertion !isInFlight(p.second.symbolicRep) failed.",
            "a size that Upsample makes follows from data",
        ),
        (
            "ConvTranspose",
            "IDeconvolutionLayer number of channels in `input` tensor must not be dynamic.",
            "TensorRT needs the channels and the sizes of the kernel of each ConvTranspose",
        ),
        (
            "Erfc",
            'creator && "Plugin not found, are the plugin name, version, and namespace correct?"',
            "TensorRT has no operator Erfc",
        ),
        ("", "Unknown activation type: Affine", "TensorRT has no Affine as an activation"),
        ("ReduceMax", "at least 1 dimensions are required for input.", "TensorRT has no ReduceMax"),
    ],
)
def test_the_meaning_comes_before_the_words(op_type, words, meaning):
    first, said = in_onnx_terms(op_type, words).split("\n")
    assert first.startswith(meaning)
    assert said == f"TensorRT said: {words}"


def test_words_that_nobody_knows_stay_as_they_are():
    assert in_onnx_terms("Relu", "something new") == "something new"


@pytest.mark.parametrize(
    ("op_type", "origin"),
    [
        ("CumProd", "pluginkit spells out some of its forms, or has a plugin for them"),
        ("BiasDropout", "begin a plugin. If ONNX Runtime's optimizer has made it of other nodes"),
        ("linalg_qr", "begin a plugin. If it is a function of PyTorch, which torch.onnx.export("),
    ],
)
def test_an_operator_that_tensorrt_lacks_is_one_of_onnx_or_not(op_type, origin):
    words = 'creator && "Plugin not found, are the plugin name, version, and namespace correct?"'
    assert origin in in_onnx_terms(op_type, words)
