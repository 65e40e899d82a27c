"""A build that TensorRT fails begins again with the rewrite that helps."""

import onnx
import onnx.parser
import pytest

from pluginkit.engine.build import build_engine as building
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.errors import BuildError
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice

SIGNAL = """<ir_version: 9, opset_import: ["" : 17]>
    t (float[1, 2, 8] x) => (float[1, 3, 6] y)
    <float[3, 2, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}>
    { y = Conv(x, w) }"""


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
