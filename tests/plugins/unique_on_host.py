"""Run the launches of Unique on numpy arrays, with each kernel written in a few lines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pluginkit.contract import calls
from pluginkit.contract.launches import Fill
from pluginkit.kernels.enqueue_steps import enqueue_steps, nbytes_of

POISON = 0xA5
_INFINITY = {"float32": 0x7F800000, "float16": 0x7C00, "bfloat16": 0x7F80}


def keys_of(x):
    """Return unsigned integers in the order of the values."""
    size = 8 * x.dtype.itemsize
    bits, sign = x.view(f"u{x.dtype.itemsize}").astype(object), 1 << (size - 1)
    infinity = _INFINITY.get(x.dtype.name)
    if infinity is None:
        return [int(b) ^ sign for b in bits]
    keys = []
    for b in map(int, bits):
        magnitude = b & (sign - 1)
        key = (1 << size) - 1 - b if b & sign else b | sign
        key = sign if magnitude == 0 else key
        keys.append((1 << size) - 1 if magnitude > infinity else key)
    return keys


class State(NamedTuple):
    """What halves.cuh calls so."""

    highest_complement: np.ndarray
    half: np.ndarray
    out_of_order: np.ndarray
    in_order: np.ndarray
    is_dense: np.ndarray
    highest: np.ndarray


class Host:
    """Device memory, and the kernels that work on it."""

    def __init__(self, plugin, x):
        self.x = x
        self.inputs = calls.describe_arrays(plugin, [x])
        calls.check(plugin, self.inputs)
        self.outputs = calls.describe_outputs(plugin, self.inputs)
        self.work = enqueue_steps(plugin, self.inputs, self.outputs)
        self.plugin = plugin
        sizes = {("output", i): nbytes_of(desc) for i, desc in enumerate(self.outputs)}
        sizes["workspace", 0] = calls.workspace_bytes(plugin, self.inputs)
        self.memory = {slot: np.full(size, POISON, np.uint8) for slot, size in sizes.items()}

    def run(self):
        for step in self.work.steps:
            if isinstance(step, Fill):
                self._bytes(step.target)[:] = step.byte
            else:
                name, *_ = step.kernel.name.partition("<")
                self.key = np.uint32 if step.constants.get("KEY") == "unsigned int" else np.uint64
                self.grid = step.grid
                getattr(self, name)(*map(self._argument, step.args))
        written = [self.memory["output", i].tobytes() for i in range(len(self.outputs))]
        return calls.arrays_from_buffers(self.plugin, self.inputs, written)

    def _bytes(self, tensor):
        slot = tensor.slot
        return self.memory[slot.kind, slot.index][slot.offset :][: nbytes_of(tensor)]

    def _argument(self, argument):
        if hasattr(argument, "values") and not hasattr(argument, "slot"):
            return argument.values if len(argument.values) > 1 else argument.values[0]
        if not hasattr(argument, "slot"):
            return argument
        if argument.slot.kind == "input":
            return self.x.reshape(-1)
        return self._bytes(argument)

    def _write_keys(self, keys, into, positions, digits, state, passes):
        into.view(self.key)[: len(keys)] = np.array(keys, self.key)
        positions.view(np.int32)[: len(keys)] = np.arange(len(keys))
        counts = digits.view(np.int32).reshape(passes, 256)
        assert not counts.any()
        for sweep in range(passes):
            counts[sweep] = np.bincount([key >> 8 * sweep & 255 for key in keys], minlength=256)
        assert max(keys) < 1 << max(8 * passes, 1)
        assert not self._state(state).out_of_order
        self._state(state).out_of_order[:] = keys != sorted(keys)

    def find_range(self, state, x, elements):
        assert not state.any()
        assert len(x) == elements
        keys, state = keys_of(x), self._state(state)
        state.highest_complement[:] = (1 << 8 * x.dtype.itemsize) - 1 - min(keys)
        state.highest[:] = max(keys)

    def _state(self, state):
        words, longs = state.view(np.int32), state.view(np.uint64)
        return State(longs[:1], words[2:13], words[13:14], words[14:15], words[15:16], longs[8:9])

    def _keys_less_lowest(self, state, x):
        highest = int(self._state(state).highest_complement[0])
        self.lowest = (1 << 8 * x.dtype.itemsize) - 1 - highest if highest else 0
        return [key - self.lowest for key in keys_of(x)]

    def count_dense(self, dense, state, x, items, each):
        assert each < 1 << 16
        assert (self.grid - 1) * each < items <= self.grid * each
        keys, most = self._keys_less_lowest(state, x), len(dense) // 8
        if max(keys) >= most:
            return
        assert not dense.any()
        counts, blocks = dense.view(np.int32).reshape(2, most)
        counts[:] = np.bincount(keys, minlength=most)
        np.maximum.at(blocks, keys, self.grid - np.arange(items) // each)
        self._state(state).is_dense[:] = 1

    def number_dense(self, indices, counts, found, dense, tiles, state, blocks):
        if not self._state(state).is_dense:
            return
        all_counts, known = dense.view(np.int32).reshape(2, -1)
        is_there = all_counts > 0
        numbers = self._numbers(tiles, is_there)[is_there]
        found.view(np.int32)[0] = count = len(numbers)
        counts.view(np.int64)[:count] = all_counts[is_there]
        indices.view(np.int64)[:count] = 2**31 - 1
        known[is_there] = (blocks - known[is_there]) << 16 | numbers

    def rank_dense(self, inverse, indices, dense, state, x, items, each):
        if not self._state(state).is_dense:
            return
        known = dense.view(np.uint32).reshape(2, -1)[1, self._keys_less_lowest(state, x)]
        inverse.view(np.int64)[:] = known & 0xFFFF
        own = np.flatnonzero(known >> 16 == np.arange(items) // each)
        np.minimum.at(indices.view(np.int64), inverse.view(np.int64)[own], own)

    def slice_keys(self, keys, positions, digits, x, state, slices, passes):
        if self._state(state).is_dense:
            return
        count, elements, inner, words = slices
        bits, per_key = 8 * x.dtype.itemsize, np.dtype(self.key).itemsize // x.dtype.itemsize
        of = self._keys_less_lowest(state, x)
        made = []
        for item in range(count * words):
            one, word = divmod(item, words)
            key = 0
            for e in range(word * per_key, min((word + 1) * per_key, elements)):
                key = key << bits | of[(e // inner * count + one) * inner + e % inner]
            made.append(key)
        self._write_keys(made, keys, positions, digits, state, passes)

    def _in_order(self, state, *halves):
        """Return the keys, the positions and the other positions after the last sort."""
        keys, others, positions, other_positions = halves
        if self._state(state).half[8]:
            return others, other_positions, positions
        return keys, positions, other_positions

    def pair_ranks(self, *arguments):
        *halves, digits, state, items, words, bits, passes = arguments
        self.key = np.uint64
        keys, positions, ranks = self._in_order(state, *halves)
        rows = ranks.view(np.int32)[: items // ((words + 1) // 2) * words].reshape(-1, words)
        rows = np.pad(rows, ((0, 0), (0, words % 2))).astype(object)
        assert (rows >= 0).all()
        assert (rows < 1 << bits).all()
        made = (rows[:, ::2] << bits | rows[:, 1::2]).reshape(-1).tolist()
        assert len(made) == items
        self._write_keys(made, keys, positions, digits, state, passes)

    def place_digits(self, digits, state, sweeps, items, near, near_items, near_bit):
        assert self.grid == 1
        counts = digits.view(np.int32)[: 256 * sweeps].reshape(sweeps, 256)
        half, moves = self._state(state).half, self._state(state).out_of_order[0]
        half[0] = half[8]
        for sweep in range(sweeps):
            half[sweep + 1] = half[sweep] ^ (moves and items not in counts[sweep])
        half[8], half[9:] = half[sweeps], (0, moves)
        self._state(state).in_order[:], self._state(state).out_of_order[:] = not moves, 0
        counts[:] = counts.cumsum(1) - counts
        if near_items:
            near.view(np.int32)[:256] = np.minimum(np.arange(256) << near_bit, near_items)

    def sweep(self, *arguments):
        *halves, state, places, swept, ticket, items, bit, number = arguments
        before, after = self._state(state).half[number : number + 2]
        if before == after:
            return
        for mine in (swept.view(np.int32)[: 256 * self.grid], ticket.view(np.int32)[:1]):
            assert not mine.any()
            mine[:] = 1
        keys = halves[before].view(self.key)[items if number == 9 else 0 :][:items].copy()
        positions = halves[2 + before].view(np.int32)[:items].copy()
        digit = keys >> self.key(bit) & self.key(255)
        order = np.argsort(digit, kind="stable")
        begins = places.view(np.int32)[:256][digit[order]]
        np.testing.assert_array_equal(begins, np.searchsorted(digit[order], digit[order]))
        halves[after].view(self.key)[:items] = keys[order]
        halves[2 + after].view(np.int32)[:items] = positions[order]

    def _numbers(self, tiles, is_first):
        told = tiles.view(np.int32)[: 1 + self.grid]
        assert not told.any()
        told[:] = 1
        return np.cumsum(is_first) - 1

    def find_runs(self, y, indices, inverse, count, tiles, *rest):
        *halves, state, x, items, modes = rest
        if self._state(state).is_dense:
            return
        keys, positions, free = self._in_order(state, *halves)
        keys, positions = keys.view(self.key)[:items], positions.view(np.int32)[:items]
        is_first = np.append(True, keys[1:] != keys[:-1])
        numbers = self._numbers(tiles, is_first)
        if inverse is None:
            free.view(np.int32)[positions] = numbers
            return
        marked = np.where(is_first & bool(modes & 1), ~numbers, numbers)
        if modes & 2 and not self._state(state).in_order:
            inverse.view(np.int32)[:items] = marked
            inverse.view(np.int32)[items : 2 * items] = positions
        else:
            inverse.view(np.int64)[positions] = marked
        free.view(np.int32)[numbers[is_first]] = np.flatnonzero(is_first)
        count.view(np.int32)[0] = found = numbers[-1] + 1
        if not modes & 1:
            indices.view(np.int64)[:found] = positions[is_first]
            if modes & 4:
                taken = x[positions[is_first]]
                made = (keys[is_first].astype(object) + self.lowest).tolist()
                assert made == keys_of(taken)
                y.view(x.dtype)[:found] = taken

    def spread_ranks(self, inverse, positions, ranks, state, items, near_bit):
        if self._state(state).in_order:
            return
        positions, ranks = positions.view(np.int32)[:items], ranks.view(np.int32)[:items]
        assert (positions >> near_bit == np.arange(items) >> near_bit).all()
        inverse.view(np.int64)[positions] = ranks

    def order_runs(self, runs, places, tiles, inverse, items):
        inverse = inverse.view(np.int64)
        assert len(inverse) == items
        places_of = self._numbers(tiles, inverse < 0)[inverse < 0]
        run = ~inverse[inverse < 0]
        runs.view(np.int32)[places_of] = run
        places.view(np.int32)[run] = places_of

    def rename_runs(self, inverse, places, items):
        inverse = inverse.view(np.int64)
        inverse[:] = places.view(np.int32)[np.where(inverse < 0, ~inverse, inverse)]

    def write_runs(self, indices, counts, positions, others, state, runs, count, items):
        if self._state(state).is_dense:
            return
        _, positions, starts = self._in_order(state, None, None, positions, others)
        total = count.view(np.int32)[0]
        starts = starts.view(np.int32)[:total]
        sizes = np.diff(starts, append=items)
        run = slice(total) if runs is None else runs.view(np.int32)[:total]
        if runs is not None:
            indices.view(np.int64)[:total] = positions.view(np.int32)[starts[run]]
        counts.view(np.int64)[:total] = sizes[run]

    def take_slices(self, y, x, indices, count, state, only_dense, slices):
        if only_dense and not self._state(state).is_dense:
            return
        total = count.view(np.int32)[0]
        size, elements, inner, _ = slices
        taken = x.reshape(elements // inner, size, inner)[:, indices.view(np.int64)[:total]]
        y.view(x.dtype)[: taken.size] = taken.reshape(-1)
