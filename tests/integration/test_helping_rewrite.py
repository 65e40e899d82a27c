"""A build that TensorRT fails begins again with the rewrite that helps."""

import onnx
import onnx.parser
import pytest

from pluginkit.engine.build import build_engine as building
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.errors import BuildError, UsageError
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice

SIGNAL = """<ir_version: 9, opset_import: ["" : 17]>
    t (float[1, 2, 8] x) => (float[1, 3, 6] y)
    <float[3, 2, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}>
    { y = Conv(x, w) }"""


#: Rows as long as the largest length, which is 1 up to the length of each.
MASK = """<ir_version: 9, opset_import: ["" : 17]>
    m (int64[2] lengths) => (bool[2, n] y)
    <int64 first = {0}, int64 step = {1}, int64[1] axis = {1}>
    { top = ReduceMax<keepdims = 0>(lengths) at = Range(first, top, step)
      ends = Unsqueeze(lengths, axis) y = Less(at, ends) }"""


class Notices(BuildObserver):
    def __init__(self):
        self.texts = []

    def notice(self, text):
        self.texts.append(text)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model whose first build fails as TensorRT does on some convolutions."""
    real, seen = building._build, []

    def build(flavour, source, *rest):
        seen.append("WidenConv" in [one.rewrite for one in source.rewrite.applied])
        if len(seen) > 1:
            return real(flavour, source, *rest)
        error = BuildError("PK521", "no engine.")
        error.rewrite = "WidenConv"
        raise error

    monkeypatch.setattr(building, "_build", build)
    onnx.save(onnx.parser.parse_model(SIGNAL), tmp_path / "signal.onnx")
    return tmp_path / "signal.onnx", seen


@pytest.fixture
def masked(tmp_path):
    """A model that fills rows up to the largest of some lengths."""
    onnx.save(onnx.parser.parse_model(MASK), tmp_path / "mask.onnx")
    return tmp_path / "mask.onnx"


def test_a_build_begins_again_with_the_rewrite_that_helps(model):
    path, seen = model
    notices = Notices()
    result = building.build_engine(path, observer=notices)
    assert seen == [False, True]
    assert result.plan_path.exists()
    assert "WidenConv is applied: without it TensorRT's builder fails." in notices.texts


@pytest.mark.parametrize("decided", ["skip", "also", "only"])
def test_a_rewrite_that_the_user_decided_on_is_not_tried(model, decided):
    path, seen = model
    with pytest.raises(BuildError):
        building.build_engine(path, choice=RewriteChoice(**{decided: ["WidenConv"]}))
    assert len(seen) == 1
    assert not path.with_suffix(".plan").exists()


def test_lengths_without_a_range_of_values_are_data(masked):
    notices = Notices()
    result = building.build_engine(masked, observer=notices)
    assert [each.rewrite for each in result.rewrite.applied] == ["DetachIntegers"]
    assert not result.profiles[0].ranges
    (notice,) = [text for text in notices.texts if "DetachIntegers" in text]
    assert "lengths[2]" in notice
    assert "add --shapes lengths:MIN,OPT,MAX" in notice


def test_a_range_of_values_is_planned_for(masked):
    result = building.build_engine(masked, shapes={"lengths": "1x1,8x6,9x9"})
    assert result.rewrite.applied == []
    assert result.profiles[0].ranges["lengths"].max == (9, 9)


def test_lengths_that_do_not_build_as_data_need_a_range(masked, monkeypatch):
    real = building._build

    def build(flavour, source, *rest):
        if source.rewrite.applied:
            raise BuildError("PK521", "no engine.")
        return real(flavour, source, *rest)

    monkeypatch.setattr(building, "_build", build)
    with pytest.raises(UsageError, match=r"PK505 input lengths\[2\]"):
        building.build_engine(masked)
