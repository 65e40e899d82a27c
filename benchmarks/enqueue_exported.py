"""The host time of one enqueue of an exported plugin, from C++, compared with the driver alone.

    python benchmarks/enqueue_exported.py --build FOLDER    make the library and the program; no GPU
    python benchmarks/enqueue_exported.py --run FOLDER      run them and record; needs a GPU

Three inputs, one output, one small kernel, as enqueue.py measures in Python. The program is in
enqueue_exported.cpp; it drives the library as TensorRT does, checks results, captures a CUDA graph
and replays it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path

from add_three import SYMBOL, AddThreeBase
from record import host_environment, record

from pluginkit import Input, Output, float32
from pluginkit.bench.gpu_timer import GpuTimer
from pluginkit.export.compile.compiler import find_compiler
from pluginkit.export.compile.library_builder import RUNTIME
from pluginkit.export.export_library import ExportOptions, export_library
from pluginkit.export.variant import ANY, Variant

CAPABILITY = "90"


class AddThree(AddThreeBase):
    """The plugin under a name for this benchmark."""

    a, b, c = Input("T"), Input("T"), Input("T")
    y = Output("T", like="a")


def build(folder: Path) -> None:
    """Build the library, the program, and the kernel for the driver alone."""
    variant = Variant(AddThree(), (float32,) * 3, ((ANY,),) * 3)
    options = ExportOptions(
        tensorrt="11", compute_capabilities=(CAPABILITY,), with_static=False, with_source=True
    )
    export_library([variant], folder, "add_three", options)
    (cubin,) = (folder / "source" / "kernels").glob("*.cubin")
    shutil.copyfile(cubin, folder / "add_three.cubin")
    source = Path(__file__).with_suffix(".cpp")
    flags = ["-std=c++17", "-O2", "-DPLUGINKIT_TENSORRT_MAJOR=11", f"-I{RUNTIME}"]
    flags += ["-static-libstdc++", "-static-libgcc"]  # it may run on another machine
    program = folder / "enqueue_exported"
    compiler = find_compiler().command
    subprocess.run([compiler, *flags, str(source), "-o", str(program), "-ldl"], check=True)


def run(folder: Path) -> None:
    """Run the program, and record its output."""
    name, _, namespace = AddThree.spec.key
    files = [str(folder / file) for file in ("enqueue_exported", "libadd_three.so")]
    command = [*files, name, namespace, str(folder / "add_three.cubin"), SYMBOL]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(done.stdout, end="")
    environment = GpuTimer().environment() | host_environment()
    record("enqueue_exported", environment, [json.loads(done.stdout)])


def main() -> None:
    """Build, or run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, metavar="FOLDER")
    parser.add_argument("--run", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if given.build is not None:
        given.build.mkdir(parents=True, exist_ok=True)
        build(given.build.resolve())
    if given.run is not None:
        run(given.run.resolve())


if __name__ == "__main__":
    main()
