from pluginkit import RewriteChoice
from pluginkit.trt.target import Target

RTX, TRT = Target("tensorrt_rtx", (1, 7)), Target("tensorrt", (10, 16))


def test_a_target_is_filled_in_only_where_there_is_none():
    choice = RewriteChoice(skip=["FuseSilu"])
    assert choice.for_target(RTX) == RewriteChoice(skip=["FuseSilu"], target=RTX)
    assert choice.for_target(RTX).for_target(TRT).target == RTX
    assert choice.for_target(None) == choice
