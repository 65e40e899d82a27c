"""Write the README.txt of a deployment folder: ten lines for the person who gets it."""

from __future__ import annotations

from collections.abc import Sequence

import pluginkit
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.engine.deploy.host_lines import NOT_RUN, build_line, shape_options, triton_line
from pluginkit.engine.plan.library_record import LibraryRecord


def readme_text(
    name: str,
    plugins: Sequence[str],
    record: LibraryRecord,
    model: str,
    profiles: Sequence[OptimizationProfile],
) -> str:
    """Return the text.

    Args:
        name: the library's name, without ``lib``.
        plugins: the names of its plugins in TensorRT's registry.
        record: what is known about the library.
        model: the file name of the model; ``"MODEL.onnx"`` where there is none.
        profiles: of the model.
    """
    is_rtx = record.tensorrt == "rtx"
    tensorrt = "TensorRT-RTX" if is_rtx else f"TensorRT {record.tensorrt}"
    head = [
        f"lib{name}.so, lib{name}_static.so: plugins {', '.join(plugins)} for {tensorrt} on Linux "
        f"{record.arch}; made by pluginkit {pluginkit.__version__}. {name}.json says of what.",
        f"Needs {record.needs}. Needs no Python, no CUDA toolkit and no other file.",
    ]
    lines = _rtx_lines(name) if is_rtx else _tensorrt_lines(name, model, profiles)
    return "\n".join([*head, *lines, NOT_RUN, ""])


def _cpp_lines(name: str) -> list[str]:
    return [
        f'C++:          runtime->getPluginRegistry().loadLibrary("./lib{name}.so"); then '
        "runtime->deserializeCudaEngine(plan.data(), plan.size())",
    ]


def _tensorrt_lines(name: str, model: str, profiles: Sequence[OptimizationProfile]) -> list[str]:
    dynamic, static = f"./lib{name}.so", f"./lib{name}_static.so"
    shapes, plan = shape_options(profiles), "model.plan"
    return [
        f"trtexec:      {build_line(model, static, shapes, plan)}",
        f"              trtexec --loadEngine={plan} --staticPlugins={static}",
        f"One file:     trtexec --onnx={model} --versionCompatible --dynamicPlugins={dynamic} "
        f"--setPluginsToSerialize={dynamic}{shapes} --saveEngine={plan}; "
        f"trtexec --loadEngine={plan} --versionCompatible",
        *_cpp_lines(name),
        f'ONNX Runtime: InferenceSession("{model}", providers=[("TensorrtExecutionProvider", '
        f'{{"trt_extra_plugin_lib_paths": "{static}"}})])',
        f"Triton:       {triton_line('REPOSITORY', static)}",
        f"DeepStream:   onnx-file={model} and custom-lib-path={static}, under [property] of the "
        "nvinfer configuration",
    ]


def _rtx_lines(name: str) -> list[str]:
    return [
        *_cpp_lines(name),
        f"Python:       tensorrt_rtx.get_plugin_registry().load_library('./lib{name}.so')",
        f"dlopen:       lib{name}_static.so registers its plugins when a process that has "
        "TensorRT-RTX opens it, by LD_PRELOAD too; use one of the two, not both",
        "One file:     pluginkit build MODEL.onnx --standalone puts the library into the plan; "
        "load that with runtime->setEngineHostCodeAllowed(true)",
        "ONNX Runtime: its TensorRT provider loads TensorRT, not TensorRT-RTX; export with "
        "--tensorrt 10.x",
        "Triton:       likewise",
        "DeepStream:   likewise",
    ]
