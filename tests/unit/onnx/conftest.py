import pytest

from tests.unit.onnx.models import MODELS


@pytest.fixture(params=["sage_dyn", "sage_ts"])
def sage(request):
    return MODELS / f"{request.param}.onnx"
