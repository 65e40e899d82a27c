"""Follow in the parser's log which node the parser is at."""

from __future__ import annotations

from pluginkit.engine.parse.parser_log import ParserLog


def read(*messages: str) -> ParserLog:
    log = ParserLog()
    for message in messages:
        log.read(message)
    return log


def test_the_node_that_was_begun_and_not_done_is_open() -> None:
    log = read(
        "Static check for parsing node: pluginkit_0 [Relu]",
        "Parsing node: pluginkit_0 [Relu]",
        "pluginkit_0 [Relu] inputs: [x -> (4)[FLOAT]], ",
        "pluginkit_0 [Relu] outputs: [y -> (4)[FLOAT]], ",
        "Parsing node: pluginkit_1 [Det]",
    )
    assert (log.begun, log.done) == ({"pluginkit_0", "pluginkit_1"}, {"pluginkit_0"})
    assert log.open == ["pluginkit_1"]


def test_after_a_body_the_node_around_it_is_open_again() -> None:
    log = read("Parsing node: a [If]", "Parsing node: b [Relu]", "b [Relu] outputs: [y -> ()], ")
    assert log.open == ["a"]


def test_the_value_that_the_parser_was_at_is_known_until_it_comes_to_a_node() -> None:
    inputs = [
        "Adding network input: x with dtype: float32, dimensions: (4)",
        "Registering tensor: x for ONNX tensor: x",
        "Adding network input: q with dtype: float32, dimensions: (3)",
        "Adding network input: z with dtype: float32, dimensions: (3)",
        "Registering tensor: z for ONNX tensor: z",
    ]
    assert read(*inputs).value == "q"
    assert read(*inputs[:2], "Importing initializer: w").value == "w"
    assert read(*inputs, "Parsing node: a [Relu]").value == ""


def test_the_observer_is_told_of_checks_too() -> None:
    seen: list[str] = []
    log = ParserLog(seen.append)
    log.read("Static check for parsing node: a [Relu]")
    log.read("Parsing node: b [Relu]")
    assert seen == ["a", "b"]
