"""What adapters check of a profile."""

from types import SimpleNamespace

import pytest

from pluginkit.contract.dtypes import float32, int64
from pluginkit.errors import TensorError
from pluginkit.plugins.scatter_nd import ScatterND
from pluginkit.trt.adapter import AdapterCore
from pluginkit.trt.profile_shapes import check_profile

NO_LIMIT = 2**63 - 1


def checked(*bounds):
    """Check a profile: min, opt and max of data, indices and updates."""
    core = AdapterCore(ScatterND(reduction="add"), SimpleNamespace(), None)
    inputs = [SimpleNamespace(min=low, opt=opt, max=high) for low, opt, high in bounds]
    check_profile(core, inputs, inputs[:1], [float32, int64, float32])


def test_lengths_that_are_equal_at_opt_may_have_bounds_of_their_own():
    """As of indices whose number data decide, and of as many updates that an input has."""
    checked(((2,), (5,), (9,)), ((0, 1), (14, 1), (NO_LIMIT, 1)), ((7,), (14,), (56,)))


@pytest.mark.parametrize("updates", [((7,), (13,), (56,)), ((7, 1), (14, 1), (56, 1))])
def test_lengths_that_differ_at_opt_are_refused(updates):
    with pytest.raises(TensorError, match=r"updates float32.*expected updates of shape") as caught:
        checked(((2,), (5,), (9,)), ((0, 1), (14, 1), (99, 1)), updates)
    assert "the profile's min shapes [2], [0, 1], [7" in str(caught.value)


def test_a_size_without_a_limit_is_named():
    with pytest.raises(TensorError, match="input 'updates', of whose size TensorRT") as caught:
        checked(((2,), (5,), (9,)), ((0, 1), (14, 1), (99, 1)), ((7,), (13,), (NO_LIMIT,)))
    assert "torch.where" in caught.value.fix
