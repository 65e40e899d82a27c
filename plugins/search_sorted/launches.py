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
#: Up to how many values blocks do without trees where a sequence is larger than one, and is single
#: or of up to so many bytes with all others, which caches hold: making trees takes as long.
_TREELESS, _CACHED = 2**21, 2**19
#: From how many values on, in all and of each of several sequences, blocks of a thread for each are
#: larger. So a multiprocessor has fewer sequences at a time, whose upper levels its cache holds.
_LARGE_BLOCKS, _LARGE_SHARE = 2**18, 4096
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
    is_deep = size > 1 << _LEVELS and (is_single or known(sorted_sequence.nbytes) <= _CACHED)
    if count < _PLENTY or row_values < _MANY or (is_deep and count <= _TREELESS):
        one, several = ITEMS
        constants["ITEMS"] = items = several if count >= _PLENTY else one
        has_long_rows = not is_single and row_values >= _LARGE_SHARE
        is_large = has_long_rows and _LARGE_BLOCKS <= count < _PLENTY
        threads = _TREE_THREADS if is_large else _THREADS
        blocks = ceil_div(count, threads * items)
        return Launch(plugin.row_kernel, blocks, threads, args, constants=constants)
    rows = 1 if is_single else known(product(values.shape[:-1]))
    tiles = -(-row_values // (_TREE_THREADS * _TREE_ITEMS))
    row_blocks = min(tiles, -(-_BLOCKS // max(rows, 1)))
    tree_args = (*args, int32(row_blocks))
    blocks = rows * row_blocks
    return Launch(plugin.tree_kernel, blocks, _TREE_THREADS, tree_args, constants=constants)
