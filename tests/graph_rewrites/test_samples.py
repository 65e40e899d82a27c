"""Every rewrite that needs no plugin, on samples: numbers, form, and being applied twice."""

import inspect
import pkgutil

import numpy as np
import onnx
import pytest

import pluginkit.graph_rewrites
from pluginkit.errors import ModelError
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.graph_rewrite import GraphRewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.all_samples import ALL_SAMPLES
from tests.graph_rewrites.rewriting import run

#: Relative and absolute; sums of both sides round at other places.
TOLERANCES = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 2e-2}


@pytest.mark.parametrize("name", ALL_SAMPLES)
def test_a_sample_gives_the_same_as_the_operator_itself(name):
    sample = ALL_SAMPLES[name]
    result = rewrite_model(sample.model, sample.rewrites)
    applied = [each.rewrite for each in result.applied]
    assert applied.count(sample.rewrite.__name__) == 1
    assert sample.also or len(applied) == 1
    onnx.checker.check_model(result.model, full_check=True)
    got = run(result.model, sample.feeds)
    for before, after in zip(sample.expected(), got, strict=True):
        assert after.dtype == before.dtype
        assert after.shape == before.shape
        tolerance = TOLERANCES.get(before.dtype.name, 0)
        if tolerance or sample.units:
            before, after = before.astype(np.float64), after.astype(np.float64)
        atol = tolerance or sample.units
        np.testing.assert_allclose(after, before, rtol=tolerance, atol=atol)


@pytest.mark.parametrize("name", ALL_SAMPLES)
def test_applied_twice_changes_nothing(name):
    sample = ALL_SAMPLES[name]
    once = rewrite_model(sample.model, sample.rewrites).model
    again = rewrite_model(once, sample.rewrites)
    assert again.applied == []
    assert again.model == once


@pytest.mark.parametrize("name", ALL_SAMPLES)
def test_damage_is_a_reason_and_no_fault_of_the_rewrite(name):
    """A node whose last input, or an attribute, is gone makes an invalid model, or is left."""
    sample = ALL_SAMPLES[name]
    outcomes = set()
    for index in range(-1, len(sample.model.graph.node[0].attribute)):
        model = onnx.ModelProto()
        model.CopyFrom(sample.model)
        node = model.graph.node[0]
        del (node.input if index < 0 else node.attribute)[index]
        model.graph.output[0].type.tensor_type.ClearField("shape")
        try:
            rewrite_model(model, sample.rewrites)
            outcomes.add("no error")
        except ModelError as error:
            outcomes.add(error.code)
    assert outcomes <= {"no error", "PK408"}


def test_every_rewrite_without_a_plugin_has_samples():
    modules = {module.name for module in pkgutil.iter_modules(pluginkit.graph_rewrites.__path__)}
    assert "expand_pool" in modules
    elsewhere = {
        *(
            "DropUnusedOutputs",
            "InlineFunction",
            "InlinePreviewFunction",
            "StoreTopK",
            "WidenConv",
            "RoundUpInIntegers",
            "WidenResize",
            "ExpandDynamicCol2Im",
            "ExpandRepeatMask",
            "IsolateGridSample",
            "IsolateRecurrent",
            "CountInIntegers",
            "ExpandOneHot",
            "ExpandEmbeddingBag",
            "ExpandBagSequence",
            "ExpandRaggedLoop",
            "ExpandRaggedSequence",
            "ExpandNarrowConvolution",
            "DropSplitSequence",
            "ExpandMaskPasting",
            "ExpandBernoulli",
            "ExpandMultinomial",
            "ExpandTrainingDropout",
            "ExpandAtenCumMax",
            "ExpandAtenDiagEmbed",
            "ExpandAtenDiagonal",
            "ExpandAtenLogCumSumExp",
            "ExpandAtenLogDeterminant",
            "ExpandAtenScatterReduce",
            "RenameAtenBitwise",
            "RenameAtenOperator",
            "RenameHalfPixel",
            "RenameMicrosoftUnique",
            "CoupleGates",
            "ExpandBoolScatter",
            "ExpandIntegerReduction",
            "ExpandWindow",
            "GatherSlices",
            "GatherStridedSlices",
            "CompareSizes",
            "CompleteSlice",
            "MaskSlices",
            "QuantizeFloat8",
            "ReshapeSliceBounds",
        ),
    }
    found = {
        each
        for each in find_rewrites()
        if each.plugin is None
        and each.__module__.startswith("pluginkit.graph_rewrites.")
        and each.__name__ not in elsewhere
        and not issubclass(each, GraphRewrite)  # which need models of several nodes
    }
    with_samples = {sample.rewrite for sample in ALL_SAMPLES.values()}
    assert found == {each for each in with_samples if not issubclass(each, GraphRewrite)}
    assert all("->" in (inspect.getdoc(each) or "") for each in found)
