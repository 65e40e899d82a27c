import os
import resource

import numpy as np
import onnx
import pytest
from onnx import helper

from pluginkit.errors import ModelError
from pluginkit.onnx.model.external_data import external_files
from pluginkit.onnx.model.model_file import inline_functions, load_model, save_model
from tests.unit.onnx.models import model_of, value


def written(path, model):
    path.write_bytes(model.SerializeToString())
    return path


def small_model():
    return model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [2])], [value("y", [2])])


def external_tensor(location, count=4, offset=0):
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1, count], data_location=1)
    for key, text in (("location", location), ("offset", str(offset)), ("length", str(4 * count))):
        tensor.external_data.add(key=key, value=text)
    return tensor


def external_model(location="w.bin", **options):
    tensor = external_tensor(location, **options)
    add = helper.make_node("Add", ["x", "w"], ["y"])
    shape = list(tensor.dims)
    return model_of([add], [value("x", shape)], [value("y", shape)], [tensor])


def refusal(path):
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert caught.value.fix
    assert str(path) in str(caught.value.where)
    return caught.value


def test_a_model_loads_as_it_was_written(tmp_path):
    model = small_model()
    assert load_model(written(tmp_path / "m.onnx", model)) == model


def test_a_missing_file_is_named(tmp_path):
    error = refusal(tmp_path / "none.onnx")
    assert error.code == "PK400"
    assert "does not exist" in error.message


def test_a_directory_is_no_model(tmp_path):
    error = refusal(tmp_path)
    assert error.code == "PK400"
    assert "directory" in error.message


def test_an_unreadable_file_says_why(tmp_path, monkeypatch):
    path = written(tmp_path / "m.onnx", small_model())

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    error = refusal(path)
    assert error.code == "PK400"
    assert "Permission denied" in error.message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"hello, this is no model\n" * 9, "text file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (bytes(range(256)) * 4, "damaged"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, content, what):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    error = refusal(path)
    assert error.code == "PK401"
    assert what in error.message


def test_every_truncation_is_refused(tmp_path):
    content = small_model().SerializeToString()
    path = tmp_path / "m.onnx"
    codes = set()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        codes.add(refusal(path).code)
    assert codes == {"PK401", "PK402"}


def test_a_model_without_a_graph_is_refused(tmp_path):
    model = small_model()
    model.ClearField("graph")
    assert refusal(written(tmp_path / "m.onnx", model)).code == "PK402"
    model.graph.name = "empty"
    assert refusal(written(tmp_path / "m.onnx", model)).code == "PK402"


def test_a_cycle_is_named_node_by_node(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="free"),
        helper.make_node("Add", ["a", "c"], ["b"], name="first"),
        helper.make_node("Relu", ["b"], ["c"], name="second"),
        helper.make_node("Relu", ["c"], ["y"], name="last"),
    ]
    path = written(tmp_path / "m.onnx", model_of(nodes, [value("x", [2])], [value("y", [2])]))
    error = refusal(path)
    assert error.code == "PK403"
    assert error.cause == "Add 'first' <- Relu 'second' <- Add 'first'"


def test_a_cycle_in_a_body_is_found(tmp_path):
    inner = [helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    body = helper.make_graph(inner, "body", [], [value("b", [2])])
    nodes = [
        helper.make_node("If", ["c"], ["y"], name="choice", then_branch=body, else_branch=body)
    ]
    model = model_of(nodes, [value("c", [], onnx.TensorProto.BOOL)], [value("y", [2])])
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK403"
    assert "If 'choice'.else_branch" in error.where


def test_nodes_out_of_order_are_no_cycle(tmp_path):
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Relu", ["x"], ["a"])]
    path = written(tmp_path / "m.onnx", model_of(nodes, [value("x", [2])], [value("y", [2])]))
    assert len(load_model(path).graph.node) == 2


def test_external_data_is_found_and_left_alone(tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    model = external_model()
    assert load_model(written(tmp_path / "m.onnx", model)) == model
    assert external_files(model) == ["w.bin"]


def test_missing_external_data_is_named(tmp_path):
    error = refusal(written(tmp_path / "m.onnx", external_model()))
    assert error.code == "PK404"
    assert "'w.bin'" in error.message


def test_external_data_that_is_too_short_is_refused(tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    error = refusal(written(tmp_path / "m.onnx", external_model(offset=4)))
    assert error.code == "PK404"
    assert "16 bytes; expected at least 20" in error.message


def test_external_data_of_no_length_has_all_elements(tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(12))
    model = external_model()
    del model.graph.initializer[0].external_data[2]
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK404"
    assert "12 bytes; expected at least 16" in error.message


def test_a_stored_tensor_has_all_elements(tmp_path):
    model = external_model()
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1, 4], raw_data=bytes(15))
    model.graph.initializer[0].CopyFrom(tensor)
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert error.message == "tensor 'w' has 15 bytes; expected 16 of [1, 4] elements."


def test_external_data_in_a_body_is_checked_too(tmp_path):
    inner = helper.make_node("Identity", ["w"], ["b"])
    body = helper.make_graph([inner], "body", [], [value("b", [4])], [external_tensor("w.bin")])
    node = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    model = model_of([node], [value("c", [], onnx.TensorProto.BOOL)], [value("y", [4])])
    assert refusal(written(tmp_path / "m.onnx", model)).code == "PK404"


@pytest.mark.parametrize("how", ["parent", "absolute", "symlink", "none"])
def test_external_data_outside_the_folder_is_refused(tmp_path, how):
    outside = tmp_path / "secret.bin"
    outside.write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(outside)
    location = {"parent": "../secret.bin", "absolute": str(outside), "symlink": "link.bin"}.get(how)
    error = refusal(written(folder / "m.onnx", external_model(location or "")))
    assert error.code == "PK405"


def test_saving_beside_the_source_copies_no_data(tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    model = external_model()
    source = written(tmp_path / "m.onnx", model)
    save_model(model, tmp_path / "out.onnx", source)
    assert load_model(tmp_path / "out.onnx") == model
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.onnx", "out.onnx", "w.bin"]


def test_a_model_saved_elsewhere_loads_in_onnx_and_onnxruntime(tmp_path):
    import onnxruntime

    data = np.arange(4, dtype=np.float32)
    source = tmp_path / "m.onnx"
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(data.tobytes())
    model = external_model("weights/w.bin")
    written(source, model)
    target = tmp_path / "out" / "m.onnx"
    target.parent.mkdir()
    for _ in range(2):  # the second time the data is there already
        save_model(model, target, source)
    loaded = onnx.load(target)
    assert onnx.numpy_helper.to_array(loaded.graph.initializer[0]).tolist() == [data.tolist()]
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"x": np.ones((1, 4), np.float32)})
    assert got.tolist() == [[1, 2, 3, 4]]
    onnx.load(source)  # which refuses data that has a second hard link


def test_the_source_and_its_data_are_never_overwritten(tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    model = external_model()
    source = written(tmp_path / "m.onnx", model)
    before = source.read_bytes()
    for target in (source, tmp_path / "w.bin"):
        with pytest.raises(ModelError) as caught:
            save_model(model, target, source)
        assert caught.value.code == "PK406"
    assert source.read_bytes() == before
    assert (tmp_path / "w.bin").read_bytes() == bytes(16)


def test_a_foreign_file_in_the_place_of_the_data_is_kept(tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    model = external_model()
    source = written(tmp_path / "m.onnx", model)
    other = tmp_path / "out"
    other.mkdir()
    (other / "w.bin").write_bytes(b"mine, not yours.")
    with pytest.raises(ModelError) as caught:
        save_model(model, other / "m.onnx", source)
    assert caught.value.code == "PK406"
    assert (other / "w.bin").read_bytes() == b"mine, not yours."
    assert not (other / "m.onnx").exists()


def test_a_failed_save_leaves_nothing_behind(tmp_path, monkeypatch):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    model = external_model()
    source = written(tmp_path / "m.onnx", model)
    other = tmp_path / "out"
    other.mkdir()

    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(other), "replace", fail)
    with pytest.raises(ModelError) as caught:
        save_model(model, other / "m.onnx", source)
    assert caught.value.code == "PK407"
    assert "No space left" in caught.value.message
    assert list(other.iterdir()) == []


def test_saving_into_a_folder_that_is_not_there_is_an_error(tmp_path):
    source = written(tmp_path / "m.onnx", small_model())
    with pytest.raises(ModelError) as caught:
        save_model(small_model(), tmp_path / "none" / "m.onnx", source)
    assert caught.value.code == "PK407"


def test_gigabytes_of_external_data_cost_nothing(tmp_path):
    count = 2**30  # 4 GiB, sparse on disk
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(4 * count)
    model = external_model(count=count)
    source = written(tmp_path / "m.onnx", model)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    save_model(load_model(source), tmp_path / "out.onnx", source)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
    assert (tmp_path / "out.onnx").stat().st_size < 4096


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("w.bin\0x", "PK405"),
        ("a" * 300, "PK405"),
        ("loop/w.bin", "PK405"),
        ("folder", "PK404"),
        ("pipe", "PK404"),
        ("w.bin/x", "PK404"),
    ],
)
def test_external_data_that_is_no_file_is_refused(location, code, tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    error = refusal(written(tmp_path / "m.onnx", external_model(location)))
    assert error.code == code


@pytest.mark.parametrize("text", ["-1", "abc", "1e3", "٣", "1_0", " 4", "9" * 5000, "9" * 20])
@pytest.mark.parametrize("key", ["offset", "length"])
def test_external_data_at_no_number_of_bytes_is_refused(key, text, tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    model = external_model("w.bin")
    for entry in model.graph.initializer[0].external_data:
        entry.value = text if entry.key == key else entry.value
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK404"
    assert key in error.message


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "m.onnx")
    error = refusal(tmp_path / "m.onnx")
    assert error.code == "PK400"
    assert "no regular file" in error.message


def test_a_name_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    model = small_model()
    model.graph.node[0].name = "NAME"
    path.write_bytes(model.SerializeToString().replace(b"NAME", b"\xff\xfe\xc0\x80"))
    error = refusal(path)
    assert error.code == "PK401"
    assert "UTF-8" in error.message


def test_a_node_without_an_operator_is_refused(tmp_path):
    model = small_model()
    model.graph.node[0].op_type = ""
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "'y' is a node without an operator" in error.message


def test_an_input_of_an_unknown_type_is_refused(tmp_path):
    model = small_model()
    model.graph.input[0].type.tensor_type.elem_type = 99
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "input 'x' has element type 99, which onnx " in error.message


@pytest.mark.parametrize("outputs", [[], [""]])
def test_a_node_without_outputs_is_refused(outputs, tmp_path):
    model = small_model()
    model.graph.node.append(helper.make_node("Relu", ["x"], outputs, "idle"))
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "idle" in error.message


@pytest.mark.parametrize("op_type", ["If", "Loop", "Scan"])
def test_a_node_without_its_body_is_refused(op_type, tmp_path):
    model = small_model()
    node = model.graph.node.add(op_type=op_type, input=["x"], output=["z"], name="control")
    node.attribute.add(name="body", type=onnx.AttributeProto.STRING, s=b"text")
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "control" in error.message


def test_a_value_that_nothing_produces_is_named(tmp_path):
    body = helper.make_graph(
        [helper.make_node("Neg", ["gone"], ["z"])], "b", [], [value("z", None)]
    )
    model = small_model()
    choice = helper.make_node("If", ["x"], ["c"], "choice", then_branch=body, else_branch=body)
    model.graph.node.append(choice)
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "'gone'" in error.message
    assert "_branch" in str(error.where)
    body.node[0].input[0] = "x"  # of the graph around it
    for attribute in choice.attribute:
        attribute.g.CopyFrom(body)
    model.graph.node[-1].CopyFrom(choice)
    assert load_model(written(tmp_path / "m.onnx", model)) == model


def test_a_loop_whose_body_takes_too_little_is_refused(tmp_path):
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["z"])], "b", [], [value("z", None)])
    model = small_model()
    model.graph.node.append(helper.make_node("Loop", ["x", "", "x"], ["c"], "loop", body=body))
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "loop" in error.message


@pytest.mark.parametrize("overload", ["", "other"])
def test_functions_that_call_each_other_are_refused(overload, tmp_path):
    model = small_model()
    for name, called in (("A", "B"), ("B", "A")):
        call = helper.make_node(called, ["x"], ["y"], domain="r", overload=overload)
        function = helper.make_function("r", name, ["x"], ["y"], [call], model.opset_import)
        model.functions.append(function)
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "r::A <- r::B <- r::A" in error.cause or "r::B <- r::A <- r::B" in error.cause


@pytest.mark.parametrize("field", ["graph", "function", "input", "dim"])
def test_no_name_of_a_model_may_be_other_than_text(field, tmp_path):
    path = tmp_path / "m.onnx"
    model = small_model()
    model.functions.append(
        helper.make_function("NAME" if field == "function" else "f", "F", [], [], [], [])
    )
    if field == "graph":
        model.graph.name = "NAME"
    elif field == "input":
        model.graph.input[0].name = "NAME"
    elif field == "dim":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "NAME"
    path.write_bytes(model.SerializeToString().replace(b"NAME", b"\xff\xfe\xc0\x80"))
    assert refusal(path).code == "PK401"


def test_an_output_name_that_no_file_can_have_is_refused(tmp_path):
    source = written(tmp_path / "m.onnx", small_model())
    for name in ("a" * 300, "nul\0", ""):
        with pytest.raises(ModelError, match="PK407"):
            save_model(load_model(source), tmp_path / name, source)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_an_interrupted_copy_of_external_data_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "source" / "sub").mkdir(parents=True)
    (tmp_path / "source" / "sub" / "w.bin").write_bytes(bytes(16))
    source = written(tmp_path / "source" / "m.onnx", external_model("sub/w.bin"))
    target = tmp_path / "target"
    target.mkdir()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.copy_file_range", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_model(load_model(source), target / "m.onnx", source)
    assert list(target.iterdir()) == []


def test_functions_that_call_themselves_cannot_be_inlined():
    call = helper.make_node("F", ["x"], ["y"], domain="f")
    opsets = [helper.make_opsetid("f", 1)]
    model = small_model()
    model.functions.append(helper.make_function("f", "F", ["x"], ["y"], [call], opsets))
    model.graph.node[0].CopyFrom(call)
    model.opset_import.extend(opsets)
    with pytest.raises(ModelError, match="PK408"):
        inline_functions(model)


@pytest.mark.parametrize("key", ["location", "offset", "length"])
def test_external_data_named_by_no_text_is_refused(key, tmp_path):
    model = external_model()
    entry = next(one for one in model.graph.initializer[0].external_data if one.key == key)
    entry.value = "QZ"
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString().replace(b"QZ", b"\xff\xfe"))
    assert refusal(path).code == "PK404"


@pytest.mark.parametrize("equation", [b"i.", b"i1", b"i\xff", b"-i", b"i->j->k"])
def test_an_equation_on_which_inference_never_ends_is_refused(equation, tmp_path):
    node = helper.make_node("Einsum", ["x"], ["y"], equation=equation)
    error = refusal(
        written(tmp_path / "m.onnx", model_of([node], [value("x", [2])], [value("y", None)]))
    )
    assert error.code == "PK408"
    assert "equation" in error.message


@pytest.mark.parametrize("equation", ["ij,jk->ik", "b...i , b...j", "ii", "...ij->...ji", ",->"])
def test_an_equation_is_loaded(equation, tmp_path):
    node = helper.make_node("Einsum", ["x"], ["y"], equation=equation)
    model = model_of([node], [value("x", [2])], [value("y", None)])
    assert load_model(written(tmp_path / "m.onnx", model)) == model


@pytest.mark.parametrize(
    ("opset", "attributes"), [(18, {"num_outputs": 1}), (11, {"split": [1]}), (18, {"split": []})]
)
def test_a_split_into_another_number_of_outputs_is_refused(opset, attributes, tmp_path):
    """onnx's shape inference ends the process there."""
    node = helper.make_node("Split", ["x"], ["y", "z"])
    for name, number in attributes.items():
        is_list = isinstance(number, list)
        attribute = node.attribute.add(name=name, type=7 if is_list else 2)
        attribute.ints.extend(number if is_list else [])
        attribute.i = 0 if is_list else number
    model = model_of([node], [value("x", [2])], [value("y", None)])
    model.opset_import[0].version = opset
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "its 2 outputs" in error.message


@pytest.mark.parametrize("attributes", [{"num_outputs": 2}, {"split": [1, 1]}, {}])
def test_a_split_into_its_outputs_is_loaded(attributes, tmp_path):
    node = helper.make_node("Split", ["x"], ["y", "z"], **attributes)
    model = model_of([node], [value("x", [2])], [value("y", None)])
    assert load_model(written(tmp_path / "m.onnx", model)) == model


@pytest.mark.parametrize("outputs", [["x"], ["y", "y"], ["w", "y"]])
def test_a_name_with_two_values_is_refused(outputs, tmp_path):
    nodes = [helper.make_node("Relu", ["x"], [name]) for name in outputs]
    stored = helper.make_tensor("w", 1, [2], [0, 1])
    model = model_of(nodes, [value("x", [2])], [value(outputs[-1], [2])], [stored])
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert f"'{outputs[0]}' has two values" in error.message


def test_an_output_that_nothing_makes_is_refused(tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"])
    model = model_of([node], [value("x", [2])], [value("q", [2])])
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "output 'q', which no node produces" in error.message


def test_an_attribute_that_a_node_has_twice_is_refused(tmp_path):
    """TensorRT's parser would take one of the two."""
    node = helper.make_node("Softmax", ["x"], ["y"], axis=0)
    node.attribute.append(helper.make_attribute("axis", 1))
    error = refusal(
        written(tmp_path / "m.onnx", model_of([node], [value("x", [2])], [value("y", [2])]))
    )
    assert error.code == "PK408"
    assert "has attribute 'axis' twice" in error.message


def test_an_input_without_a_type_is_refused(tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"])
    untyped = helper.make_tensor_value_info("x", 0, [2])
    error = refusal(written(tmp_path / "m.onnx", model_of([node], [untyped], [value("y", [2])])))
    assert error.code == "PK408"
    assert "input 'x' has no element type" in error.message


@pytest.mark.parametrize("version", [-1, 0, 2**31])
def test_an_opset_that_there_cannot_be_is_refused(version, tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"])
    model = model_of([node], [value("x", [2])], [value("y", [2])])
    model.opset_import.append(helper.make_opsetid("ai.onnx", version))
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert f"imports opset {version} of ONNX's operators; expected 1 to" in error.message


def test_a_function_that_produces_its_own_input_is_refused(tmp_path):
    """ONNX Runtime crashes on it."""
    relu = helper.make_node("Relu", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function("f", "F", ["a", "b"], ["b"], [relu], opsets)
    call = helper.make_node("F", ["x"], ["y"], domain="f")
    model = model_of([call], [value("x", [2])], [value("y", [2])], functions=[function])
    error = refusal(written(tmp_path / "m.onnx", model))
    assert "'b' has two values" in error.message


def test_a_model_with_data_is_not_saved_to_a_folder_that_is_missing(tmp_path):
    source = written(tmp_path / "m.onnx", external_model())
    (tmp_path / "w.bin").write_bytes(bytes(16))
    with pytest.raises(ModelError) as caught:
        save_model(load_model(source), tmp_path / "missing" / "m.onnx", source)
    assert caught.value.code == "PK407"
    assert not (tmp_path / "missing").exists()


def test_a_node_without_a_required_input_is_refused(tmp_path):
    """onnx's shape inference crashes on it."""
    node = helper.make_node("EyeLike", ["", "x"], ["y"])
    model = model_of([node], [value("x", [2, 2])], [value("y", None)])
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "lacks input 0" in error.message


def test_a_node_without_an_optional_input_is_loaded(tmp_path):
    node = helper.make_node("Clip", ["x", "", "top"], ["y"])
    inputs = [value("x", [2]), value("top", [])]
    model = model_of([node], inputs, [value("y", [2])])
    assert load_model(written(tmp_path / "m.onnx", model)) == model


def test_a_negative_number_of_batch_dimensions_is_refused(tmp_path):
    """onnx's shape inference ends the process there."""
    node = helper.make_node("GatherND", ["x", "i"], ["y"], batch_dims=-(2**31))
    inputs = [value("x", [4, 2]), value("i", [2], 7)]
    model = model_of([node], inputs, [value("y", None)])
    error = refusal(written(tmp_path / "m.onnx", model))
    assert error.code == "PK408"
    assert "a negative number of batch dimensions" in error.message
