import math

import numpy as np
import pytest

from pluginkit.contract import calls
from pluginkit.device.ptx_device import PtxDevice
from pluginkit.plugins import random_numbers
from pluginkit.plugins.random_numbers import RandomNumbers
from pluginkit.plugins.random_numbers.reference import philox
from pluginkit.testing import run_kernels
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of

#: Counters, keys and words of philox4x32-10 from kat_vectors of Random123.
KNOWN_ANSWERS = (
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
)

#: A number of samples, and the chance that a right generator fails one of the tests below.
COUNT, CHANCE = 40_000, 1e-6


def words(text):
    return [int(each, 16) for each in text.split()]


def assert_follows_a_clock(findings, *, is_seeded):
    """Without a seed the numbers follow from a clock, and the PTX machine says so."""
    assert {each.kind for each in findings} == (set() if is_seeded else {"unrepeatable"})


def drawn(count=COUNT, affine=(1, 0), **attributes):
    inputs = [np.array(affine, np.float32), np.array([count])]
    run = run_kernels(RandomNumbers(**attributes), inputs)
    assert_follows_a_clock(run.findings, is_seeded=attributes.get("seed") is not None)
    return run.outputs[0]


@pytest.mark.parametrize("answer", KNOWN_ANSWERS, ids=["zeros", "ones", "digits of pi"])
def test_words_are_those_of_random123(answer):
    counter, key, expected = map(words, answer)
    assert philox(np.array([counter]), tuple(key)).tolist() == [expected]


def test_the_kernel_gives_the_known_words():
    first = np.array(words(KNOWN_ANSWERS[0][2])) >> 8  # of the counter 0 with the key 0
    np.testing.assert_array_equal(drawn(3, seed=0), first[:3] / 2**24)


def largest_gap(numbers, distribution):
    """The statistic of Kolmogorov and Smirnov: how far the numbers are from a distribution."""
    expected, count = distribution(np.sort(numbers.astype(np.float64))), len(numbers)
    steps = np.arange(count + 1) / count
    return max((steps[1:] - expected).max(), (expected - steps[:-1]).max())


def normal_distribution(x):
    return np.array([math.erfc(-each / math.sqrt(2)) / 2 for each in x])


@pytest.mark.parametrize("seed", [5, None])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_numbers_are_distributed_as_they_should_and_do_not_follow_from_each_other(
    distribution, seed
):
    numbers = drawn(seed=seed, distribution=distribution)
    # Dvoretzky, Kiefer, Wolfowitz and Massart: P(gap > e) <= 2 exp(-2 n e^2).
    bound = math.sqrt(math.log(2 / CHANCE) / (2 * COUNT))
    integral = {"uniform": lambda x: x, "normal": normal_distribution}[distribution]
    assert largest_gap(numbers, integral) < bound
    # The correlation of independent numbers is nearly normal, with a deviation of 1 / sqrt(n).
    for distance in (1, 2, 4, 1024):
        correlation = np.corrcoef(numbers[distance:], numbers[:-distance])[0, 1]
        assert abs(correlation) < 4.9 / math.sqrt(COUNT - distance)  # P(|normal| > 4.9) = 1e-6


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_a_seed_gives_the_same_numbers_of_every_count_and_other_seeds_give_others(distribution):
    numbers = drawn(1003, seed=9, distribution=distribution)
    np.testing.assert_array_equal(drawn(70, seed=9, distribution=distribution), numbers[:70])
    for other in (10, -9, 9 + 2**32):
        assert (drawn(1003, seed=other, distribution=distribution) == numbers).sum() < 3


def test_without_a_seed_no_two_runs_on_a_device_give_the_same():
    device, plugin, count = PtxDevice(lambda: None), RandomNumbers(), 5003
    given = [np.float32([1, 0]), np.array([count])]
    inputs = calls.describe_arrays(plugin, given)
    affine, y = device.buffer("affine", 8, is_input=True), device.buffer("y", 4 * count)
    affine.write(given[0].tobytes())
    prepared = device.prepare(plugin, inputs, calls.describe_outputs(plugin, inputs))
    runs = []
    for _ in range(3):
        prepared.enqueue([affine.pointer], [y.pointer], 0, 0)
        runs.append(np.frombuffer(y.read(), np.float32))
    assert_follows_a_clock(device.findings, is_seeded=False)
    equal = sum((a == b).sum() for a, b in zip(runs, [*runs[1:], runs[0]], strict=True))
    # 2^24 numbers are possible: equal ones are Poisson, with a mean of 3 * 5003 / 2^24 < 0.001.
    assert equal < 3
    assert len(np.unique(runs[0])) > 4990


def test_numbers_are_multiplied_and_added_to():
    given = drawn(7, seed=1)
    np.testing.assert_array_equal(drawn(7, seed=1, affine=(4, -2)), given * 4 - np.float32(2))


@pytest.mark.parametrize("seed", [3, None])
@pytest.mark.parametrize("count", [2048, 5003])
def test_threads_that_make_many_numbers_make_those_of_threads_that_make_four(
    monkeypatch, count, seed
):
    numbers = drawn(count, seed=seed)
    monkeypatch.setattr(random_numbers, "_FEW", 0)
    many = drawn(count, seed=seed)
    if seed is None:
        assert len(np.unique(many)) > count - 13
    else:
        np.testing.assert_array_equal(many, numbers)


def test_few_numbers_have_a_thread_for_each_vector_of_four():
    plugin = RandomNumbers(seed=1)
    inputs = calls.describe_arrays(plugin, [np.float32([1, 0]), np.array([11_183])])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert 4 * launch.grid * launch.block >= 11_183 > 4 * (launch.grid - 1) * launch.block


@architectures
def test_every_kernel_compiles(arch):
    assert_kernels_compile(specialisations_of([RandomNumbers()]), arch)
