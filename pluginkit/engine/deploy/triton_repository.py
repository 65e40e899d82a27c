"""Write a model repository for Triton Inference Server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pluginkit.engine.deploy.deployed_model import DeployedModel
from pluginkit.engine.deploy.host_lines import NOT_RUN, build_line, shape_options, triton_line
from pluginkit.engine.deploy.triton_config import triton_config


def triton_files(
    deployed: DeployedModel,
    repository: Path,
    library: tuple[str, bytes],
    model: Path,
    plan: bytes | None,
) -> tuple[dict[Path, bytes], tuple[str, ...]]:
    """Return the files of the repository, and the lines to type.

    Args:
        deployed: the model.
        repository: the repository's folder.
        library: the file name and the content of the library that registers itself.
        model: where the rewritten model is.
        plan: the plan; None where it must be made on the server first.

    Returns:
        The content of each file by path; the lines that make the plan, if need be, and start
        Triton.

    Errors:
        PK813: a tensor has a rank that is not known, or a type that Triton does not have.
    """
    name = deployed.source.name.removesuffix(".onnx")
    version = repository / name / "1"
    config = triton_config(name, deployed.inputs, deployed.outputs, deployed.profiles)
    files = {version.parent / "config.pbtxt": config.encode(), version / library[0]: library[1]}
    needs_plan = plan is None
    if plan is not None:
        files[version / "model.plan"] = plan
    shapes = shape_options(deployed.profiles)
    moved = _lines("$PWD", name, library[0], model.name, shapes, needs_plan=needs_plan)
    files[repository / "README.txt"] = "\n".join([*_told(needs_plan), *moved, ""]).encode()
    here = str(repository.resolve())
    lines = _lines(here, name, library[0], str(model.resolve()), shapes, needs_plan=needs_plan)
    return files, tuple(lines)


def _lines(
    repository: str, name: str, library: str, model: str, shapes: str, *, needs_plan: bool
) -> Iterator[str]:
    folder = f"{repository}/{name}/1"
    if needs_plan:
        yield build_line(model, f"{folder}/{library}", shapes, f"{folder}/model.plan")
    yield triton_line(repository, f"{folder}/{library}")


def _told(needs_plan: bool) -> list[str]:
    told = [
        "A model repository of Triton Inference Server, made by pluginkit. Type in this folder:",
        NOT_RUN,
    ]
    if needs_plan:
        told.append(
            "The plan is not here: TensorRT builds it on the GPU that runs it. The first line does "
            "that, with the TensorRT of your Triton and the model of the export; the second serves."
        )
    return told
