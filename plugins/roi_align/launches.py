"""The launch of RoiAlign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pluginkit import Launch, Scalar, TensorDesc, ceil_div, int32, known
from pluginkit.plugins._cuda.division import divisor_of

if TYPE_CHECKING:
    from pluginkit.plugins.roi_align import RoiAlign

Pooling = Literal["avg", "max"]

#: The threads of a block, and the fewer where a region has no work for more.
_THREADS, _FEWER_THREADS = 256, (64, 128)
#: How many channels a thread takes at once. Several share the reading of a sample's position and
#: weights. Two are better if bins have many samples or pixels four bytes, because those of more
#: channels would not fit into the caches, and one if there is too little work for all
#: multiprocessors.
CHANNELS = (4, 2, 1)
#: With more samples of a bin along an axis, those of a mean that share pixels are merged.
_FEW_SAMPLES = 2
#: Up to so many samples of a bin are not merged, but computed by each thread, of so many channels.
_NOT_MERGED, _UNMERGED_CHANNELS = 4, 4
#: So many samples of a bin along an axis are computed, whether they are inside x or not.
_VISITED = 8
#: Up to so many bins of channels, each of which a thread takes alone; of the second number where
#: each is known to have so many samples that blocks merge them. With more samples along an axis, it
#: is known.
_FEW_BINS, _FEW_LARGE_BINS, _MANY_SAMPLES = 2**20, 2**15, 3
#: How many threads share the samples of a bin then, as powers of two, with up to so many threads:
#: eight if a large GPU has room for all of them at once; one where samples are known to be few.
POWERS, _SHARING = (3, 2, 0), (640 * _THREADS, 2**18, 0)
#: Of bins with at least so many columns of pixels that are merged, a thread takes a column of one,
#: in so many channels.
_WIDE, _COLUMN_CHANNELS = 6, 4
#: How many samples along an axis, of all bins of a region, a block keeps in shared memory; the
#: second number where it is known to suffice, so that more blocks have room.
KEPT, FEW_KEPT = 512, 128
#: With this many blocks a large GPU is busy.
_BLOCKS = 2112

#: The constants that the kernel shares with Python.
DEFINES = {
    "THREADS": _THREADS,
    "WIDE": _WIDE,
    "COLUMN_CHANNELS": _COLUMN_CHANNELS,
    "VISITED": _VISITED,
    "MERGED_SAMPLES": _NOT_MERGED,
    "UNMERGED_CHANNELS": _UNMERGED_CHANNELS,
    "Pooling": Pooling,
}


def launch_of(
    plugin: RoiAlign, x: TensorDesc, rois: TensorDesc, batch_indices: TensorDesc, y: TensorDesc
) -> Launch:
    """Return the launch: a block takes bins of one region and channels of each, or a thread one."""
    is_many = plugin.sampling_ratio > _MANY_SAMPLES
    if known(y.size) <= (_FEW_LARGE_BINS if is_many else _FEW_BINS):
        return _alone(plugin, x, rois, batch_indices, y)
    channels, regions = known(x.shape[1]), known(rois.shape[0])
    bins = plugin.output_height * plugin.output_width
    several, two, one = CHANNELS
    is_dense = not 0 < plugin.sampling_ratio <= _FEW_SAMPLES
    is_small = regions * -(-channels // several) * bins < _BLOCKS * _THREADS
    at_once = one if is_small else two if is_dense or x.dtype.itemsize == 4 else several
    is_merged = is_dense and plugin.mode == "avg"
    work = -(-channels // (one if is_merged else at_once)) * bins
    threads = next((each for each in _FEWER_THREADS if work <= each), _THREADS)
    samples = plugin.sampling_ratio * max(plugin.output_height, plugin.output_width)
    blocks = min(-(-work // _THREADS), max(1, -(-_BLOCKS // regions))) if regions else 0
    return Launch(
        plugin.kernel,
        (regions if y.size else 0, blocks),
        threads,
        (
            *(y, x, rois, batch_indices),
            _sizes(plugin, x),
            plugin.spatial_scale,
            plugin.coordinate_transformation_mode == "half_pixel",
        ),
        constants={
            "CHANNELS": at_once,
            "MERGED": is_merged,
            "KEPT": KEPT if is_dense or samples > FEW_KEPT else FEW_KEPT,
        },
    )


def _alone(
    plugin: RoiAlign, x: TensorDesc, rois: TensorDesc, batch_indices: TensorDesc, y: TensorDesc
) -> Launch:
    """Return the launch with a thread for each bin of a channel."""
    count = known(y.size)
    powers = () if 0 < plugin.sampling_ratio <= _FEW_SAMPLES else zip(POWERS, _SHARING, strict=True)
    power = next((power for power, most in powers if count * 2**power <= most), POWERS[-1])
    return Launch(
        plugin.alone,
        ceil_div(count * 2**power, _THREADS),
        _THREADS,
        (
            *(y, x, rois, batch_indices),
            _sizes(plugin, x),
            *(divisor_of(size) for size in (y.shape[3], y.shape[2], y.shape[1])),
            int32(count),
            plugin.spatial_scale,
            plugin.coordinate_transformation_mode == "half_pixel",
        ),
        constants={"POWER": power},
    )


def _sizes(plugin: RoiAlign, x: TensorDesc) -> Scalar:
    bins = plugin.output_height, plugin.output_width
    return int32((*map(known, x.shape), *bins, plugin.sampling_ratio))
