import numpy as np
import pytest

from pluginkit import Copy, Launch, float16, float32
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError, PluginkitError
from pluginkit.plugins.bit_cast import BitCast
from pluginkit.testing import run_kernels
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of

INT32, FLOAT16, BFLOAT16, UINT32 = 6, 10, 16, 12


@pytest.mark.parametrize("size", [0, 1, 255, 2**16 - 1, 2**16, 2**16 + 1021])
def test_every_word_is_copied(size):
    """From 2^16 words on by the kernel."""
    words = np.random.default_rng(1).integers(0, 2**32, size, dtype=np.uint32)
    run = run_kernels(BitCast(to=INT32), [words.view(np.float32)])
    assert run.outputs[0].dtype == np.int32
    np.testing.assert_array_equal(run.outputs[0].view(np.uint32), words)


@pytest.mark.parametrize(
    ("size", "step"),
    [(2**16 - 1, Copy), (2**16, Launch), (2**25 - 1, Launch), (2**25, Copy)],
)
def test_few_words_and_many_are_copied_by_the_driver(size, step):
    plugin = BitCast(to=INT32)
    inputs = calls.describe_inputs(plugin, [(size,)], [float32])
    (taken,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert isinstance(taken, step)


def test_every_value_of_two_bytes():
    words = np.arange(2**16, dtype=np.uint16)
    (y,) = run_kernels(BitCast(to=BFLOAT16), [words.view(np.float16)]).outputs
    np.testing.assert_array_equal(y.view(np.uint16), words)


def test_the_value_of_known_bits():
    (y,) = calls.run_reference(BitCast(to=INT32), [np.float32([1.0, -0.0])])
    assert y.tolist() == [0x3F800000, -(2**31)]


def test_types_of_another_size_are_refused():
    plugin = BitCast(to=FLOAT16)
    inputs = calls.describe_inputs(plugin, [(3,)], [float32])
    with pytest.raises(PluginkitError, match="float32 of 4 bytes, to is float16 of 2"):
        calls.output_types(plugin, inputs)


def test_types_that_a_plugin_cannot_have_are_refused():
    with pytest.raises(AttributeValueError, match=r"expected one of \[1, 6, 10, 16\]"):
        BitCast(to=UINT32)


@architectures
def test_every_kernel_compiles(arch):
    assert_kernels_compile(specialisations_of([BitCast(to=float16.onnx)]), arch)
