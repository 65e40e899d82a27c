"""Numbers that kernels divide by are multiplied by."""

import pytest

from pluginkit.plugins._cuda.division import divisor_numbers

_LIMIT = 2**31


@pytest.mark.parametrize(
    "count", [*range(1, 40), 127, 641, 65535, 65537, 10**6 + 3, 2**30 - 1, 2**30 + 1, 2**31 - 1]
)
def test_quotients_below_2_31_are_exact(count):
    _, packed = divisor_numbers(count)
    shift, factor = divmod(packed, 2**32)
    most = (_LIMIT - 1) // count * count
    for number in {0, 1, count - 1, count, most - 1, most, _LIMIT - 2, _LIMIT - 1} - {_LIMIT}:
        assert 2 * number * factor >> 32 >> shift == number // count


@pytest.mark.parametrize(("count", "divides"), [(0, 1), (2**40, 2**40)])
def test_numbers_that_are_not_multiplied_by(count, divides):
    """Nothing is divided by 0, and 64-bit numbers are divided by the count itself."""
    found, packed = divisor_numbers(count)
    assert found == divides
    assert packed < 2**63
