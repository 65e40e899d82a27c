import numpy as np
import onnx
import pytest
from onnx import TensorProto

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_bit_cast import ReplaceBitCast
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import node_model

BITS = [0x3F800000, 0x7FC00001, 0x80000000, 1]


def model_of(dtype, to):
    return node_model("BitCast", {"x": np.array(BITS, np.uint32).view(dtype)}, opset=26, to=to)


@pytest.mark.parametrize(
    ("dtype", "to", "expected_dtype"),
    [(np.float32, TensorProto.INT32, np.int32), (np.int32, TensorProto.FLOAT, np.float32)],
)
def test_every_bit_is_kept(dtype, to, expected_dtype, tmp_path):
    model = model_of(dtype, to)
    result = rewrite_model(model, [ReplaceBitCast])
    assert [node.op_type for node in result.model.graph.node] == ["BitCast_PK"]
    assert rewrite_model(result.model, [ReplaceBitCast]).applied == []
    feeds = {"x": np.array(BITS, np.uint32).view(dtype)}
    (got,) = run_model(result.model, feeds, result.plugins, base_dir=tmp_path).values()
    assert got.dtype == expected_dtype
    assert got.view(np.uint32).tolist() == BITS


def test_types_that_a_plugin_cannot_have_are_left():
    assert reason_against(ReplaceBitCast, model_of(np.float32, TensorProto.UINT32)) == (
        "a plugin cannot have one of its types"
    )


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(np.float32, TensorProto.INT32), path)
    built = build_engine(
        path, options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    )
    assert [record.name for record in built.manifest.plugins] == ["BitCast_PK"]
