"""Default ranges that a model rules out; the model is a function that refuses profiles."""

from collections.abc import Callable, Sequence

import pytest

from pluginkit.engine.build.fit_profiles import build_with_fitting_defaults
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.errors import BuildError
from pluginkit.onnx.inference.network_inputs import NetworkInput

TEXT = NetworkInput("ids", ("batch", "seq"))
AUDIO = NetworkInput("audio", ("batch", "samples"))
NODES = NetworkInput("x", ("n", 4))

#: Returns what is wrong with shapes: the node, the condition and the two sizes.
Model = Callable[[dict[str, tuple[int, ...]]], tuple[str, str, int, int] | None]


def build_of(model: Model, tried: list[OptimizationProfile]) -> Callable[..., bytes]:
    def build(profiles: Sequence[OptimizationProfile]) -> bytes:
        tried.extend(profiles)
        for at, end in ((1, "kOPT"), (0, "kMIN"), (2, "kMAX")):
            shapes = {name: tuple([*extent][at]) for name, extent in profiles[0].ranges.items()}
            wrong = model(shapes)
            if wrong is not None:
                node, condition, a, b = wrong
                raise BuildError(
                    "PK521",
                    "tensorrt_rtx built no engine.",
                    cause=f"Error Code 4: Internal Error ({end} values for profile 0 violate shape "
                    f"constraints: {node}: some words. Condition '{condition}' violated: "
                    f"{a} {'!=' if condition == '==' else '>='} {b}. In operator() at x.cpp:640)",
                )
        return b"plan"

    return build


def fitted(
    inputs: list[NetworkInput], model: Model, shapes: dict[str, str] | None = None
) -> dict[str, list[tuple[int, ...]]]:
    plan, (profile,) = build_with_fitting_defaults(inputs, shapes or {}, build_of(model, []))
    assert plan == b"plan"
    return {name: [*extent] for name, extent in profile.ranges.items()}


def test_a_profile_that_builds_is_not_changed() -> None:
    assert fitted([TEXT], lambda _: None) == {"ids": [(1, 1), (4, 64), (16, 1024)]}


def test_a_size_that_must_be_equal_to_another_becomes_the_only_one() -> None:
    def model(shapes: dict[str, tuple[int, ...]]) -> tuple[str, str, int, int] | None:
        seq = shapes["ids"][1]
        return None if seq == 16 else ("/embeddings/Add", "==", seq, 16)

    assert fitted([TEXT], model) == {"ids": [(1, 16), (4, 16), (16, 16)]}


def test_a_size_that_is_too_small_grows_and_the_batch_stays() -> None:
    def model(shapes: dict[str, tuple[int, ...]]) -> tuple[str, str, int, int] | None:
        return None if shapes["audio"][1] >= 400 else ("/conv", "<", 1, 1)

    low, opt, high = fitted([AUDIO], model)["audio"]
    assert (low[0], opt[0], high[0]) == (1, 4, 16)
    assert 400 <= low[1] <= opt[1] <= high[1]


def test_two_constraints_are_met_one_after_the_other() -> None:
    def model(shapes: dict[str, tuple[int, ...]]) -> tuple[str, str, int, int] | None:
        batch, seq = shapes["ids"]
        if seq != 77:
            return "/a/Add", "==", seq, 77
        return None if batch == 2 else ("/b/Add", "==", batch, 2)

    assert fitted([TEXT], model) == {"ids": [(2, 77)] * 3}


def test_what_the_user_gave_is_never_changed() -> None:
    def model(shapes: dict[str, tuple[int, ...]]) -> tuple[str, str, int, int] | None:
        seq = shapes["ids"][1]
        return None if seq == 16 else ("/embeddings/Add", "==", seq, 16)

    tried: list[OptimizationProfile] = []
    with pytest.raises(BuildError, match="PK521") as caught:
        build_with_fitting_defaults([TEXT], {"ids": "?x64"}, build_of(model, tried))
    assert {opt[1] for each in tried for opt in each.ranges["ids"]} == {64}
    assert "The default ranges of ids[batch, seq] do not fit" in str(caught.value.cause)
    assert "--shapes ids:NxN" in str(caught.value.fix)


def test_a_plugin_that_refuses_a_small_size_gets_a_larger_minimum() -> None:
    def build(profiles: Sequence[OptimizationProfile]) -> bytes:
        low = profiles[0].ranges["x"].min[0]
        if low < 5:
            raise BuildError(
                "PK522",
                f"ScatterElements refuses the profile's min shapes x [{low}, 4].",
                where="node 's'",
                cause=f"PK140 indices (5, 4) exceed data ({low}, 4).",
            )
        return b"plan"

    _, (profile,) = build_with_fitting_defaults([NODES], {}, build)
    assert [*profile.ranges["x"]] == [(5, 4), (64, 4), (1024, 4)]


def test_an_error_about_something_else_is_raised_at_once() -> None:
    tried: list[OptimizationProfile] = []

    def build(profiles: Sequence[OptimizationProfile]) -> bytes:
        tried.extend(profiles)
        raise BuildError("PK521", "built no engine.", cause="Myelin has no tactic")

    with pytest.raises(BuildError) as caught:
        build_with_fitting_defaults([TEXT], {}, build)
    assert len(tried) == 1
    assert caught.value.cause == "Myelin has no tactic"


def test_the_search_ends() -> None:
    tried: list[OptimizationProfile] = []
    numbers = iter(range(2, 10**6))
    with pytest.raises(BuildError, match="PK521"):
        build_with_fitting_defaults(
            [TEXT, AUDIO],
            {},
            build_of(lambda _: (f"/node{next(numbers)}", "==", next(numbers), 64), tried),
        )
    assert 2 < len(tried) <= 25
