import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.errors import CallbackError, ModelError, TensorError
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.running.onnxruntime_session import LoadedModel
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.unit.onnx.models import BOOL, FLOAT, INT64, Affine, Silu, model_of, value

PLUGINS = {cls.spec.key: cls for cls in (Affine, Silu)}
X = np.array([-1, 0, 2, 5], np.float32)


def silu(x):
    return x / (1 + np.exp(-x))


def silu_node(x, y):
    return plugin_node(Silu(), [x], [y], y)


def test_pieces_and_plugin_nodes_take_turns(tmp_path):
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        silu_node("a", "b"),
        helper.make_node("Add", ["b", "x"], ["c"]),
        silu_node("c", "d"),
        silu_node("x", "e"),
        helper.make_node("Sub", ["d", "e"], ["y"]),
    ]
    model = model_of(nodes, [value("x", ["n"])], [value("y", ["n"]), value("a", ["n"])])
    got = run_model(model, {"x": X}, PLUGINS, base_dir=tmp_path)
    np.testing.assert_allclose(got["y"], silu(silu(-X) + X) - silu(X), rtol=1e-5)
    np.testing.assert_array_equal(got["a"], -X)
    assert list(got) == ["y", "a"]


def test_another_executor_takes_the_place_of_the_reference(tmp_path):
    seen = []

    def execute(plugin, arrays):
        seen.append((plugin, [array.tolist() for array in arrays]))
        return [arrays[0] + 100]

    model = model_of([silu_node("x", "y")], [value("x", [4])], [value("y", [4])])
    got = run_model(model, {"x": X}, PLUGINS, base_dir=tmp_path, execute_plugin=execute)
    assert got["y"].tolist() == (X + 100).tolist()
    assert seen == [(Silu(), [X.tolist()])]


def test_initializers_reach_plugins_and_pieces_also_from_external_files(tmp_path):
    scale = np.array([1, 2, 3, 4], np.float32)
    (tmp_path / "w.bin").write_bytes(scale.tobytes())
    tensor = TensorProto(name="w", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    plugin = plugin_node(Affine(a=2.0), ["x", "w"], ["a", "z"], "n")
    nodes = [plugin, helper.make_node("Add", ["a", "w"], ["y"])]
    model = model_of(nodes, [value("x", [4])], [value("y", [4])], [tensor])
    got = run_model(model, {"x": X}, PLUGINS, base_dir=tmp_path)
    np.testing.assert_allclose(got["y"], 2 * X * scale + scale)


def test_an_initializer_that_is_an_input_may_be_given(tmp_path):
    default = numpy_helper.from_array(np.ones(4, np.float32), "w")
    nodes = [silu_node("x", "a"), helper.make_node("Add", ["a", "w"], ["y"])]
    inputs = [value("x", [4]), value("w", [4])]
    model = model_of(nodes, inputs, [value("y", [4])], [default])
    got = run_model(model, {"x": X}, PLUGINS, base_dir=tmp_path)
    np.testing.assert_allclose(got["y"], silu(X) + 1, rtol=1e-6)
    got = run_model(model, {"x": X, "w": X}, PLUGINS, base_dir=tmp_path)
    np.testing.assert_allclose(got["y"], silu(X) + X, rtol=1e-6)


def loop_model(with_plugin, trips=3, keep_going=None):
    """s = act(s + i), collected, until the trip count or the condition ends it."""
    act = silu_node("t", "s2") if with_plugin else helper.make_node("HardSwish", ["t"], ["s2"])
    body = helper.make_graph(
        [
            helper.make_node("Cast", ["i"], ["f"], to=1),
            helper.make_node("Add", ["s", "f"], ["t"]),
            act,
            helper.make_node("Less", ["i", "last"], ["go2"]),
        ],
        "body",
        [value("i", [], INT64), value("go", [], BOOL), value("s", [4])],
        [value("go2", [], BOOL), value("s2", [4]), value("s2", [4])],
    )
    body.output[2].name = "copy"
    body.node.append(helper.make_node("Identity", ["s2"], ["copy"]))
    trip_name = "" if trips is None else "trips"
    node = helper.make_node(
        "Loop",
        [trip_name, "" if keep_going is None else "go0", "x"],
        ["y", "all"],
        "loop",
        body=body,
    )
    constants = {"last": np.array(4), "trips": np.array(trips or 0), "go0": np.array(keep_going)}
    initializers = [
        numpy_helper.from_array(array, name)
        for name, array in constants.items()
        if array.dtype != object
    ]
    return model_of([node], [value("x", [4])], [value("y", [4]), value("all", None)], initializers)


@pytest.mark.parametrize(
    ("trips", "keep_going"), [(3, None), (3, True), (3, False), (0, True), (None, True), (9, None)]
)
def test_a_loop_with_a_plugin_runs_as_onnxruntime_runs_loops(trips, keep_going, tmp_path):
    plain = loop_model(False, trips, keep_going)
    expected = run_onnxruntime(plain, {"x": X})
    replaced = loop_model(True, trips, keep_going)

    def hard_swish(plugin, arrays):
        (x,) = arrays
        return [(x * np.clip(x / 6 + 0.5, 0, 1)).astype(np.float32)]

    got = run_model(replaced, {"x": X}, PLUGINS, base_dir=tmp_path, execute_plugin=hard_swish)
    for name in ("y", "all"):
        assert got[name].shape == expected[name].shape
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("out_reverse", [0, 1])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("out_axis", [0, 1, -1])
def test_a_scan_with_a_plugin_runs_as_onnxruntime_runs_scans(
    reverse, out_reverse, axis, out_axis, tmp_path
):
    def model(with_plugin):
        act = silu_node("t", "s2") if with_plugin else helper.make_node("HardSwish", ["t"], ["s2"])
        body = helper.make_graph(
            [
                helper.make_node("Add", ["s", "row"], ["t"]),
                act,
                helper.make_node("Neg", ["s2"], ["out"]),
            ],
            "body",
            [value("s", [3]), value("row", [3])],
            [value("s2", [3]), value("out", [3])],
        )
        node = helper.make_node(
            "Scan", ["s0", "rows"], ["y", "all"], "scan", body=body, num_scan_inputs=1,
            scan_input_axes=[axis], scan_input_directions=[reverse],
            scan_output_axes=[out_axis], scan_output_directions=[out_reverse],
        )  # fmt: skip
        inputs = [value("s0", [3]), value("rows", [None, None])]
        return model_of([node], inputs, [value("y", [3]), value("all", [None, None])])

    def hard_swish(plugin, arrays):
        (x,) = arrays
        return [(x * np.clip(x / 6 + 0.5, 0, 1)).astype(np.float32)]

    rows = np.random.default_rng(0).standard_normal((3, 5) if axis else (5, 3))
    inputs = {"s0": X[:3], "rows": rows.astype(np.float32)}
    expected = run_onnxruntime(model(False), inputs)
    got = run_model(model(True), inputs, PLUGINS, base_dir=tmp_path, execute_plugin=hard_swish)
    for name in ("y", "all"):
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-6)


def test_another_operator_around_a_plugin_is_refused(tmp_path):
    body = helper.make_graph([silu_node("s", "t")], "body", [value("s", [4])], [value("t", [4])])
    node = helper.make_node("SequenceMap", ["x"], ["y"], "map", body=body)
    model = model_of([node], [value("x", [4])], [value("y", [4])])
    with pytest.raises(ModelError) as caught:
        run_model(model, {"x": X}, PLUGINS, base_dir=tmp_path)
    assert caught.value.code == "PK442"
    assert "SequenceMap 'map'" in caught.value.message


def test_bfloat16_goes_in_and_comes_out(tmp_path):
    kind = TensorProto.BFLOAT16
    x = X.astype(ml_dtypes.bfloat16)
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Identity", ["a"], ["y"])]
    model = model_of(nodes, [value("x", [4], kind)], [value("y", [4], kind)])
    got = run_onnxruntime(model, {"x": x})["y"]
    assert got.dtype == x.dtype
    assert got.astype(np.float32).tolist() == (-X).tolist()
    node = helper.make_node("Cast", ["f"], ["y"], to=kind)
    cast = model_of([node], [value("f", ["n"])], [value("y", ["n"], kind)])
    assert run_onnxruntime(cast, {"f": X})["y"].dtype == x.dtype
    assert run_onnxruntime(cast, {"f": X[:0]})["y"].shape == (0,)


@pytest.mark.parametrize(("inputs", "problem"), [({}, "missing"), ({"x": X, "z": X}, "unknown")])
def test_inputs_that_do_not_fit_are_named(inputs, problem, tmp_path):
    model = model_of([silu_node("x", "y")], [value("x", [4])], [value("y", [4])])
    plain = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [4])], [value("y", [4])])
    with pytest.raises(ModelError, match=problem) as caught:
        run_model(model, inputs, PLUGINS, base_dir=tmp_path)
    assert caught.value.code == "PK440"
    with pytest.raises(ModelError, match=problem) as caught:
        run_onnxruntime(plain, inputs)
    assert caught.value.code == "PK440"


def test_what_onnxruntime_refuses_is_told():
    model = model_of(
        [helper.make_node("Gather", ["x", "i"], ["y"])],
        [value("x", [4]), value("i", [1], INT64)],
        [value("y", [1])],
    )
    with pytest.raises(ModelError) as caught:
        run_onnxruntime(model, {"x": X, "i": np.array([4])})
    assert caught.value.code == "PK441"
    assert "out of data bounds" in caught.value.cause
    model.graph.node[0].op_type = "NoSuchOp"
    with pytest.raises(ModelError) as caught:
        run_onnxruntime(model, {"x": X, "i": np.array([0])})
    assert caught.value.code == "PK441"
    assert "--range" in caught.value.fix


def test_an_operator_that_onnxruntime_lacks_may_be_a_function():
    nodes = [helper.make_node("Mine", ["x"], ["y"], domain="com.example")]
    model = model_of(nodes, [value("x", [4])], [value("y", [4])])
    model.opset_import.add(domain="com.example", version=1)
    with pytest.raises(ModelError, match="PK441") as caught:
        run_onnxruntime(model, {"x": X})
    assert "as a local function of the model" in caught.value.fix


def test_a_plugin_that_fails_names_its_node(tmp_path):
    kind = onnx.TensorProto.DOUBLE
    model = model_of([silu_node("x", "y")], [value("x", [4], kind)], [value("y", [4], kind)])
    with pytest.raises(TensorError) as caught:
        run_model(model, {"x": X.astype(np.float64)}, PLUGINS, base_dir=tmp_path)
    assert caught.value.where == "node Silu_PK 'y'"


@pytest.mark.parametrize(
    ("error", "words", "fix"),
    [
        (NotImplementedError("write it"), "is not written yet", "write it; pluginkit check Silu"),
        (IndexError("list index"), "failed", "correct it; pluginkit check Silu"),
    ],
)
def test_a_plugin_whose_own_code_fails_is_no_bug_of_pluginkit(
    error, words, fix, tmp_path, monkeypatch
):
    def reference(self, x):
        raise error

    monkeypatch.setattr(Silu, "reference", reference)
    model = model_of([silu_node("x", "y")], [value("x", [4])], [value("y", [4])])
    with pytest.raises(CallbackError, match=f"PK449 Silu: its code {words}") as caught:
        run_model(model, {"x": X}, PLUGINS, base_dir=tmp_path)
    assert caught.value.where.startswith("node Silu_PK 'y'")
    assert str(error) in caught.value.cause
    assert caught.value.fix.startswith(fix)
    assert caught.value.__cause__ is error


def test_an_output_that_nothing_produces_is_named(tmp_path):
    model = model_of([silu_node("x", "a")], [value("x", [4])], [value("y", [4])])
    with pytest.raises(ModelError, match="PK408 no node produces 'y'"):
        run_model(model, {"x": X}, PLUGINS, base_dir=tmp_path)


def test_an_initializer_that_is_cut_short_is_named(tmp_path):
    weight = onnx.TensorProto(name="w", data_type=1, dims=[4], raw_data=b"abc")
    model = model_of([silu_node("w", "y")], [], [value("y", [4])], [weight])
    with pytest.raises(ModelError, match="PK408.*'w'"):
        run_model(model, {}, PLUGINS, base_dir=tmp_path)


def test_what_nothing_on_this_machine_computes_is_refused_with_a_way_on():
    node = helper.make_node("MaxRoiPool", ["x", "rois"], ["y"], pooled_shape=[2, 2])
    double = onnx.TensorProto.DOUBLE
    inputs = [value("x", [1, 1, 4, 4], double), value("rois", [1, 5], double)]
    model = model_of([node], inputs, [value("y", [1, 1, 2, 2], double)])
    with pytest.raises(ModelError, match="PK441 ONNX Runtime has no CPU kernel") as caught:
        run_onnxruntime(model, {"x": np.zeros((1, 1, 4, 4)), "rois": np.zeros((1, 5))})
    assert "--expected golden.npz" in caught.value.fix


DTYPES = {onnx.TensorProto.FLOAT16: np.float16, onnx.TensorProto.BFLOAT16: ml_dtypes.bfloat16}
NARROW = pytest.mark.parametrize("elem_type", DTYPES)


@NARROW
@pytest.mark.parametrize("place", ["main", "body", "function"])
def test_a_16_bit_kernel_that_onnxruntime_lacks_is_computed_in_float32(elem_type, place):
    node = helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], "s", axis=0, reduction="add")
    ports = [value("x", [3], elem_type), value("i", [4], INT64), value("u", [4], elem_type)]
    nodes, functions = [node], []
    if place == "body":
        branches = [
            helper.make_graph([node], "t", [], [value("y", [3], elem_type)]),
            helper.make_graph(
                [helper.make_node("Neg", ["x"], ["z"])], "e", [], [value("z", [3], elem_type)]
            ),
        ]
        nodes = [
            helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
        ]
    elif place == "function":
        opsets = [helper.make_opsetid("", 18)]
        functions = [helper.make_function("local", "F", ["x", "i", "u"], ["y"], [node], opsets)]
        nodes = [helper.make_node("F", ["x", "i", "u"], ["y"], domain="local")]
    model = model_of(
        nodes, [*ports, value("c", [], BOOL)], [value("y", [3], elem_type)], functions=functions
    )
    dtype = DTYPES[elem_type]
    feeds = {
        "x": np.array([1, 2, 3], dtype),
        "i": np.array([0, 2, 2, 0]),
        "u": np.array([10, 20, 30, 0.5], dtype),
        "c": np.array(True),
    }
    got = run_onnxruntime(model, feeds)["y"]
    assert got.dtype == dtype
    assert got.astype(float).tolist() == [11.5, 2, 53]


@NARROW
def test_each_16_bit_node_rounds_its_result(elem_type):
    nodes = [
        helper.make_node("Add", ["x", "x"], ["twice"]),
        helper.make_node("ScatterND", ["twice", "i", "x"], ["sum"], reduction="add"),
        helper.make_node("Cast", ["sum"], ["y"], to=FLOAT),
    ]
    model = model_of(
        nodes, [value("x", [2], elem_type), value("i", [2, 1], INT64)], [value("y", [2])]
    )
    dtype = DTYPES[elem_type]
    x = np.array([1.0009765625, 0.25], np.float32).astype(dtype)
    got = run_onnxruntime(model, {"x": x, "i": np.array([[0], [1]])})["y"]
    wide = x.astype(np.float32)
    expected = ((wide + wide).astype(dtype).astype(np.float32) + wide).astype(dtype)
    assert got.tolist() == expected.astype(np.float32).tolist()


@pytest.mark.parametrize("is_true", [True, False])
def test_an_if_that_returns_a_value_twice_returns_it_twice(is_true):
    def branch(op_type):
        nodes = [helper.make_node(op_type, ["x"], ["t"])]
        return helper.make_graph(nodes, op_type, [], [value("t", [4])] * 3)

    node = helper.make_node(
        "If", ["c"], ["a", "b", "d"], then_branch=branch("Neg"), else_branch=branch("Abs")
    )
    outputs = [value(name, [4]) for name in ("a", "b", "d")]
    model = model_of([node], [value("x", [4]), value("c", [], BOOL)], outputs)
    got = run_onnxruntime(model, {"x": X, "c": np.array(is_true)})
    expected = (-X if is_true else np.abs(X)).tolist()
    assert [got[name].tolist() for name in ("a", "b", "d")] == [expected] * 3


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_a_product_with_quantized_weights_is_that_of_its_nodes(dtype):
    """With its optimizations ONNX Runtime quantizes x too, and is wrong by 0.2."""
    rng = np.random.default_rng(0)
    weights = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (64, 16), dtype, endpoint=True)
    scales = rng.uniform(0.01, 0.02, 16).astype(np.float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scales"], ["dw"], axis=1),
        helper.make_node("MatMul", ["x", "dw"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(scales, "scales")]
    model = model_of(nodes, [value("x", [8, 64])], [value("y", [8, 16])], tensors, opset=19)
    x = rng.standard_normal((8, 64)).astype(np.float32)
    got = run_onnxruntime(model, {"x": x})["y"]
    expected = x.astype(np.float64) @ (weights * scales.astype(np.float64))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["", "gather"])
@pytest.mark.parametrize(
    ("feeds", "words", "fix"),
    [
        ({"i": np.array([0, 9])}, "an index from input 'i' that is out of range", "--range i:0,n"),
        ({"x": np.zeros(4)}, "input 'x' is float64 4; expected float32 (4)", "float32"),
        ({"x": np.zeros((4, 1), np.float32)}, "input 'x' is float32 4x1; expected float32 (4)", ""),
        ({"x": np.zeros(5, np.float32)}, "input 'x' is float32 5; expected float32 (4)", ""),
    ],
)
def test_an_input_that_does_not_fit_is_named(feeds, words, fix, name):
    nodes = [
        helper.make_node("Neg", ["i"], ["j"]),
        helper.make_node("Neg", ["j"], ["k"]),
        helper.make_node("Gather", ["x", "k"], ["y"], name),
    ]
    model = model_of(nodes, [value("x", [4]), value("i", ["n"], INT64)], [value("y", ["n"])])
    with pytest.raises(ModelError) as caught:
        run_onnxruntime(model, {"x": X, "i": np.array([0, 1]), **feeds})
    assert words in caught.value.message
    assert fix in caught.value.fix


STATISTICS = """
    <ir_version: 10, opset_import: ["" : 15]>
    g (float[2, 3, 4] x, float[3] given) =>
        (float[2, 3, 4] y, float[3] mean, float[3] variance, float[3] later)
    <float[3] scale = {1, 2, 3}, float[3] stored = {4, 5, 6}> {
        made = Neg (given)
        z, m, v = BatchNormalization <training_mode = 1> (x, scale, scale, made, stored)
        y, n, w = BatchNormalization <training_mode = 1> (z, scale, scale, given, stored)
        mean = Abs (n)
        variance = Abs (v)
        later = Add (made, m)
    }
"""


def test_statistics_of_a_batch_are_not_written_over_those_before(tmp_path):
    """ONNX Runtime computes them in place: of the caller's arrays, of what it stores, of others."""
    model = onnx.parser.parse_model(STATISTICS)
    feeds = {"x": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "given": X[1:]}
    kept = feeds["given"].copy()
    expected = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    session = LoadedModel(model, tmp_path, "it")
    for _ in range(2):
        for got, wanted in zip(session.run(feeds).values(), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4)
        np.testing.assert_array_equal(feeds["given"], kept)


def test_transforms_are_as_exact_as_their_type(tmp_path):
    """ONNX Runtime's own, of float32, are not, where the length is no power of two."""
    text = """<ir_version: 10, opset_import: ["" : 20]>
        g (float[4, 40, 1] x) => (float[4, 40, 2] y) { y = DFT (x) }"""
    signal = np.random.default_rng(4).standard_normal((4, 40, 1)).astype(np.float32)
    got = LoadedModel(onnx.parser.parse_model(text), tmp_path, "it").run({"x": signal})["y"]
    wanted = np.fft.fft(signal[..., 0].astype(np.float64))
    np.testing.assert_allclose(got[..., 0], wanted.real, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got[..., 1], wanted.imag, rtol=1e-6, atol=1e-6)


STALE = """
    <ir_version: 10, opset_import: ["" : 17, "local" : 1]>
    g (float[N, 4] x, float[M, 4] z, bool c) => (float[N, 4] y, float[M, 4] q)
    <float[3, 4] a, float[3, 4] b, float[3, 4] e, float16[1] f> {
        a = Relu (z)
        b = Exp (a)
        e = Abs (x)
        d = ReduceSum (b)
        f = Mul (e, d)
        q = Neg (a)
        y = If (c) <
            then_branch = t () => (float[A, B] r) <float16[2, 2] g> { g = Sqrt (f) r = Neg (g) },
            else_branch = u () => (float[C, D] s) <double[2] h> { h = Abs (f) s = local.F (h) }
        >
    }
    <domain: "local", opset_import: ["" : 17]> F (k) => (l) { l = Exp (k) }
"""


@pytest.mark.parametrize("is_true", [True, False])
def test_stale_annotations_inside_change_nothing(is_true):
    """ONNX Runtime plans its memory by the sizes, and refuses the types."""
    model = onnx.parser.parse_model(STALE)
    shapes = {"x": (5, 4), "z": (2, 4)}
    feeds = {
        name: np.random.default_rng(0).random(dims, np.float32) for name, dims in shapes.items()
    }
    got = run_onnxruntime(model, {**feeds, "c": np.array(is_true)})
    f = feeds["x"] * np.exp(feeds["z"]).sum()
    np.testing.assert_allclose(got["y"], -np.sqrt(f) if is_true else np.exp(f), rtol=1e-5)
    np.testing.assert_array_equal(got["q"], -feeds["z"])
    assert len(model.graph.value_info) == 4


def test_an_operator_of_onnxruntime_alone_runs_inside_a_function():
    """ONNX Runtime crashes on it there."""
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 17, "local" : 1]>
        g (float[2, 4] x, float[4] w) => (float[2, 4] y) { y = local.F (x, w) }
        <domain: "local", opset_import: ["" : 17]>
        F (x, w) => (y) { y = SimplifiedLayerNormalization (x, w) }
    """)
    x, w = np.arange(8, dtype=np.float32).reshape(2, 4), X
    (got,) = run_onnxruntime(model, {"x": x, "w": w}).values()
    mean = np.square(x).mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(got, x / np.sqrt(mean + 1e-5) * w, rtol=1e-5)


def test_pieces_know_the_ranks_of_what_they_are_fed():
    """Without them ONNX Runtime infers a tensor of 0 sizes, and refuses to load the piece."""
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 17]>
        g (float[2, 2] x, int64[2] size) => (float[1, 1, H, W] y)
        <int64[4] shape = {1, 1, 2, 2}, int64[2] ones = {1, 1}> {
            w = Reshape(x, shape) s = Concat<axis = 0>(ones, size) y = Resize(w, , , s) }"""
    )
    feeds = {"x": np.ones((2, 2), np.float32), "size": np.int64([3, 4])}
    assert run_model(model, feeds, {}, base_dir=None)["y"].shape == (1, 1, 3, 4)


def test_pieces_know_the_sizes_that_the_model_declares():
    """Without them ONNX Runtime infers a bias of 0 elements, and refuses to load the piece."""
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (float[N, 16] x, uint8[2, 1, 8] w, float[2, 1] s, float[2] b) => (float[N, 2] y) {
            y = com.microsoft.MatMulNBits<K = 16, N = 2, bits = 4, block_size = 16>
                (x, w, s, , , b) }"""
    )
    feeds = {"x": np.ones((3, 16), np.float32), "w": np.full((2, 1, 8), 0x99, np.uint8)}
    feeds |= {"s": np.ones((2, 1), np.float32), "b": np.float32([1, 2])}
    np.testing.assert_array_equal(run_model(model, feeds, {}, base_dir=None)["y"], [[17, 18]] * 3)
