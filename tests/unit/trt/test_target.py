import pytest

from pluginkit.errors import UsageError
from pluginkit.trt.target import Target, installed_target, target_from_text


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("tensorrt", Target("tensorrt")),
        ("tensorrt:10.16", Target("tensorrt", (10, 16))),
        ("tensorrt_rtx:1.7.1.116", Target("tensorrt_rtx", (1, 7, 1, 116))),
    ],
)
def test_targets_are_read(text, target):
    assert target_from_text(text) == target
    assert str(target) == text.replace(":", " ")


@pytest.mark.parametrize("text", ["", "trt", "tensorrt:", "tensorrt:new", ":10", "tensorrt 10"])
def test_what_is_no_target_is_an_error(text):
    with pytest.raises(UsageError, match="PK600"):
        target_from_text(text)


@pytest.mark.parametrize(
    ("text", "oldest"),
    [
        ("tensorrt:8.6", "tensorrt 10.16"),
        ("tensorrt:10.3", "tensorrt 10.16"),
        ("tensorrt:10.15.9", "tensorrt 10.16"),
        ("tensorrt:9", "tensorrt 10.16"),
        ("tensorrt_lean:10.8", "tensorrt_lean 10.16"),
        ("tensorrt_rtx:1.3.9", "tensorrt_rtx 1.4"),
    ],
)
def test_a_target_that_is_not_supported_is_refused(text, oldest):
    with pytest.raises(UsageError, match="PK602") as caught:
        target_from_text(text)
    assert f"expected {oldest} or newer" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["tensorrt:10", "tensorrt:10.16", "tensorrt:11.4", "tensorrt_rtx:1"]
)
def test_the_oldest_target_and_a_major_version_are_taken(text):
    assert str(target_from_text(text)) == text.replace(":", " ")


def test_a_target_reaches_what_came_before_it():
    since = {"tensorrt": "10.16"}
    assert Target("tensorrt", (10, 16, 1)).reaches(since)
    assert Target("tensorrt", (11,)).reaches(since)
    assert not Target("tensorrt", (10, 15, 9)).reaches(since)
    assert not Target("tensorrt").reaches(since)
    assert not Target("tensorrt_rtx", (99,)).reaches(since)


def test_the_installed_target_is_the_flavour_that_would_be_imported(monkeypatch):
    versions = {"tensorrt_rtx": "1.7.1.116", "tensorrt_lean": "11.4.0"}
    monkeypatch.setattr("pluginkit.trt.target.installed_flavours", lambda: list(versions))
    monkeypatch.setattr("pluginkit.trt.target.installed_version", versions.get)
    monkeypatch.delenv("PLUGINKIT_TENSORRT", raising=False)
    assert installed_target() == Target("tensorrt_rtx", (1, 7, 1, 116))
    assert installed_target("tensorrt_lean") == Target("tensorrt_lean", (11, 4, 0))
    monkeypatch.setenv("PLUGINKIT_TENSORRT", "tensorrt_lean")
    assert installed_target() == Target("tensorrt_lean", (11, 4, 0))
    monkeypatch.setattr("pluginkit.trt.target.installed_flavours", list)
    assert installed_target() is None
