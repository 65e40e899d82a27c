"""What Unique sorts: its levels, their sizes, and the constants that the kernels share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pluginkit import TensorDesc, known, may_hold, product, where
from pluginkit.plugins._cuda.radix_sort import DEFINES as SORT_DEFINES
from pluginkit.plugins._cuda.radix_sort import DIGIT_BITS, DIGITS, SWEEP_ITEMS, SWEEP_THREADS

THREADS = 256
#: How many keys a thread makes at once, and how many it checks for runs.
_LOADS, _ROUNDS = 4, 16
KEY_TILE, _RUN_TILE = _LOADS * THREADS, _ROUNDS * THREADS
#: The type of a key, by its bytes.
KEYS = {4: "unsigned int", 8: "unsigned long long"}

#: No sort takes as many sweeps. The sweep with this number brings ranks near to their positions.
LAST_SWEEP = 9
#: From so many ranks on, which the L2 cache does not hold, they are brought near to their positions
#: before they are written there; not from so many on that blocks would look at too many of them.
_NEAR_ITEMS, _FAR_ITEMS = 2**22, 2**26
#: How many ranks a block writes, and its threads.
WINDOW, SPREAD_THREADS = 2**14, 512
_STATE_BYTES = 72
#: From so many elements on, those whose keys are so close to each other are counted, not sorted. A
#: block counts fewer than 2^16 elements, since shared memory has two bytes for each key.
_DENSE_ITEMS, _DENSE_KEYS, DENSE_THREADS, _DENSE_EACH = 2**15, 3 * 2**14, 1024, 2**16 - 1
DENSE_SHARED_BYTES = 2 * _DENSE_KEYS
#: As many of their blocks as a large GPU runs at once, and the fewest elements that are worth one.
_DENSE_BLOCKS, _FEWEST_EACH = 264, 2**12
#: The threads of a block that sorts keys of 4 bytes, and how many keys each takes: few enough that
#: a multiprocessor runs two blocks.
_SHORT_THREADS, _SHORT_ITEMS = 512, 16
#: How many slices each of these threads takes if a block takes all: those of keys in one word, and
#: more whose keys have 4 bytes, for which shared memory has room.
BLOCK_ITEMS, SHORT_BLOCK_ITEMS = (1, 4, 8), (10,)
#: The threads of a block of a sweep, and how many keys each takes, by the bytes of a key.
SWEEPS = {4: (_SHORT_THREADS, _SHORT_ITEMS), 8: (SWEEP_THREADS, SWEEP_ITEMS[8])}
#: What find_runs does, as bits of a number.
MARKS, NEAR, VALUES = 1, 2, 4

#: The constants that the kernels share with Python.
DEFINES = {
    **SORT_DEFINES,
    "THREADS": THREADS,
    "LOADS": _LOADS,
    "ROUNDS": _ROUNDS,
    "LAST_SWEEP": LAST_SWEEP,
    "SHORT_THREADS": _SHORT_THREADS,
    "SHORT_ITEMS": _SHORT_ITEMS,
    "STATE_BYTES": _STATE_BYTES,
    "DENSE_KEYS": _DENSE_KEYS,
    "DENSE_THREADS": DENSE_THREADS,
    "WINDOW": WINDOW,
    "SPREAD_THREADS": SPREAD_THREADS,
    "MARKS": MARKS,
    "NEAR": NEAR,
    "VALUES": VALUES,
}

#: With this many blocks a large GPU is busy. Fewer blocks count digits, since each adds its counts
#: to the common ones with atomics at the end.
BLOCKS, COUNTING_BLOCKS = 2112, 1056
_ALIGNMENT = 256
#: The bytes of what blocks share of close keys, and of the tiles of those that number them.
DENSE_RUN_BLOCKS = -(-_DENSE_KEYS // _RUN_TILE)
DENSE_SHARED = (8 * _DENSE_KEYS, 4 * (1 + DENSE_RUN_BLOCKS))
#: More than any call has keys: check refuses those with as many elements. It bounds how many sorts
#: an export to C++ writes.
_MOST_KEYS = 2**30


@dataclass(frozen=True)
class Level:
    """One sort.

    Attributes:
        items: the number of keys.
        words: the keys of a slice.
        itemsize: the bytes of a key.
        bits: how many low bits of keys may differ.

    An export to C++ traces as many levels as any shape takes; a level that a shape does not take
    has no keys and no bits, and so no blocks.
    """

    items: int
    words: int
    itemsize: int
    bits: int

    @cached_property
    def sweeps(self) -> int:
        """The launches that sort, one for each digit."""
        return -(-self.bits // DIGIT_BITS)

    def blocks_of(self, sweep: int) -> int:
        """The blocks of one of them, which are none after the last."""
        return where(sweep < self.sweeps, self.sweep_blocks, 0)

    @cached_property
    def sweep_blocks(self) -> int:
        """The blocks of each sweep."""
        threads, items = SWEEPS[self.itemsize]
        return -(-self.items // (threads * items))

    @cached_property
    def run_blocks(self) -> int:
        """The blocks that look for runs."""
        return -(-self.items // _RUN_TILE)

    @cached_property
    def constants(self) -> dict[str, str]:
        """The kernels' constants: the type of a key."""
        return {"KEY": KEYS[self.itemsize]}

    @cached_property
    def shared(self) -> dict[str, int]:
        """The sizes of the memory that blocks share, by use; it is zeroed before the sort."""
        return {
            "runs": 4 * (1 + self.run_blocks),
            "order": 4 * (1 + self.run_blocks),
            "digits": 4 * DIGITS * self.sweeps,
            "tickets": 4 * self.sweeps,
            "swept": 4 * DIGITS * self.sweep_blocks * self.sweeps,
        }


@dataclass(frozen=True)
class UniqueProblem:
    """The sizes of a call with static shapes.

    Attributes:
        count: the slices that are compared; without an axis, the elements.
        elements: the elements of a slice.
        inner: how many of them are contiguous in memory.
        itemsize: the bytes of an element.
    """

    count: int
    elements: int
    inner: int
    itemsize: int

    @classmethod
    def of(cls, x: TensorDesc, axis: int | None) -> UniqueProblem:
        """Return the sizes for an input and an axis.

        Errors:
            PK126: axis is out of range.
        """
        if axis is None:
            return cls(known(x.size), 1, 1, x.dtype.itemsize)
        axis = x.axis(axis)
        inner = known(product(x.shape[axis + 1 :]))
        outer = known(product(x.shape[:axis]))
        return cls(known(x.shape[axis]), outer * inner, inner, x.dtype.itemsize)

    @cached_property
    def key_bytes(self) -> int:
        """The bytes of the keys that are sorted first."""
        return 4 if max(self.elements, 1) * self.itemsize <= 4 else 8

    @property
    def block_items(self) -> int:
        """How many slices each thread takes if a block takes all; 0 if it does not."""
        if self.elements * self.itemsize > max(KEYS):
            return 0
        choices = BLOCK_ITEMS + (SHORT_BLOCK_ITEMS if self.key_bytes == min(KEYS) else ())
        return next((each for each in choices if self.count <= each * _SHORT_THREADS), 0)

    def levels(self) -> Iterator[Level]:
        """Yield the sorts, each with fewer keys than the one before; the last has one per slice."""
        itemsize = self.key_bytes
        per_key = itemsize // self.itemsize
        words = max(1, -(-self.elements // per_key))
        bits = 8 * self.itemsize * min(self.elements, per_key)
        items = self.count * words
        yield Level(items, words, itemsize, bits)
        words, items = min(words, _MOST_KEYS), min(items, _MOST_KEYS)
        while may_hold(words > 1):
            bits = where(words > 1, 2 * (items - 1).bit_length(), 0)  # two ranks
            items = where(words > 1, self.count * ((words + 1) // 2), 0)
            words = (words + 1) // 2
            yield Level(items, words, 8, bits)
            items = min(items, _MOST_KEYS)

    @cached_property
    def last(self) -> Level:
        """The last level as far as what follows the sorts asks: a key for each slice."""
        return Level(self.count, 1, self.key_bytes, 0)

    @cached_property
    def near(self) -> Level:
        """The sweep that brings ranks near to their positions; empty if they are few."""
        count = where(self.count >= _NEAR_ITEMS, where(self.count < _FAR_ITEMS, self.count, 0), 0)
        return Level(count, 1, 4, where(count > 0, DIGIT_BITS, 0))

    @cached_property
    def dense(self) -> int:
        """The elements that are counted if their keys are close; 0 if they are sorted anyway."""
        return where(self.elements == 1, where(self.count >= _DENSE_ITEMS, self.count, 0), 0)

    @cached_property
    def dense_blocks(self) -> int:
        """The blocks that count them."""
        most = max(_DENSE_BLOCKS, -(-self.dense // _DENSE_EACH))
        return min(-(-self.dense // _FEWEST_EACH), most)

    @cached_property
    def sizes(self) -> list[int]:
        """The bytes of the workspace's parts: shared counts, keys and positions (twice)."""
        first = next(self.levels())  # the first level needs most
        keys, positions = first.items * first.itemsize, first.items * 4
        dense = where(self.count >= _DENSE_ITEMS, sum(DENSE_SHARED), 0)
        sizes = [_STATE_BYTES, dense, sum(self.near.shared.values()), sum(first.shared.values())]
        sizes += [keys, keys, positions, positions]
        return [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes] if self.count > 0 else []
