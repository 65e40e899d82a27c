"""What adapters check of a profile."""

from types import SimpleNamespace

import pytest

from pluginkit.contract.dtypes import float32, int64
from pluginkit.errors import TensorError
from pluginkit.plugins.scatter_nd import ScatterND
from pluginkit.trt.adapter import AdapterCore


def check_profile(*ends):
    """Check a profile by its ends, each with the shapes of data, indices and updates."""
    core = AdapterCore(ScatterND(reduction="add"), SimpleNamespace(), None)
    core.check_profile(
        [(end, shapes, [shapes[0]]) for end, shapes in ends], [float32, int64, float32]
    )


@pytest.mark.parametrize("opt", [14, 2**31 - 1])
def test_sizes_of_which_no_bound_is_known_are_not_checked(opt):
    """As of indices whose number data decide, of as many updates as an input has."""
    ends = [
        ("min", [(2,), (0, 1), (7,)]),
        ("opt", [(5,), (opt, 1), (14,)]),
        ("max", [(9,), (2**63 - 1, 1), (56,)]),
    ]
    check_profile(*ends)
    with pytest.raises(TensorError, match="expected updates of shape"):
        check_profile(*ends[:2])


def test_an_optimum_that_tensorrt_guesses_need_not_fit_between_ends_that_do():
    """As of updates that a Split by data makes, whose sizes TensorRT does not add up."""
    opt = ("opt", [(5,), (28, 1), (6,)])
    most = ("max", [(9,), (99, 1), (99,)])
    check_profile(("min", [(3,), (6, 1), (6,)]), opt, most)
    with pytest.raises(TensorError, match="expected updates of shape"):
        check_profile(("min", [(3,), (-1, 1), (6,)]), opt, most)


def test_an_end_that_does_not_fit_is_refused():
    with pytest.raises(TensorError, match=r"updates float32.*expected updates of shape") as caught:
        check_profile(("min", [(2,), (0, 1), (7,)]), ("max", [(9,), (99, 1), (99,)]))
    assert "the profile's min shapes [2], [0, 1], [7]" in str(caught.value)
