"""The launch of SearchSorted: of warps, of blocks with a tree, or of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, ceil_div, int32, int64, known, product
from pluginkit.plugins._cuda.division import divisor_numbers

if TYPE_CHECKING:
    from pluginkit.plugins.search_sorted import SearchSorted

_THREADS = 256
#: How many values a thread looks up at once, and from how many values on more than one.
ITEMS, _PLENTY = (1, 2), 2**20
#: The same where a block keeps a tree.
_TREE_THREADS, _TREE_ITEMS = 1024, 4
#: The levels of the tree that a block keeps in shared memory, at most, those of them below where
#: it keeps the ranges, and those that a warp asks.
_LEVELS, _FINE, _WARP_LEVELS = 13, 3, 5
#: From how many values of a sequence on blocks keep its tree, if there are plenty in all, and how
#: many blocks at most, unless there are more sequences.
_MANY, _BLOCKS = 2048, 264
#: Up to how many bytes caches serve sequences as well that are larger than a tree, and up to how
#: many values that takes less time than trees do.
_CACHED, _MOST_CACHED = 2**19, 2**21
#: Up to how many values a warp takes each, and in sequences of how many elements.
_FEW, _LONG = 2048, 32

#: The constants that the kernels share with Python.
DEFINES = {
    "FINE": _FINE,
    "LEVELS": _LEVELS,
    "THREADS": _THREADS,
    "TREE_ITEMS": _TREE_ITEMS,
    "TREE_THREADS": _TREE_THREADS,
    "WARP_LEVELS": _WARP_LEVELS,
}
#: The types of positions, of which a launch chooses one.
INDEX = {"INDEX": ("long long", "int")}


def launch_of(
    plugin: SearchSorted, sorted_sequence: TensorDesc, values: TensorDesc, y: TensorDesc
) -> Launch:
    """Return one launch, for few values, many in a sequence, or many sequences."""
    count, size = known(values.size), known(sorted_sequence.shape[-1])
    is_single = sorted_sequence.ndim == 1
    row_values = count if is_single else known(values.shape[-1])
    shapes = int64((count, 0 if is_single else size, size, *divisor_numbers(row_values)))
    args = (y, sorted_sequence, values, shapes)
    constants: dict[str, str | int] = {"INDEX": "int" if plugin.out_int32 else "long long"}
    if count <= _FEW and size >= _LONG:
        blocks = ceil_div(count, _THREADS // 32)
        return Launch(plugin.warp_kernel, blocks, _THREADS, args, constants=constants)
    is_cached = size > 1 << _LEVELS and known(sorted_sequence.nbytes) <= _CACHED
    if count < _PLENTY or row_values < _MANY or (is_cached and count <= _MOST_CACHED):
        one, several = ITEMS
        constants["ITEMS"] = items = several if count >= _PLENTY else one
        blocks = ceil_div(count, _THREADS * items)
        return Launch(plugin.row_kernel, blocks, _THREADS, args, constants=constants)
    rows = 1 if is_single else known(product(values.shape[:-1]))
    tiles = -(-row_values // (_TREE_THREADS * _TREE_ITEMS))
    row_blocks = min(tiles, -(-_BLOCKS // max(rows, 1)))
    tree_args = (*args, int32(row_blocks))
    blocks = rows * row_blocks
    return Launch(plugin.tree_kernel, blocks, _TREE_THREADS, tree_args, constants=constants)
