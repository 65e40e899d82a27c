"""Make the library that goes into a plan, so that the plan needs no Python."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.contract.plugin import Plugins
from pluginkit.current_work import scratch_prefix
from pluginkit.engine.build.build_options import ResolvedOptions
from pluginkit.engine.plan.library_record import LibraryRecord, library_record
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.trt.flavour import Flavour

if TYPE_CHECKING:
    import onnx


@contextmanager
def exported_plugins(
    flavour: Flavour,
    model: onnx.ModelProto,
    plugins: Plugins,
    shapes: Mapping[str, ShapeSpec],
    resolved: ResolvedOptions,
) -> Iterator[tuple[Path, LibraryRecord]]:
    """Make the library of a model's plugins, compared with their classes, for one build.

    Args:
        flavour: the TensorRT that builds, and will run the plan.
        model: the model, rewritten.
        plugins: by their keys.
        shapes: as for ``build_engine``.
        resolved: how to build.

    Returns:
        The library, which is deleted when the block ends, and what the manifest keeps of it.

    Errors:
        PK8xx: a plugin cannot be exported.
    """
    from pluginkit.engine.build.named_ranges import named_ranges
    from pluginkit.export.export_library import ExportOptions, export_library
    from pluginkit.export.model_variants import model_variants

    variants = model_variants(model, plugins, named_ranges(model, plugins, shapes))
    options = ExportOptions(
        tensorrt="rtx" if flavour.name == "tensorrt_rtx" else flavour.version,
        compute_capabilities=[f"{major}{minor}" for major, minor in sorted(resolved.capabilities)],
        interface=resolved.options.interface,
        with_static=False,
    )
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("standalone")) as folder:
        result = export_library(variants, Path(folder), "plugins", options)
        yield result.library, library_record(result, options)
