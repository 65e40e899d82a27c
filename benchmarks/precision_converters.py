"""Judge converters to float16 on models with plugin nodes: whether results are valid and build.

    python benchmarks/precision_converters.py [FOLDER ...] [--build]

Rewrites each model of the repository (and of the folders), converts it to float16 with inputs and
outputs kept in float32, and judges the result: the ONNX checker with full shape inference, the
types of every plugin node, the outputs (on NAME.npz if it is there), and with ``--build`` a plan of
TensorRT-RTX for 8.9. Nodes out of order
are sorted first. Needs no GPU; converters that are not installed are left out: onnxruntime (always
there), onnxconverter-common, nvidia-modelopt[onnx].
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from pluginkit.discovery import find_plugins
from pluginkit.engine import BuildOptions, build_engine
from pluginkit.errors import PluginkitError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.validate_model import (
    check_rewritten,
    complete_value_info,
    signature_of,
)
from pluginkit.onnx.model.graphs import scopes, sorted_nodes
from pluginkit.onnx.model.model_file import load_model, save_model
from pluginkit.onnx.precision.convert_precision import convert_precision
from pluginkit.onnx.precision.precision_options import METADATA_KEY, Precision, precision_of
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.rewriting.scope_edit import set_nodes
from pluginkit.onnx.running.compare_models import compare_models
from pluginkit.onnx.running.output_error import TOLERANCES

ROOT = Path(__file__).parents[1]
MODELS = (ROOT / "examples" / "models", ROOT / "tests" / "graph_rewrites" / "models")
PLUGINS = find_plugins()


def with_pluginkit(path: Path) -> onnx.ModelProto:
    """Convert with pluginkit's own pass."""
    model = load_model(path)
    convert_precision(model, Precision("float16"), PLUGINS, path.parent)
    return model


def with_onnxruntime(path: Path) -> onnx.ModelProto:
    """Convert with onnxruntime.transformers.float16."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(onnx.load(path), keep_io_types=True)


def with_onnxconverter_common(path: Path) -> onnx.ModelProto:
    """Convert with onnxconverter_common.float16."""
    from onnxconverter_common.float16 import convert_float_to_float16

    return convert_float_to_float16(onnx.load(path), keep_io_types=True)


def with_modelopt(path: Path) -> onnx.ModelProto:
    """Convert with NVIDIA ModelOpt's autocast."""
    from modelopt.onnx.autocast.convert import convert_to_mixed_precision

    return convert_to_mixed_precision(str(path), keep_io_types=True)


@dataclass(frozen=True)
class Judgement:
    """The verdict on a model: built or agrees, or not built, differs, invalid or raises."""

    outcome: str
    reason: str = ""


def judge(convert: Callable[[Path], onnx.ModelProto], path: Path, *, builds: bool) -> Judgement:
    """Convert a model and return the verdict."""
    try:
        model = convert(path)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # converters raise anything
        return Judgement("raises", f"{type(error).__name__}: {error}".partition("\n")[0])
    try:
        for scope in scopes(model):
            set_nodes(scope, sorted_nodes(scope) or list(scope.graph.node))
        check_rewritten(signature_of(model.graph), load_model(path), model)
        complete_value_info(model, infer_types(model), PLUGINS)
    except PluginkitError as error:
        return Judgement("invalid", (error.cause or str(error)).partition("\n")[0])
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / path.name
        if not precision_of(model):  # so that each value is rounded when it is compared
            model.metadata_props.add(key=METADATA_KEY, value="float16")
        save_model(model, made, path)
        problem = difference(path, made)
        if problem or not builds:
            return Judgement("differs" if problem else "agrees", problem)
        options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
        try:
            build_engine(made, options=options)
        except PluginkitError as error:
            return Judgement("not built", str(error).partition("\n")[0])
    return Judgement("built")


def difference(path: Path, made: Path) -> str:
    """Return how a converted model's outputs differ by more than float16's tolerance, or ""."""
    given = path.with_suffix(".npz")
    names = [value.name for value in onnx.load(path, load_external_data=False).graph.input]
    arrays = dict(np.load(given)) if given.exists() else {}
    inputs = {name: arrays[name] for name in names} if arrays else None
    tolerance = {"float32": TOLERANCES["float16"]}
    try:
        found = compare_models(
            path, made, inputs=inputs, rtol=tolerance, atol=tolerance, plugins=PLUGINS
        )
    except PluginkitError as error:
        return "" if error.code == "PK441" else str(error).partition("\n")[0]  # no way to run it
    wrong = [f"{each.name} by {each.max_abs_error:.3g}" for each in found.outputs if not each.ok]
    return ", ".join(wrong)


def main() -> None:
    """Print what each converter does with each model, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, help="further models")
    parser.add_argument("--build", action="store_true", help="build a plan of each result")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    paths = sorted(each for folder in (*MODELS, *args.folders) for each in folder.glob("*.onnx"))
    with tempfile.TemporaryDirectory() as folder:
        rewritten = [Path(folder) / path.name for path in paths]
        for path, target in zip(paths, rewritten, strict=True):
            result = rewrite_model(load_model(path), plugins=PLUGINS, in_place=True)
            save_model(result.model, target, path)
            if path.with_suffix(".npz").exists():
                shutil.copy(path.with_suffix(".npz"), folder)
        for convert in (with_pluginkit, with_onnxruntime, with_onnxconverter_common, with_modelopt):
            name = convert.__name__.removeprefix("with_")
            try:
                found = {p.stem: judge(convert, p, builds=args.build) for p in rewritten}
            except ImportError as error:
                print(f"{name}: not installed ({error})")
                continue
            for model, judgement in found.items():
                if judgement.reason:
                    print(f"  {name} {model}: {judgement.outcome}, {judgement.reason[:160]}")
            counts = Counter(judgement.outcome for judgement in found.values())
            print(f"{name}: {len(found)} models, {dict(counts)}", flush=True)


if __name__ == "__main__":
    main()
