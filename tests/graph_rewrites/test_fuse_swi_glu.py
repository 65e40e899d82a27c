import numpy as np
import onnx
import onnx.parser
import pytest

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.fuse_swi_glu import FuseSplitSwiGLU, FuseSwiGLU
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.graph_rewrites.samples import normal

BOTH = [FuseSwiGLU, FuseSplitSwiGLU]
CHOICE = RewriteChoice(also=[each.__name__ for each in BOTH])
SPLIT = "gate, up = Split<axis = -1, num_outputs = 2>(x)"


def model_of(given, inputs, result="silu, up"):
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18]>
        main ({inputs}) => (float[n, m] y)
        {{ {given}
           sigmoid = Sigmoid(gate)
           silu = Mul(gate, sigmoid)
           y = Mul({result}) }}""")


PAIR = model_of("", "float[n, 6] gate, float[n, 6] up")
HALVES = model_of(SPLIT, "float[n, 12] x", "up, silu")


@pytest.mark.parametrize(
    ("model", "shapes"), [(PAIR, {"gate": (3, 6), "up": (3, 6)}), (HALVES, {"x": (3, 12)})]
)
def test_the_gate_and_its_factor_become_one_node(model, shapes, tmp_path):
    result = rewrite_model(model, BOTH, CHOICE)
    assert [node.op_type for node in result.model.graph.node] == ["SwiGLU_PK"], result.refused
    assert rewrite_model(result.model, BOTH, CHOICE).applied == []
    feeds = {name: normal(*shape).astype(np.float32) for name, shape in shapes.items()}
    (expected,) = run_onnxruntime(model, feeds).values()
    (got,) = run_model(result.model, feeds, result.plugins, base_dir=tmp_path).values()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        (
            model_of("", "float[n, 6] gate, float[6] up"),
            ["its factors, ['n', 6] and [6], are not known to have one shape"],
        ),
        (
            model_of("", "double[n, 6] gate, double[n, 6] up"),
            ["'gate' is float64; expected float32, float16 or bfloat16"],
        ),
    ],
)
def test_what_is_left_and_why(model, reasons):
    result = rewrite_model(model, BOTH, CHOICE)
    assert result.model == model
    assert [each.reason for each in result.refused] == reasons


def test_thirds_and_other_axes_are_a_pair():
    thirds = "gate, up, third = Split<axis = -1, num_outputs = 3>(x)"
    for given in (thirds, SPLIT.replace("-1", "0")):
        model = model_of(given, "float[4, 12] x")
        made = rewrite_model(model, BOTH, CHOICE).model.graph.node
        assert [node.op_type for node in made] == ["Split", "SwiGLU_PK"]
        assert list(made[1].input) == ["gate", "up"]


@pytest.mark.trt
@pytest.mark.parametrize("model", [PAIR, HALVES], ids=["pair", "halves"])
def test_a_real_build_takes_it(model, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    sizes = {
        value.name: value.type.tensor_type.shape.dim[1].dim_value for value in model.graph.input
    }
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={name: f"1x{size},2x{size},9x{size}" for name, size in sizes.items()},
        choice=CHOICE,
    )
    assert [record.name for record in built.manifest.plugins] == ["SwiGLU_PK"]
