"""The launch of DeformConv where there is little to do; see few.cu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, ceil_div, dim_max, int32, int64, known, where
from pluginkit.plugins._cuda.division import divisor_numbers

if TYPE_CHECKING:
    from pluginkit.plugins.deform_conv import DeformConv

#: The threads of a block, in the kernels of few.cu and kernel.cu.
THREADS = 128
#: The output channels of a thread, of groups of several and of one.
FEW_MAPS = (4, 1)
#: How many lanes share the terms of an output; each term is a tap of a channel.
SHARES = (32, 8, 2, 1)
#: How many terms a lane reads at once, and how often, at most.
TERMS_AT_ONCE, _TURNS = 3, 6
#: With more threads there is much to do. Groups of one channel and one output have a kernel whose
#: threads take several of them, from half as many on.
_MOST_THREADS = 2**16


def few_launch(
    plugin: DeformConv,
    tensors: tuple[TensorDesc, TensorDesc, TensorDesc, TensorDesc | None, TensorDesc | None],
    sizes: tuple[int, ...],
    y: TensorDesc,
) -> Launch | None:
    """Return the launch, or None where there is much to do."""
    x, w, *_ = tensors
    depth, taps_y, taps_x = map(known, w.shape[1:])
    outputs, taps = known(y.shape[2]) * known(y.shape[3]), taps_y * taps_x
    terms, maps = depth * taps, known(w.shape[0]) // plugin.group
    tiles = -(-maps // FEW_MAPS[0])
    count = known(x.shape[0]) * plugin.group * tiles * outputs
    most = where(depth * maps <= 1, _MOST_THREADS // 2, _MOST_THREADS)
    for shares in SHARES:
        has_turns = where(terms > TERMS_AT_ONCE * _TURNS * shares, 0, 2 * known(dim_max(terms, 1)))
        if where(has_turns > shares, count * shares, most + 1) <= most:
            break
    else:
        return None
    part_depth = known(x.shape[1]) // plugin.offset_group
    by = (outputs, tiles, plugin.group, known(y.shape[3]), taps, taps_x, part_depth)
    divisors = int64([number for each in by for number in divisor_numbers(each)])
    return Launch(
        plugin.few,
        ceil_div(count * shares, THREADS),
        THREADS,
        (y, *tensors, int32(sizes), divisors, int32((depth, maps, count))),
        constants={"FEW_MAPS": FEW_MAPS[maps <= 1], "SHARES": shares},
    )
