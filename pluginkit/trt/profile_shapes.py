"""Check a plugin's shapes at the ends of a profile, before TensorRT tries the plugin."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.declared_shapes import evened
from pluginkit.contract.dims import are_known
from pluginkit.contract.dtypes import DType
from pluginkit.errors import TensorError

if TYPE_CHECKING:
    from pluginkit.trt.adapter import AdapterCore

#: What TensorRT has for the greatest size of a dimension of which it knows nothing.
_NO_LIMIT = 2**63 - 1


def check_profile(
    core: AdapterCore, inputs: Sequence[Any], outputs: Sequence[Any], dtypes: list[DType]
) -> None:
    """Run the author's check and shape function at both ends of a profile, and at its opt.

    TensorRT bounds each tensor by itself, where data decide a size very widely. So an end that is
    refused is checked again with the dimensions equal that are equal at opt.

    Args:
        core: the adapter of the plugin.
        inputs: DynamicPluginTensorDescs.
        outputs: the same of the outputs.
        dtypes: the inputs' dtypes.
    """
    opt = core.bounds(inputs, "opt")
    for bound, widest in (("min", min), ("opt", None), ("max", max)):
        shapes = core.bounds(inputs, bound)
        rest = (dtypes, f"profile's {bound}", [tuple(getattr(x, bound)[:]) for x in outputs])
        try:
            core.check_shapes(shapes, *rest)
        except TensorError as error:
            if widest is not None and are_known(opt):
                with suppress(TensorError):
                    core.check_shapes(evened(opt, shapes, widest), *rest)
                    continue
            _name_size_without_limit(core, error, inputs)
            raise


def _name_size_without_limit(core: AdapterCore, error: TensorError, inputs: Sequence[Any]) -> None:
    """Say in an error about shapes of which size TensorRT knows no limit, if there is one."""
    for port, each in zip(calls.device_ports(core.plugin), inputs, strict=True):
        if _NO_LIMIT in each.max[:]:
            error.where = f"input '{port.name}', of whose size TensorRT knows no limit"
            error.cause = "the size depends on data, as that of a Split by computed sizes does."
            error.fix = (
                "export the model so that sizes follow from those of its inputs: instead of a "
                "part of the rows, compute with all, and choose results with torch.where."
            )
