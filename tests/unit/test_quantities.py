import doctest

from pluginkit import quantities


def test_the_examples_of_the_docstrings_hold() -> None:
    result = doctest.testmod(quantities)
    assert result.attempted >= 2
    assert result.failed == 0


def test_sizes_around_the_units() -> None:
    texts = [quantities.bytes_text(size) for size in (1, 1023, 1024, 2**20 - 1, 2**20, 2**30)]
    assert texts == ["1 byte", "1023 bytes", "1.0 KiB", "1024.0 KiB", "1.0 MiB", "1.0 GiB"]
