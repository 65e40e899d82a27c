from types import SimpleNamespace

import pytest

from pluginkit.device.gpus import Gpu
from pluginkit.engine.build import compute_capabilities
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.engine.build.compute_capabilities import choose_capabilities, parse_capability
from pluginkit.errors import MissingDependencyError, UsageError
from pluginkit.trt.flavour import Flavour

_SUPPORTED = SimpleNamespace(NONE=0, CURRENT=1, SM75=2, SM86=3, SM89=4, SM120=5)
RTX = Flavour("tensorrt_rtx", SimpleNamespace(ComputeCapability=_SUPPORTED), "1.7")
FULL = Flavour("tensorrt", SimpleNamespace(), "10.16")


class Notices(BuildObserver):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)


def has_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None) -> None:
    gpu = None if capability is None else Gpu("GPU", capability, 2**30)
    monkeypatch.setattr(compute_capabilities, "find_gpu", lambda: gpu)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8.9", (8, 9)), ("89", (8, 9)), ("sm_120", (12, 0)), (" SM75 ", (7, 5)), ("12.1", (12, 1))],
)
def test_a_capability_is_read_in_each_notation(text: str, expected: tuple[int, int]) -> None:
    assert parse_capability(text) == expected


@pytest.mark.parametrize("text", ["", "8", "8.90", "ada", "8,9", "1234", "-8.9"])
def test_other_text_is_no_capability(text: str) -> None:
    with pytest.raises(UsageError, match="PK512"):
        parse_capability(text)


def test_the_requested_ones_are_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    has_gpu(monkeypatch, (8, 6))
    chosen = choose_capabilities(RTX, ((12, 0), "8.9", (12, 0), "12.0"), Notices())
    assert chosen == ((12, 0), (8, 9))


def test_an_unsupported_one_lists_the_supported_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    has_gpu(monkeypatch, None)
    with pytest.raises(
        UsageError, match=r"PK512.*9\.0 here; expected one of 7\.5, 8\.6, 8\.9, 12\.0"
    ):
        choose_capabilities(RTX, ((9, 0),), Notices())


def test_this_machines_gpu_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    has_gpu(monkeypatch, (8, 6))
    notices = Notices()
    assert choose_capabilities(RTX, (), notices) == ((8, 6),)
    assert notices.texts == []


@pytest.mark.parametrize(("here", "why"), [(None, "no GPU here"), ((9, 0), "lacks this GPU's 9.0")])
def test_without_a_usable_gpu_the_choice_is_said(
    monkeypatch: pytest.MonkeyPatch, here: tuple[int, int] | None, why: str
) -> None:
    has_gpu(monkeypatch, here)
    notices = Notices()
    assert choose_capabilities(RTX, (), notices) == ((8, 6), (8, 9), (12, 0))
    assert len(notices.texts) == 1
    assert "8.6, 8.9, 12.0" in notices.texts[0]
    assert why in notices.texts[0]


def test_full_tensorrt_builds_for_the_gpu_at_hand_only(monkeypatch: pytest.MonkeyPatch) -> None:
    has_gpu(monkeypatch, (9, 0))
    assert choose_capabilities(FULL, (), Notices()) == ((9, 0),)
    with pytest.raises(UsageError, match="PK512"):
        choose_capabilities(FULL, ((8, 9),), Notices())


def test_full_tensorrt_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    has_gpu(monkeypatch, None)
    with pytest.raises(MissingDependencyError, match="PK511") as caught:
        choose_capabilities(FULL, (), Notices())
    assert "tensorrt_rtx" in str(caught.value.fix)
