from typing import Any

import numpy as np
import pytest

from pluginkit import (
    Case,
    Copy,
    Input,
    InputError,
    Output,
    Plugin,
    attribute,
    ceil_div,
    float16,
    float32,
    int32,
    int64,
)
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.contract import calls
from pluginkit.contract.dims import InputDim, evaluate
from pluginkit.errors import KernelError, TensorError


class Tile(Plugin):
    """Two outputs, an optional input, a workspace, and whatever ``wrong`` tells it to return."""

    types = {"T": (float32, float16), "I": (int32, int64)}
    wrong: str = attribute(default="")
    x = Input("T", ranks=(1, 2))
    index = Input("I", optional=True)
    other = Input("T", optional=True)
    y = Output("T")
    count = Output(int64)

    def check(self, x, index, other):
        if x.shape[0] > 1000:
            raise InputError("too many rows.", code="rows")

    def output_shapes(self, x, index, other):
        returned = {
            "one": x.shape,
            "none": None,
            "negative": ((-1,), ()),
            "float": ((1.5,), ()),
            "deep": (((1,),), ()),
        }
        return returned.get(
            self.wrong, ((x.shape[0] * 2, *x.shape[1:]), (ceil_div(x.shape[0], 4),))
        )

    def workspace_bytes(self, x, index, other):
        return {"float": 1.5, "negative": -1, "bool": True}.get(self.wrong, x.nbytes)

    def launches(self, x, index, other, y, count, workspace):
        return "nonsense" if self.wrong == "launches" else [Copy(workspace, x)]

    def reference(self, x, index, other):
        count = np.zeros(-(-x.shape[0] // 4), np.int64)
        if self.wrong == "dtype":
            count = count.astype(np.int32)
        y = np.concatenate([x, x])
        return y if self.wrong == "one" else (y, count) if self.wrong != "shape" else (x, count)


def described(plugin: Plugin | None = None, *shapes: Any, dtypes: Any = None) -> calls.Inputs:
    plugin = plugin or Tile()
    present = sum(plugin.present)
    shapes = shapes or ((8, 3),) * present
    return calls.describe_inputs(plugin, shapes, dtypes or [float32, int32, float32][:present])


def test_inputs_are_described_by_their_declared_names() -> None:
    x, index, other = described(
        Tile().with_inputs("x", "other"), (4,), (5,), dtypes=[float16, float16]
    )
    assert (x.name, x.shape, x.dtype, x.slot.index) == ("x", (4,), float16, 0)
    assert index is None
    assert (other.name, other.slot.index) == ("other", 1)


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(TensorError, match="PK111 Tile: got 1 inputs; expected 3: x, index, other"):
        calls.describe_inputs(Tile(), [(1,)], [float32])
    with pytest.raises(
        TensorError, match="PK112 Tile: input 'index' is float32; expected int32, int64"
    ):
        described(dtypes=[float32, float32, float32])
    with pytest.raises(
        TensorError,
        match=r"PK112 .*'other' is float16; expected float32, the type 'T' of input 'x'",
    ):
        described(dtypes=[float32, int32, float16])
    with pytest.raises(TensorError, match=r"PK112 .* has rank 3; expected 1 to 2"):
        described(Tile(), (1, 2, 3), (1,), (1,))


def test_dtypes_can_be_asked_for_a_prefix() -> None:
    assert calls.dtypes_are_allowed(Tile(), [float16])
    assert calls.dtypes_are_allowed(Tile(), [float16, int64, float16])
    assert not calls.dtypes_are_allowed(Tile(), [float16, int64, float32])
    assert calls.first_dtypes(Tile().with_inputs("x", "other")) == [float32, float32]


def test_outputs_follow_from_inputs() -> None:
    y, count = calls.describe_outputs(Tile(), described())
    assert (y.name, y.shape, y.dtype) == ("y", (16, 3), float32)
    assert (count.name, count.shape, count.dtype, count.slot.index) == ("count", (2,), int64, 1)


def test_unknown_dimensions_go_through_the_same_functions() -> None:
    inputs = described(Tile(), (InputDim(0, 0), 3), (1,), (1,))
    calls.check(Tile(), inputs)  # its question about the unknown dimension is put off
    y, count = calls.describe_outputs(Tile(), inputs)
    assert [evaluate(dim, [(9, 3)]) for dim in (*y.shape, *count.shape)] == [18, 3, 3]


def test_a_check_that_fails_is_raised_once_shapes_are_known() -> None:
    with pytest.raises(InputError, match="^Tile/rows: too many rows.$") as caught:
        calls.check(Tile(), described(Tile(), (1001,), (1,), (1,)))
    assert caught.value.code == "Tile/rows"


class Refuses(Plugin):
    """Raises ``error`` in the method that ``where`` names."""

    where: str = attribute()
    x = Input(float32)
    y = Output(float32)
    error = InputError

    def _refuse(self, method: str) -> None:
        if method == self.where:
            raise self.error("no.")

    def check(self, x):
        self._refuse("check")

    def output_types(self, x):
        self._refuse("output_types")
        return float32

    def output_shapes(self, x):
        self._refuse("output_shapes")
        return x.shape

    def workspace_bytes(self, x):
        self._refuse("workspace_bytes")
        return 4

    def launches(self, x, y, workspace):
        self._refuse("launches")
        return [Copy(y, x)]

    def reference(self, x):
        self._refuse("reference")
        return x


def run_all(plugin: Plugin) -> None:
    x = np.zeros(2, np.float32)
    inputs = calls.describe_arrays(plugin, [x])
    calls.check(plugin, inputs)
    calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    calls.run_reference(plugin, [x])


@pytest.mark.parametrize(
    "where",
    ["check", "output_types", "output_shapes", "workspace_bytes", "launches", "reference"],
)
def test_a_refusal_of_any_method_has_the_plugins_name(where: str) -> None:
    with pytest.raises(InputError, match=r"^Refuses: no\.$"):
        run_all(Refuses(where=where))
    run_all(Refuses(where="nowhere"))


def test_a_value_error_of_check_is_a_refusal() -> None:
    class Plain(Refuses):
        error = ValueError

    with pytest.raises(InputError, match=r"^Plain: no\.$") as caught:
        run_all(Plain(where="check"))
    assert type(caught.value.__cause__) is ValueError
    with pytest.raises(ValueError, match=r"^no\.$") as plain:  # numpy raises it for its own reasons
        run_all(Plain(where="reference"))
    assert type(plain.value) is ValueError


def test_pluginkits_own_errors_pass_through_check() -> None:
    class Own(Refuses):
        def check(self, x):
            x.axis(1)

    with pytest.raises(TensorError, match="^PK126"):
        run_all(Own(where="check"))


@pytest.mark.parametrize("wrong", ["one", "none", "negative", "float", "deep"])
def test_wrong_shapes_are_refused(wrong: str) -> None:
    with pytest.raises(
        TensorError, match="PK114 Tile.output_shapes returned .*expected 2 shapes, for y, count"
    ):
        calls.describe_outputs(Tile(wrong=wrong), described())


@pytest.mark.parametrize("wrong", ["float", "negative", "bool"])
def test_wrong_workspace_is_refused(wrong: str) -> None:
    with pytest.raises(TensorError, match="PK115 Tile.workspace_bytes returned"):
        calls.workspace_bytes(Tile(wrong=wrong), described())
    assert calls.workspace_bytes(Tile(), described()) == 96


def test_launches_get_a_workspace_of_the_declared_size() -> None:
    inputs = described()
    (step,) = calls.steps(Tile(), inputs, calls.describe_outputs(Tile(), inputs))
    assert step.target.nbytes == 96
    with pytest.raises(KernelError, match="PK116"):
        calls.steps(Tile(wrong="launches"), inputs, calls.describe_outputs(Tile(), inputs))


def test_the_reference_is_checked_against_the_declaration() -> None:
    x, index, other = np.ones((8, 3), np.float32), np.zeros(1, np.int32), np.zeros(1, np.float32)
    y, count = calls.run_reference(Tile(), [x, index, other])
    assert y.shape == (16, 3)
    assert count.dtype == np.int64
    for wrong, message in (
        ("one", "returned 1 outputs"),
        ("dtype", "count is int32"),
        ("shape", r"y is float32\[8, 3\]"),
    ):
        if wrong == "one":
            continue
        with pytest.raises(TensorError, match=f"PK117 Tile.reference: {message}"):
            calls.run_reference(Tile(wrong=wrong), [x, index, other])


@pytest.mark.parametrize("returned", [None, 2.5])
def test_a_reference_that_returns_no_array(returned: float | None) -> None:
    class Forgetful(Tile):
        """Its reference has no return."""

        def reference(self, x, index, other):
            return returned

    inputs = [np.ones((8, 3), np.float32), np.zeros(1, np.int32), np.zeros(1, np.float32)]
    with pytest.raises(TensorError, match=f"PK117 Forgetful.reference returned {returned}; exp"):
        calls.run_reference(Forgetful(), inputs)


def test_a_check_that_returns_its_answer() -> None:
    class Answers(Tile):
        """Takes what check returns for a refusal."""

        def check(self, x, index, other):
            return len(x.shape) == 1

    with pytest.raises(TensorError, match=r"PK130 Answers.check returned False; expected None"):
        calls.check(Answers(), described())


class Chooses(Plugin):
    """The output's type is the plugin's own choice."""

    to: str = attribute(default="int64")
    x = Input(float32)
    y = Output((int32, int64))

    def output_types(self, x):
        return {"int64": int64, "int32": int32}.get(self.to, float16)

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        return []

    def reference(self, x):
        return x.astype(self.to)


def test_output_types_can_be_the_plugins_own() -> None:
    inputs = calls.describe_inputs(Chooses(), [(2,)], [float32])
    assert calls.output_types(Chooses(to="int32"), inputs) == (int32,)
    with pytest.raises(
        TensorError, match="PK113 Chooses.output_types returned .*expected y: int32, int64"
    ):
        calls.output_types(Chooses(to="float16"), inputs)


class Averages(Plugin):
    """A plugin whose attribute rules out integers."""

    types = {"T": (float32, int32)}
    rounds: bool = attribute(default=False)
    x = Input("T")
    y = Output("T")

    def output_types(self, x):
        if not (self.rounds or x.dtype.is_floating):
            raise InputError("integers have no averages.")
        return x.dtype

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        return [Copy(y, x)]

    def reference(self, x):
        return x


@pytest.mark.parametrize(
    ("rounds", "dtype", "is_refused"),
    [(False, float32, False), (False, int32, True), (True, int32, False)],
)
def test_attributes_may_rule_out_types(rounds, dtype, is_refused) -> None:
    plugin = Averages(rounds=rounds)
    assert calls.refuses_types(plugin, calls.describe_inputs(plugin, [(2,)], [dtype])) == is_refused


def test_returning_a_wrong_type_is_no_refusal() -> None:
    plugin = Chooses(to="float16")
    inputs = calls.describe_inputs(plugin, [(2,)], [float32])
    assert not calls.refuses_types(plugin, inputs)


def test_types_that_no_case_takes_are_found() -> None:
    def untaken(*rounds: bool) -> list[str]:
        x = np.zeros(2, np.float32)
        cases = [Case(str(each), [x], {"rounds": each}) for each in rounds]
        subject = Subject(Averages, cases)
        assert len(list(subject.calls())) == 2 * len(rounds) - rounds.count(False)
        return subject.untaken_types()

    assert untaken(False) == ["T=int32"]
    assert untaken(True) == untaken(False, True) == []


def test_a_scalar_output_is_one_empty_shape() -> None:
    class Sum(Chooses):
        def output_shapes(self, x):
            return ()

    inputs = calls.describe_inputs(Sum(), [(2,)], [float32])
    assert calls.describe_outputs(Sum(), inputs)[0].shape == ()
