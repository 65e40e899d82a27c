"""The text in which a plan keeps the sizes that a plugin stated."""

import json
from typing import Any

import numpy as np
import pytest

from pluginkit import CudaKernel, Input, Launch, Output, Plugin, bfloat16, float32
from pluginkit.contract import dtypes
from pluginkit.contract.tensors import TensorDesc, slot_of
from pluginkit.errors import PlanError, TensorError
from pluginkit.trt.recorded_sizes import RecordedSizes


class Twice(Plugin):
    """y = 2 x, with a workspace."""

    types = {"T": (float32, bfloat16)}
    x = Input("T")
    y = Output("T", like="x")
    kernel = CudaKernel('extern "C" __global__ void twice() {}\n', "twice")

    def workspace_bytes(self, x: Any) -> Any:
        return x.nbytes

    def launches(self, x: Any, y: Any, workspace: Any) -> Launch:
        return Launch(self.kernel, 1, 1, (y, x, workspace))

    def reference(self, x: np.ndarray) -> np.ndarray:
        return 2 * x


def test_a_size_without_a_limit_gets_some_memory_and_larger_runs_are_refused() -> None:
    """TensorRT's bound of a size that values tell, such as a number of nodes, is 2**63 - 1."""
    sizes = RecordedSizes()
    sizes.record(Twice(), [(2**63 - 1, 4)], [float32], [(2**63 - 1, 4)])
    (needs,) = sizes
    assert needs.workspace_bytes == 2**20 * 4 * 4
    assert needs.trt_outputs == ((2**20, 4),)
    given = sizes.workspace_bytes([float32])
    sizes.check_workspace(Twice(), [tensor(2**20, 4)], given)
    with pytest.raises(TensorError, match="a size follows from values"):
        sizes.check_workspace(Twice(), [tensor(2**20 + 1, 4)], given)


def tensor(*shape: int) -> TensorDesc:
    return TensorDesc("x", shape, float32, slot_of("input", 0))


def recorded() -> RecordedSizes:
    sizes = RecordedSizes()
    sizes.record(Twice(), [(3, 0)], [float32], [(3, -1)])
    sizes.record(Twice(), [()], [bfloat16], [])
    sizes.record(Twice(), [(8,)], [bfloat16], [])
    return sizes


def test_text_gives_back_what_was_recorded() -> None:
    sizes = recorded()
    assert list(RecordedSizes.from_text(sizes.to_text(), Twice())) == list(sizes)


def test_workspaces_are_those_of_the_types() -> None:
    sizes = recorded()
    assert sizes.workspace_bytes([float32]) == 0
    assert sizes.workspace_bytes([bfloat16]) == 16
    assert sizes.workspace_bytes([float32, float32]) is None


def damaged(**changed: Any) -> str:
    (first, *_) = json.loads(recorded().to_text())
    return json.dumps([first | changed])


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "1", "[1]", '[{"shapes": [[1]]}]', "[" * 100_000,
        damaged(shapes=[[-1]]), damaged(shapes=[["a"]]), damaged(shapes=[[1.5]]),
        damaged(shapes=[[True]]), damaged(shapes=[]), damaged(shapes=3),
        damaged(dtypes=["float8"]), damaged(dtypes=[]), damaged(trt_outputs=[[-2]]),
        damaged(outputs=[]), damaged(outputs=[[[1], "float32"]] * 2), damaged(outputs=[[1]]),
        damaged(workspace_bytes=True), damaged(workspace_bytes=-1), damaged(workspace_bytes="1"),
    ],
)  # fmt: skip
def test_a_damaged_text_is_a_clear_error(text: str) -> None:
    with pytest.raises(PlanError, match="PK207 Twice: the sizes that the plan recorded"):
        RecordedSizes.from_text(text, Twice())


def test_types_have_names() -> None:
    assert [dtypes.dtype_from_name(each.name) for each in dtypes.ALL] == list(dtypes.ALL)
    with pytest.raises(TensorError, match="PK120 name float8 is not a type"):
        dtypes.dtype_from_name("float8")
