"""A folder that cannot be written is refused before the work, with what is in its place."""

import pytest

from pluginkit.engine.deploy.write_folder import check_folder
from pluginkit.errors import UsageError


@pytest.mark.parametrize("inside", ["", "deploy", "deploy/gpu"])
def test_a_file_in_the_place_of_a_folder_is_named(inside, tmp_path):
    file = tmp_path / "model.onnx"
    file.write_text("")
    with pytest.raises(UsageError, match=r"PK525 .*/model\.onnx is a file; expected a folder\."):
        check_folder(file / inside)


def test_a_folder_that_can_be_made_passes(tmp_path):
    check_folder(tmp_path / "deploy" / "gpu")
    assert list(tmp_path.iterdir()) == []
