"""Export torchvision's detectors, build them with TensorRT-RTX, and compare what they find.

    python benchmarks/torchvision_detectors.py export FOLDER    # needs torch and torchvision
    python benchmarks/torchvision_detectors.py build FOLDER     # needs tensorrt_rtx

Weights are random, with a seed. Normalizations get the statistics of an image, and the weights of
heads have a spread that separates the scores: with those that torchvision draws, all scores are
nearly equal, and the order of boxes is arbitrary. ``build`` prints for each model in the folder
whether it builds, and how much its outputs differ from ONNX Runtime's, and records it in
results/torchvision_detectors.json. Outputs count as equal within 2e-4 (of a pixel, or of a score),
or 1e-4 of the number.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "torchvision_detectors"
SMALL = {"min_size": 256, "max_size": 320}
#: The function of torchvision.models.detection, and its options.
DETECTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "ssdlite320": ("ssdlite320_mobilenet_v3_large", {}),
    "ssd300": ("ssd300_vgg16", {}),
    "fasterrcnn_mobilenet_320": ("fasterrcnn_mobilenet_v3_large_320_fpn", {}),
    "fasterrcnn_resnet50": ("fasterrcnn_resnet50_fpn", SMALL),
    "maskrcnn_resnet50": ("maskrcnn_resnet50_fpn", SMALL),
    "keypointrcnn_resnet50": ("keypointrcnn_resnet50_fpn", SMALL | {"num_classes": 2}),
    "retinanet_resnet50": ("retinanet_resnet50_fpn", SMALL),
    "fcos_resnet50": ("fcos_resnet50_fpn", SMALL | {"score_thresh": 0.02}),
}
_SIZE = 320


def export(folder: Path, names: list[str]) -> None:
    """Write an ONNX file and an image for each detector."""
    import numpy as np
    import torch

    for name in names:
        generator = torch.Generator().manual_seed(1)
        image = torch.rand(3, _SIZE, _SIZE, generator=generator)
        with torch.no_grad():
            model = _detector(name, image, generator)
            found = model([image])[0]
        shown = {key: tuple(value.shape) for key, value in found.items()}
        print(name, shown, "scores", found["scores"][:5].tolist())
        np.savez(folder / f"{name}.npz", image=image.numpy())
        torch.onnx.export(
            model,
            ([image],),
            str(folder / f"{name}.onnx"),
            opset_version=17,
            dynamo=False,
            input_names=["image"],
        )


def _detector(name: str, image: Any, generator: Any) -> Any:
    import torch
    from torchvision.models import detection

    function, options = DETECTORS[name]
    torch.manual_seed(0)
    options = {"weights": None, "weights_backbone": None, "num_classes": 11} | options
    model = getattr(detection, function)(**options).eval()
    heads = ("head", "rpn", "predictor")
    for parameter_name, parameter in model.named_parameters():
        if any(each in parameter_name for each in heads) and parameter.ndim > 1:
            fan_in = parameter[0].numel()
            parameter.normal_(0, (1.5 / fan_in) ** 0.5, generator=generator)

    def take_statistics(module: Any, inputs: tuple[Any, ...]) -> None:
        module.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        module.running_var.copy_(inputs[0].var((0, 2, 3)) + 1e-3)

    kinds = ("BatchNorm2d", "FrozenBatchNorm2d")
    hooks = [
        module.register_forward_pre_hook(take_statistics)
        for module in model.modules()
        if type(module).__name__ in kinds
    ]
    model([image])
    for hook in hooks:
        hook.remove()
    return model


def build(folder: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """Build and compare each detector; yield the results."""
    import tempfile

    import numpy as np

    from pluginkit import (
        BuildOptions,
        PluginkitError,
        build_engine,
        compare_models,
        find_rewrites,
        load_model,
        rewrite_model,
        save_model,
    )

    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    for name in names:
        path = folder / f"{name}.onnx"
        result: dict[str, Any] = {"model": name, "built": False, "equal": False}
        try:
            with tempfile.TemporaryDirectory() as scratch:
                plan = Path(scratch) / "detector.plan"
                engine = build_engine(path, plan, options=options)
                result["built"] = True
                result["plugins"] = sorted(each.name for each in engine.manifest.plugins)
                rewritten = Path(scratch) / "rewritten.onnx"
                rewrite = rewrite_model(load_model(path), find_rewrites())
                save_model(rewrite.model, rewritten, path)
                inputs = dict(np.load(path.with_suffix(".npz")))
                plugins = rewrite.plugins
                comparison = compare_models(
                    path, rewritten, inputs=inputs, plugins=plugins, rtol=1e-4, atol=2e-4
                )
                result["equal"] = comparison.ok
                result["outputs"] = [
                    {"shape": list(each.shape), "max_abs_error": each.max_abs_error}
                    for each in comparison.outputs
                ]
        except PluginkitError as error:
            result["error"] = str(error)
        yield result


def main(arguments: list[str]) -> int:
    """Run one of the two commands; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["export", "build"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DETECTORS))
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.command == "export":
        export(given.folder, given.names or list(DETECTORS))
        return 0
    exported = [name for name in DETECTORS if (given.folder / f"{name}.onnx").is_file()]
    from record import RESULTS, host_environment, record

    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    found = {row["model"]: row for row in rows}
    results = []
    for result in build(given.folder, given.names or exported):
        results.append(result)
        found[result["model"]] = result
        print(json.dumps(result, indent=1), flush=True)
        record(NAME, host_environment(), [found[name] for name in DETECTORS if name in found])
    return 0 if all(each["equal"] for each in results) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
