"""The launch of RoiAlign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pluginkit import Launch, TensorDesc, int32, known

if TYPE_CHECKING:
    from pluginkit.plugins.roi_align import RoiAlign

Pooling = Literal["avg", "max"]

_THREADS = 256
#: Channels that a thread takes at once, so that it reads a sample's place and weights once.
_CHANNELS = 4
#: Samples along an axis, over all bins of a region, that a block keeps in shared memory.
KEPT = 512
#: With this many blocks a large GPU is busy.
_BLOCKS = 2112

#: What the kernel shares with Python.
DEFINES = {"THREADS": _THREADS, "CHANNELS": _CHANNELS, "KEPT": KEPT, "Pooling": Pooling}


def launch_of(
    plugin: RoiAlign, x: TensorDesc, rois: TensorDesc, batch_indices: TensorDesc, y: TensorDesc
) -> Launch:
    """Return the launch: a block takes bins of one region, and channels of each."""
    images, channels, height, width = map(known, x.shape)
    regions = known(rois.shape[0])
    work = -(-channels // _CHANNELS) * plugin.output_height * plugin.output_width
    blocks = min(-(-work // _THREADS), max(1, -(-_BLOCKS // regions))) if regions else 0
    sizes = (images, channels, height, width, plugin.output_height, plugin.output_width)
    is_half_pixel = plugin.coordinate_transformation_mode == "half_pixel"
    return Launch(
        plugin.kernel,
        (regions if y.size else 0, blocks),
        _THREADS,
        (
            *(y, x, rois, batch_indices),
            int32((*sizes, plugin.sampling_ratio)),
            plugin.spatial_scale,
            is_half_pixel,
        ),
    )
