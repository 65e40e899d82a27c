"""The matrices that the benchmarks of linear algebra draw."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from drawn_sizes import size

#: Batches of matrices: what a thread, a warp and a block takes, and what is beyond shared memory.
CASES: dict[str, tuple[int, int, int]] = {
    "camera matrices": (100_000, 3, 3),
    "poses": (10_000, 4, 4),
    "one pose": (1, 4, 4),
    "filters": (10_000, 12, 12),
    "warps": (4096, 32, 32),
    "blocks": (1024, 48, 48),
    "beyond shared memory": (128, 128, 128),
    "one large matrix": (1, 256, 256),
}
HOSTILE = {
    "pairs": (2**18, 2, 2),
    "warps less one": (20_000, 17, 17),
    "one beyond 64": (500, 65, 65),
    "nine of 128": (9, 128, 128),
    "one beyond 256": (3, 257, 257),
    "one of 1000": (1, 1000, 1000),
    "one of 2048": (1, 2048, 2048),
    "one of 2300": (1, 2300, 2300),
}
#: Some matrices are enough for the reference.
SAMPLE = (slice(0, 16),)


def drawn(rng: Random) -> tuple[int, int, int]:
    """Return matrices of at most 1024 rows, and of at most 2^22 elements together."""
    rows = size(rng, 1, 1024)
    return size(rng, 1, 2**22 // rows**2), rows, rows


def draw(shape: tuple[int, int, int], columns: int = 0) -> Callable[[Any, int], list[Any]]:
    """Return what makes matrices whose determinants are in float32's range, and right sides."""

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        noise = rng.standard_normal(shape, dtype=xp.float32) / (2 * shape[-1] ** 0.5)
        matrices = noise + xp.eye(shape[-1], dtype=xp.float32)
        sides = rng.standard_normal((*shape[:-1], columns), dtype=xp.float32)
        return [matrices, sides] if columns else [matrices]

    return make
