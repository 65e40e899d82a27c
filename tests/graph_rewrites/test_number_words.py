"""Strings of the original are the places of words in a list that the rewritten model has."""

import json

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.expand_linear_models import ExpandLinearClassifier
from pluginkit.graph_rewrites.expand_scalers import ExpandLabelEncoder, ExpandOneHotEncoder
from pluginkit.graph_rewrites.number_words import NumberWords
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.compare_models import compare_models
from pluginkit.onnx.running.run_model import run_onnxruntime

HEAD = '<ir_version: 9, opset_import: ["" : 19, "ai.onnx.ml" : 3]> '
CLASSES = """t (float[N, 2] x) => (string[N] y, float[N, 3] scores) {
    y, scores = ai.onnx.ml.LinearClassifier<classlabels_strings = ["low", "mid", "high"],
        coefficients = [1.0, 0.0, 0.0, 1.0, -1.0, -1.0], intercepts = [0.0, 0.0, 0.1]>(x) }"""
#: "no" is a word of the encoder alone, which gives it to keys that it lacks.
CODES = """t (string[N] x) => (float[N, 2] y, string[N] z, bool[N] same) <string[1] red = {"red"}> {
    y = ai.onnx.ml.OneHotEncoder<cats_strings = ["red", "blue"], zeros = 1>(x)
    z = ai.onnx.ml.LabelEncoder<keys_strings = ["red", "blue"], values_strings = ["hot", "cold"],
        default_string = "no">(x)
    same = Equal(x, red) }"""
BRANCHES = """t (bool c, string[2] x) => (string[3] y) <string[1] more = {"more"}> {
    y = If(c) <then_branch = a () => (string[3] p) { p = Concat<axis = 0>(x, more) },
        else_branch = b () => (string[3] q) {
            q = Constant<value_strings = ["a", "b", "more"]>() }> }"""
WORDS = np.array(["red", "blue", "green", "green"], object)


def parsed(text):
    return onnx.parser.parse_model(HEAD + text)


def listed(model):
    (entry,) = [each.value for each in model.metadata_props if each.key == "pluginkit.words"]
    return json.loads(entry)


def test_labels_are_places_in_the_list():
    result = rewrite_model(parsed(CLASSES), [NumberWords, ExpandLinearClassifier])
    assert listed(result.model) == ["high", "low", "mid"]
    assert result.notes[0].startswith("strings are numbers")
    x = np.float32([[3, 1], [1, 3], [-3, -3]])
    expected = run_onnxruntime(parsed(CLASSES), {"x": x})
    got = run_onnxruntime(result.model, {"x": x})
    assert [listed(result.model)[place] for place in got["y"]] == ["low", "mid", "high"]
    np.testing.assert_allclose(got["scores"], expected["scores"], rtol=1e-6)


def test_words_at_inputs_are_compared_and_looked_up():
    rewrites = [NumberWords, ExpandOneHotEncoder, ExpandLabelEncoder]
    result = rewrite_model(parsed(CODES), rewrites)
    words = listed(result.model)
    assert words == ["blue", "cold", "hot", "no", "red"]
    places = np.array([words.index("red"), words.index("blue"), 77, 78])
    got = run_onnxruntime(result.model, {"x": places})
    np.testing.assert_array_equal(got["y"], [[1, 0], [0, 1], [0, 0], [0, 0]])
    assert [words[place] for place in got["z"]] == ["hot", "cold", "no", "no"]
    np.testing.assert_array_equal(got["same"], [True, False, False, False])


@pytest.mark.parametrize("text", [CODES, BRANCHES])
def test_models_are_compared_in_numbers(tmp_path, text):
    onnx.save(parsed(text), tmp_path / "a.onnx")
    result = rewrite_model(parsed(text), [NumberWords])
    onnx.save(result.model, tmp_path / "b.onnx")
    inputs = {"x": WORDS[: 2 if text is BRANCHES else 4], "c": np.array(True)}
    inputs = {name: inputs[name] for name in ("x", "c") if f" {name}" in text.partition("=>")[0]}
    assert compare_models(tmp_path / "a.onnx", tmp_path / "b.onnx", inputs=inputs).ok
    assert compare_models(tmp_path / "a.onnx", tmp_path / "b.onnx", runs=3).ok
    for entry in result.model.metadata_props:
        entry.value = json.dumps(listed(result.model)[::-1])
    onnx.save(result.model, tmp_path / "b.onnx")
    assert not compare_models(tmp_path / "a.onnx", tmp_path / "b.onnx", inputs=inputs).ok


@pytest.mark.parametrize(
    "node",
    [
        'StringNormalizer<case_change_action = "LOWER">(x)',
        'ai.onnx.ml.LabelEncoder<keys_int64s = [1], values_strings = ["a"]>(n)',
    ],
)
def test_words_are_left_where_a_node_reads_their_letters(node):
    text = f"t (string[N] x, int64[N] n) => (string[N] y) {{ w = {node} y = Identity(w) }}"
    applied = [each.rewrite for each in rewrite_model(parsed(text), [NumberWords]).applied]
    assert applied == ([] if "Normalizer" in node else ["NumberWords"] * 2)


@pytest.mark.parametrize("word", ["", ", word"])
def test_words_are_padded_with_a_word_that_the_model_has(word):
    stored = 'int64[2] pads = {0, 1}, string word = {"more"}'
    text = f"t (string[N] x) => (string[M] y) <{stored}> {{ y = Pad(x, pads{word}) }}"
    applied = [each.rewrite for each in rewrite_model(parsed(text), [NumberWords]).applied]
    assert applied == (["NumberWords"] if word else [])


def test_a_label_encoder_without_a_default_gives_the_one_of_onnx():
    node = 'ai.onnx.ml.LabelEncoder<keys_int64s = [1], values_strings = ["a"]>(n)'
    model = parsed(f"t (int64[N] n) => (string[N] y) {{ y = {node} }}")
    result = rewrite_model(model, [NumberWords, ExpandLabelEncoder]).model
    got = run_onnxruntime(result, {"n": np.array([1, 2])})["y"]
    assert [listed(result)[place] for place in got] == ["a", "_Unused"]


def test_words_that_are_no_utf_8_have_numbers_of_their_own():
    node = 'ai.onnx.ml.LabelEncoder<keys_int64s = [1, 2], values_strings = ["a", "b"]>(n)'
    model = parsed(f"t (int64[N] n) => (string[N] y) {{ y = {node} }}")
    (held,) = (each for each in model.graph.node[0].attribute if each.name == "values_strings")
    held.strings[:] = [b"caf\xe9", b"caf\xe8"]
    result = rewrite_model(model, [NumberWords, ExpandLabelEncoder]).model
    got = run_onnxruntime(result, {"n": np.array([1, 2])})["y"].tolist()
    named = [listed(result)[place].encode(errors="surrogateescape") for place in got]
    assert named == [b"caf\xe9", b"caf\xe8"]


@pytest.mark.parametrize("default", [{}, {"default_string": "none"}])
def test_a_label_encoder_of_tensors_gives_the_default_that_it_has(default):
    model = parsed("t (int64[N] n) => (string[N] y) { y = ai.onnx.ml.LabelEncoder(n) }")
    model.opset_import[1].version = 4
    held = {"keys_tensor": np.array([1]), "values_tensor": np.array(["a"], object)}
    given = {name: onnx.numpy_helper.from_array(each, name) for name, each in held.items()}
    for name, value in {**given, **default}.items():
        model.graph.node[0].attribute.append(onnx.helper.make_attribute(name, value))
    feeds = {"n": np.array([1, 2])}
    result = rewrite_model(model, [NumberWords, ExpandLabelEncoder]).model
    words = dict(enumerate(listed(result)))
    got = [words.get(place) for place in run_onnxruntime(result, feeds)["y"].tolist()]
    assert got == run_onnxruntime(model, feeds)["y"].tolist()


@pytest.mark.parametrize("kind", ["string", "int64"])
def test_a_label_encoder_keeps_the_default_of_its_values(kind):
    values = 'values_strings = ["a"]' if kind == "string" else "values_int64s = [7]"
    node = (
        f'ai.onnx.ml.LabelEncoder<keys_strings = ["k"], {values}, default_string = "none", '
        "default_int64 = 5>(x)"
    )
    model = parsed(f"t (string[N] x) => ({kind}[N] y) {{ y = {node} }}")
    result = rewrite_model(model, [NumberWords, ExpandLabelEncoder]).model
    words = listed(result)
    got = run_onnxruntime(result, {"x": np.array([words.index("k"), 99])})["y"].tolist()
    assert ([words[place] for place in got] if kind == "string" else got) == (
        ["a", "none"] if kind == "string" else [7, 5]
    )


def test_numbers_are_left_and_twice_changes_nothing():
    plain = parsed("t (int64[N] x) => (int64[N] y) { y = Identity(x) }")
    assert rewrite_model(plain, [NumberWords]).applied == []
    once = rewrite_model(parsed(CODES), [NumberWords]).model
    assert rewrite_model(once, [NumberWords]).applied == []
    assert listed(once)
