"""Rewrites are chosen by name, on request and for a target."""

import pytest

from pluginkit import RewriteChoice
from pluginkit.errors import UsageError
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.trt.target import Target
from tests.unit.onnx.models import (
    FuseSilu,
    Silu,
)
from tests.unit.onnx.rewriting.rewritten_models import Widen, silu_model


def test_only_and_skip_choose_by_name():
    assert rewrite_model(silu_model(), [FuseSilu], RewriteChoice(skip=["FuseSilu"])).applied == []
    chosen = rewrite_model(silu_model(), [FuseSilu, Widen], RewriteChoice(only=["FuseSilu"]))
    assert len(chosen.applied) == 1
    with pytest.raises(UsageError) as caught:
        rewrite_model(silu_model(), [FuseSilu], RewriteChoice(only=["FuseSulu"]))
    assert caught.value.code == "PK425"
    assert "FuseSilu" in caught.value.message


class FuseSiluOnRequest(FuseSilu):
    """x * sigmoid(x) -> Silu_PK(x), where it is named."""

    opt_in = True


def test_an_opt_in_rewrite_is_applied_where_it_is_named():
    rewrites = [FuseSiluOnRequest, Widen]
    left = rewrite_model(silu_model(), rewrites)
    assert left.applied == []
    assert left.model == silu_model()
    assert left.opt_in == ["FuseSiluOnRequest"]
    name = "FuseSiluOnRequest"
    for named in (RewriteChoice(also=[name]), RewriteChoice(only=[name])):
        result = rewrite_model(silu_model(), rewrites, choice=named)
        assert [one.rewrite for one in result.applied] == ["FuseSiluOnRequest"]
        assert result.opt_in == []
        again = rewrite_model(result.model, rewrites, choice=named)
        assert again.applied == []
        assert again.model == rewrite_model(result.model, rewrites).model == result.model


def test_also_adds_to_only_and_skip_has_the_last_word():
    name = "FuseSiluOnRequest"
    rewrites = [FuseSiluOnRequest, Widen]
    chosen = rewrite_model(silu_model(), rewrites, RewriteChoice(only=["Widen"], also=[name]))
    assert len(chosen.applied) == 1
    left = rewrite_model(silu_model(), rewrites, RewriteChoice(also=[name], skip=[name]))
    assert left.applied == left.opt_in == []
    with pytest.raises(UsageError, match="PK425 there is no rewrite 'FuseSulu'"):
        rewrite_model(silu_model(), rewrites, RewriteChoice(also=["FuseSulu"]))


def test_the_plugin_of_an_opt_in_rewrite_is_known_where_the_rewrite_is_left_out():
    fused = rewrite_model(
        silu_model(), [FuseSiluOnRequest], RewriteChoice(also=["FuseSiluOnRequest"])
    ).model
    del fused.graph.value_info[:]
    again = rewrite_model(fused, [FuseSiluOnRequest])
    assert [type(plugin) for _, _, plugin in plugin_nodes(again.model, again.plugins)] == [Silu]


RTX, TRT = Target("tensorrt_rtx", (1, 7)), Target("tensorrt", (10, 16))


def test_a_target_is_filled_in_only_where_there_is_none():
    choice = RewriteChoice(skip=["FuseSilu"])
    assert choice.for_target(RTX) == RewriteChoice(skip=["FuseSilu"], target=RTX)
    assert choice.for_target(RTX).for_target(TRT).target == RTX
    assert choice.for_target(None) == choice
