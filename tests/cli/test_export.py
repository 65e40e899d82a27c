"""pluginkit export and build --standalone: what is written, what is refused, what is said."""

import ctypes
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit.cli.commands import export
from pluginkit.cli.main import main
from pluginkit.engine.deploy.export_folder import Deployment, _missing
from pluginkit.engine.plan.manifest import manifest_path, read_manifest
from pluginkit.errors import ExportError
from pluginkit.export import export_library
from pluginkit.export.compile import compiler
from pluginkit.export.prove.compare import Proof
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.plugins.circ_pad import CircPad
from tests.made_once import made_once

Capture = pytest.CaptureFixture[str]

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
NM = shutil.which("nm") or "nm"  # of binutils, as g++'s linker
ROOT = Path(__file__).parents[2]
CC = ("--compute-capability", "8.9")
RTX = ("--tensorrt", "tensorrt_rtx")


def tensor(name: str, height: int, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, height, width])


def save_model(path: Path, *, has_plugin: bool = True) -> Path:
    node = plugin_node(CircPad(pads=(1, 1, 0, 0)), ["x"], ["y"], "pad")
    padded = tensor("y", 4, 5) if has_plugin else tensor("y", 3, 4)
    nodes = [node if has_plugin else helper.make_node("Relu", ["x"], ["y"])]
    graph = helper.make_graph(nodes, "g", [tensor("x", 3, 4)], [padded])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with padded.onnx, and everything that an export of it can write in deploy/."""

    def export(folder: Path) -> None:
        model = save_model(folder / "padded.onnx")
        argv = ["export", str(model), "-o", str(folder / "deploy"), "--source", *CC]
        assert main([*argv, "--tensorrt", "10.16", "--triton", str(folder / "triton")]) == 0

    return made_once(tmp_path_factory, "exported", export)


@pytest.fixture(scope="module")
def for_rtx(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library for TensorRT-RTX, and so for TensorRT 11."""

    def export(folder: Path) -> None:
        argv = ["export", str(exported / "padded.onnx"), "-o", str(folder), *CC]
        assert main([*argv, "--tensorrt", "rtx"]) == 0

    return made_once(tmp_path_factory, "exported_rtx", export)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def symbols(library: Path) -> set[str]:
    listed = subprocess.run(
        [NM, "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True
    )
    return {line.split()[2].partition("@")[0] for line in listed.stdout.splitlines()} - {
        "PLUGINKIT"
    }


@needs_compiler
@pytest.mark.slow
class TestModel:
    def test_the_description_has_the_hash_of_every_file(self, exported: Path):
        files = content(exported / "deploy")
        document = json.loads(files["padded_plugins.json"])
        hashes = document["files"]
        assert {"libpadded_plugins.so", "libpadded_plugins_static.so"} <= set(hashes)
        assert set(files) - set(hashes) == {
            "README.txt",
            "padded.plugins.onnx",
            "padded_plugins.json",
        }
        for name, digest in hashes.items():
            assert hashlib.sha256(files[name]).hexdigest() == digest, name

    def test_the_description_says_what_the_library_is_made_of_and_needs(self, exported: Path):
        document = json.loads((exported / "deploy" / "padded_plugins.json").read_text())
        record = document["library"]
        assert document["plugins"] == ["CircPad_PK"]
        assert record["tensorrt"] == "10.16"
        assert record["compute_capabilities"] == ["8.9"]
        assert record["kernels"] == 1
        assert record["proved_calls"] == 16  # every size of the batch
        assert "g++" in record["compiler"] or "clang" in record["compiler"]
        sources = content(exported / "deploy" / "source")
        assert set(sources) - set(record["sources"]) == {"CMakeLists.txt"}
        for name, digest in record["sources"].items():
            assert hashlib.sha256(sources[name]).hexdigest() == digest, name

    def test_the_readme_has_ten_lines_and_names_files_that_are_there(self, exported: Path):
        lines = (exported / "deploy" / "README.txt").read_text().splitlines()
        assert len(lines) == 10
        for word in ("trtexec", "loadLibrary", "trt_extra_plugin_lib_paths", "tritonserver"):
            assert any(word in line for line in lines), word
        assert any("custom-lib-path=./libpadded_plugins_static.so" in line for line in lines)
        assert any("--minShapes=x:1x1x3x4" in line for line in lines)
        assert lines[-1].startswith("Not run by the authors")
        for name in ("padded.plugins.onnx", "libpadded_plugins.so", "libpadded_plugins_static.so"):
            assert (exported / "deploy" / name).is_file()

    def test_the_model_names_the_plugins_in_the_domain_of_onnx_runtime(self, exported: Path):
        model = onnx.load(exported / "deploy" / "padded.plugins.onnx")
        (node,) = model.graph.node
        assert (node.domain, node.op_type) == ("trt.plugins", "CircPad_PK")
        assert "trt.plugins" in {one.domain for one in model.opset_import}
        values = {one.name: one.s for one in node.attribute if one.s}
        assert values["plugin_namespace"] == b"pluginkit"

    def test_each_library_has_the_entry_points_of_its_loading_style(self, exported: Path):
        folder = exported / "deploy"
        dynamic = symbols(folder / "libpadded_plugins.so")
        assert {"getCreators", "setLoggerFinder"} <= dynamic
        assert "getCreators" not in symbols(folder / "libpadded_plugins_static.so")

    def test_the_triton_repository_is_whole_but_for_the_plan(self, exported: Path):
        files = content(exported / "triton")
        assert set(files) == {
            "README.txt",
            "padded/config.pbtxt",
            "padded/1/libpadded_plugins_static.so",
        }
        library = (exported / "deploy" / "libpadded_plugins_static.so").read_bytes()
        assert files["padded/1/libpadded_plugins_static.so"] == library
        *_, build, serve = files["README.txt"].decode().splitlines()
        assert build.startswith("trtexec --onnx=padded.plugins.onnx --staticPlugins=$PWD/padded/1/")
        assert build.endswith("--saveEngine=$PWD/padded/1/model.plan")
        assert serve == (
            "tritonserver --model-repository=$PWD --backend-config=tensorrt,"
            "plugins=$PWD/padded/1/libpadded_plugins_static.so"
        )
        assert b"max_batch_size: 16" in files["padded/config.pbtxt"]

    def test_a_tensorrt_older_than_the_rewrites(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ):
        unoptimised = dataclasses.replace(compiler.find_compiler(), optimization="-O0")
        monkeypatch.setattr(export_library, "find_compiler", lambda arch=None: unoptimised)
        model = save_model(tmp_path / "padded.onnx")
        folder = tmp_path / "deploy"
        assert main(["export", str(model), "-o", str(folder), "--tensorrt", "8.6", *CC]) == 0
        assert "the model is rewritten for the parser of tensorrt 10.16" in capsys.readouterr().err
        assert "getPluginCreators" in symbols(folder / "libpadded_plugins.so")
        assert (
            json.loads((folder / "padded_plugins.json").read_text())["library"]["tensorrt"] == "8.6"
        )

    def test_the_same_command_gives_the_same_bytes(self, exported: Path, tmp_path: Path):
        other = tmp_path / "elsewhere" / "deploy"
        (tmp_path / "scratch").mkdir()
        subprocess.run(
            [sys.executable, "-m", "pluginkit", "export", str(exported / "padded.onnx"),
             "-o", str(other), "--source", *CC, "--tensorrt", "10.16"],
            check=True,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1",
                 "TMPDIR": str(tmp_path / "scratch"), "SOURCE_DATE_EPOCH": "1"},
        )  # fmt: skip
        assert content(other) == content(exported / "deploy")

    @pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
    def test_cmake_builds_the_sources(self, exported: Path, tmp_path: Path):
        source = exported / "deploy" / "source"
        for command in (
            ["cmake", "-S", str(source), "-B", str(tmp_path), "-DCMAKE_CXX_FLAGS=-O0",
             "-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0"],
            ["cmake", "--build", str(tmp_path)],
        ):  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        built = tmp_path / "libpadded_plugins.so"
        assert symbols(built) == symbols(exported / "deploy" / "libpadded_plugins.so")
        count = ctypes.c_int32(-1)
        ctypes.CDLL(str(built)).getCreators(ctypes.byref(count))
        assert count.value == 1
        for image in (source / "kernels").iterdir():
            assert image.read_bytes() in built.read_bytes()
        assert (tmp_path / "libpadded_plugins_static.so").is_file()

    @pytest.mark.trt
    @pytest.mark.parametrize("flavour", ["tensorrt_rtx", "tensorrt_lean"])
    def test_the_installed_tensorrts_load_it(self, exported: Path, for_rtx: Path, flavour: str):
        from pluginkit.trt.flavour import installed_version

        version = installed_version(flavour)
        if version is None:
            pytest.skip(f"{flavour} is not installed")
        is_ten = flavour == "tensorrt_lean" and version.startswith("10.")
        folder = exported / "deploy" if is_ten else for_rtx
        script = f"""
from pluginkit.trt.flavour import load_flavour
trt = load_flavour({flavour!r}).module
registry, logger = trt.get_plugin_registry(), trt.Logger()
before = registry.get_creator("CircPad_PK", "1", "pluginkit")
handle = registry.load_library({str(folder / "libpadded_plugins.so")!r})
after = registry.get_creator("CircPad_PK", "1", "pluginkit")
print(before is None, handle is not None, after is not None)
if hasattr(trt, "OnnxParser"):
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    print(parser.parse_from_file({str(folder / "padded.plugins.onnx")!r}))
    print(tuple(network.get_output(0).shape))
    del parser, network, builder
"""
        said = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ).stdout
        expected = "True True True\n"
        parsed = "True\n(-1, 1, 4, 5)\n" if flavour == "tensorrt_rtx" else ""
        assert said == expected + parsed


@needs_compiler
class TestPlugins:
    @pytest.mark.slow
    def test_only_the_types_and_attributes_asked_for(self, tmp_path: Path, capsys: Capture):
        argv = ["export", "CircPad", "-o", str(tmp_path), "--tensorrt", "11.1", *CC, "--json"]
        chosen = ["--types", "float16", "--attribute", "pads=[1,1,1,1]"]
        assert main([*argv, *chosen]) == 0
        report = json.loads(capsys.readouterr().out)
        variants = report["record"]["variants"]
        assert variants
        assert all("pads=(1, 1, 1, 1)" in one and "float16[" in one for one in variants)
        assert set(report["files"]) == {
            "libcirc_pad.so",
            "libcirc_pad_static.so",
            "circ_pad.json",
            "README.txt",
        }
        assert "getCreators" in symbols(tmp_path / "libcirc_pad.so")

    @pytest.mark.slow
    def test_the_command_of_the_page(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ):
        page = (ROOT / "docs" / "leaving-python.md").read_text()
        (command,) = re.findall(r"^    pluginkit (export NonZero .*)$", page, re.M)
        monkeypatch.chdir(tmp_path)
        assert main([*command.split(), "--tensorrt", "rtx", *CC]) == 0
        said = capsys.readouterr().out
        assert "Different shapes among them: " in said
        assert re.search(r"of NonZero; they took \d+ of \d+ paths through launches", said)
        assert (tmp_path / "deploy" / "libnon_zero.so").is_file()
        document = json.loads((tmp_path / "deploy" / "non_zero.json").read_text())
        variants = document["library"]["variants"]
        assert len(variants) == 8
        types = {text.partition("x ")[2].partition("[")[0] for text in variants}
        assert types == {"float32", "int32"}

    def test_a_type_that_no_input_can_have_is_refused(self, tmp_path: Path, capsys: Capture):
        argv = ["export", "CircPad", "-o", str(tmp_path / "new"), "--types", "float64"]
        assert main(argv) == 2
        assert capsys.readouterr().err.startswith("PK811 CircPad: no input can be 'float64'")
        assert not (tmp_path / "new").exists()

    @pytest.mark.exhaustive  # tests/export/test_life_cycle.py has the runtime for aarch64
    @pytest.mark.slow
    def test_another_processor(self, tmp_path: Path):
        if shutil.which("aarch64-linux-gnu-g++") is None:
            pytest.skip("needs aarch64-linux-gnu-g++ (Debian's g++-aarch64-linux-gnu)")
        argv = ["export", "CircPad", "-o", str(tmp_path), "--tensorrt", "10.3", *CC]
        chosen = ["--types", "float16", "--attribute", "pads=[1,1,1,1]"]
        assert main([*argv, *chosen, "--arch", "aarch64"]) == 0
        for name in ("libcirc_pad.so", "libcirc_pad_static.so"):
            header = (tmp_path / name).read_bytes()[:20]
            assert header.startswith(b"\x7fELF")
            assert int.from_bytes(header[18:20], "little") == 183  # EM_AARCH64
        document = json.loads((tmp_path / "circ_pad.json").read_text())
        assert document["library"]["arch"] == "aarch64"
        assert "aarch64" in document["library"]["compiler"]

    def test_without_the_cross_compiler_the_package_is_named(
        self, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ):
        which = shutil.which
        monkeypatch.setattr(
            compiler.shutil, "which", lambda name: None if "aarch64" in name else which(name)
        )
        argv = ["export", "CircPad", "-o", str(tmp_path / "new"), "--arch", "aarch64"]
        assert main(argv) == 2
        said = capsys.readouterr().err
        assert said.startswith("PK805 no C++ compiler for aarch64")
        assert "apt-get install g++-aarch64-linux-gnu" in said
        assert not (tmp_path / "new").exists()


class TestRefusals:
    def test_a_model_without_plugins(self, tmp_path: Path, capsys: Capture):
        model = save_model(tmp_path / "plain.onnx", has_plugin=False)
        assert main(["export", str(model), "-o", str(tmp_path / "new")]) == 2
        assert capsys.readouterr().err.startswith("PK809 no plugin is used")
        assert not (tmp_path / "new").exists()

    def test_an_unknown_tensorrt(self, tmp_path: Path, capsys: Capture):
        model = save_model(tmp_path / "padded.onnx")
        argv = ["export", str(model), "-o", str(tmp_path / "new"), "--tensorrt", "9.1"]
        assert main(argv) == 2
        assert capsys.readouterr().err.startswith("PK807 TensorRT 9.1; expected 8.6")

    def test_triton_for_rtx(self, tmp_path: Path, capsys: Capture):
        model = save_model(tmp_path / "padded.onnx")
        argv = ["export", str(model), "-o", str(tmp_path / "new"), "--tensorrt", "rtx"]
        assert main([*argv, "--triton", str(tmp_path / "triton")]) == 2
        assert capsys.readouterr().err.startswith("PK812 Triton's TensorRT backend runs TensorRT;")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["padded.onnx"]

    @pytest.mark.parametrize(
        "words",
        [
            ["a.onnx", "b.onnx"],
            ["a.onnx", "CircPad"],
            ["a.onnx", "--types", "float16"],
            ["a.onnx", "--attribute", "k=3"],
            ["CircPad", "--shapes", "y:1x1"],
            ["CircPad", "--triton", "t"],
            ["CircPad", "--attribute", "k"],
        ],
    )
    def test_options_that_say_nothing(self, tmp_path: Path, capsys: Capture, words: list[str]):
        assert main(["export", *words, "-o", str(tmp_path / "new")]) == 2
        assert capsys.readouterr().err.startswith("PK814 ")
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize(
        ("there", "kernels", "code"), [(["Scale"], 2, 0), (["Scale"], 0, 1), (["Other"], 2, 1)]
    )
    def test_a_library_that_launches_nothing_of_a_plugin(
        self,
        tmp_path: Path,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
        there: list[str],
        kernels: int,
        code: int,
    ):
        made = {name: SimpleNamespace(plugin=type(name, (), {})()) for name in ("Scale", "Other")}
        proof = Proof(calls=1, refusals=0, steps=1, shapes={}, paths=1, taken=1)
        result = SimpleNamespace(
            variants=[made[name] for name in there],
            kernels=kernels,
            left_out=[(made["Scale"], ExportError("PK800", "no.", fix="give --shapes."))],
        )
        record = SimpleNamespace(
            tensorrt="rtx",
            arch="x86_64",
            variants=there,
            kernels=kernels,
            kernel_bytes=1,
            needs="a",
        )
        deployment = Deployment(
            tmp_path, {}, ("Scale_PK",), record, proof, ("x: PK800 no.\n  Fix:   it.",),
            _missing(result), (), 1.0,
        )  # fmt: skip
        monkeypatch.setattr(export, "_export_plugins", lambda *_: deployment)
        assert main(["export", "CircPad", "-o", str(tmp_path)]) == code
        said, errors = capsys.readouterr()
        assert "Left out: x: PK800 no.\n  Fix:   it.\n" in said
        assert ("Of Scale, no call that launches a kernel is in the library." in errors) == code

    def test_a_gpu_that_the_compiler_does_not_know(self, tmp_path: Path, capsys: Capture):
        argv = ["export", "CircPad", "-o", str(tmp_path / "new"), "--compute-capability", "3.0"]
        assert main(argv) == 2
        said = capsys.readouterr().err
        assert re.match(r"PK512 NVRTC \d+\.\d+ cannot compile for .* 3\.0; expected .*8\.9", said)
        assert not (tmp_path / "new").exists()

    def test_headers_that_are_none(self, tmp_path: Path, capsys: Capture):
        model = save_model(tmp_path / "padded.onnx")
        argv = ["export", str(model), "-o", str(tmp_path / "new"), "--tensorrt", "10.3"]
        assert main([*argv, "--tensorrt-include", str(tmp_path)]) == 2
        assert f"PK815 {tmp_path} holds no NvInferVersion.h" in capsys.readouterr().err
        for name in ("NvInferVersion.h", "NvInferRuntime.h", "NvInfer.h"):
            (tmp_path / name).write_text("#define NV_TENSORRT_MAJOR 11\n")
        assert main([*argv, "--tensorrt-include", str(tmp_path)]) == 2
        assert "holds headers of TensorRT 11; the library is for" in capsys.readouterr().err
        assert not (tmp_path / "new").exists()

    @needs_compiler
    def test_headers_that_differ(self, tmp_path: Path, capsys: Capture):
        model = save_model(tmp_path / "padded.onnx")
        for name in ("NvInferVersion.h", "NvInferRuntime.h", "NvInfer.h"):
            (tmp_path / name).write_text(
                "#define NV_TENSORRT_MAJOR 10\nnamespace nvinfer1 { class IPluginV3 {}; }\n"
            )
        argv = ["export", str(model), "-o", str(tmp_path / "new"), "--tensorrt", "10.3"]
        assert main([*argv, "--tensorrt-include", str(tmp_path)]) == 1
        assert "PK816 pluginkit's header of TensorRT's plugin" in capsys.readouterr().err
        assert not (tmp_path / "new").exists()

    @pytest.mark.slow
    @needs_compiler
    def test_nothing_is_left_where_a_file_cannot_be_written(self, tmp_path: Path, capsys: Capture):
        model = save_model(tmp_path / "padded.onnx")
        blocked = tmp_path / "out" / "README.txt"
        blocked.mkdir(parents=True)
        assert main(["export", str(model), "-o", str(blocked.parent), *CC]) == 2
        assert capsys.readouterr().err.startswith("PK525 ")
        assert list(blocked.parent.iterdir()) == [blocked]


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan that holds its plugins."""

    def build(folder: Path) -> None:
        model = save_model(folder / "padded.onnx")
        assert main(["build", str(model), "--standalone", *CC, *RTX]) == 0

    return made_once(tmp_path_factory, "standalone", build) / "padded.plan"


@needs_compiler
@pytest.mark.trt
class TestStandalone:
    @pytest.fixture
    def inputs(self, tmp_path: Path) -> str:
        import numpy as np

        np.savez(tmp_path / "inputs.npz", x=np.zeros((1, 1, 3, 4), np.float32))
        return str(tmp_path / "inputs.npz")

    @pytest.mark.slow
    def test_the_plan_holds_the_library_that_the_manifest_describes(self, standalone: Path):
        record, plan = read_manifest(standalone).library, standalone.read_bytes()
        assert record is not None
        at = plan.index(b"\x7fELF")
        held = plan[at : at + record.bytes]
        assert hashlib.sha256(held).hexdigest() == record.sha256
        assert record.tensorrt == "rtx"
        assert any("CircPad" in one for one in record.variants)

    @pytest.mark.slow
    def test_python_plugins_work_before_and_after(self, standalone: Path, tmp_path: Path):
        model = shutil.copyfile(standalone.with_suffix(".onnx"), tmp_path / "other.onnx")
        plain, again = tmp_path / "plain.plan", tmp_path / "again.plan"
        assert main(["build", str(model), "-o", str(plain), *CC, *RTX]) == 0
        assert read_manifest(plain).library is None
        assert b"\x7fELF" not in plain.read_bytes()[:4096]
        assert main(["build", str(model), "-o", str(again), "--standalone", *CC, *RTX]) == 0
        assert read_manifest(again).library == read_manifest(standalone).library

    def test_run_says_that_it_is_code_and_needs_no_python_plugin(
        self, standalone: Path, inputs: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ):
        def fail(*_: Any) -> None:
            raise AssertionError("plugins were looked for")

        monkeypatch.setattr("pluginkit.discovery.find_plugins", fail)
        monkeypatch.setattr("pluginkit.engine.plan.open_engine.find_gpu", lambda: None)
        assert main(["run", str(standalone), "--inputs", inputs]) == 2
        said, error = capsys.readouterr().err.splitlines()[:2]
        assert "holds a library of its plugins" in said
        assert "executes that code" in said
        assert error.startswith("PK540 ")

    def test_a_changed_plan_asks_for_the_switch(
        self,
        standalone: Path,
        inputs: str,
        tmp_path: Path,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
    ):
        changed = tmp_path / "changed.plan"
        plan = bytearray(standalone.read_bytes())
        plan[-1] ^= 1
        changed.write_bytes(plan)
        shutil.copyfile(manifest_path(standalone), manifest_path(changed))
        monkeypatch.setattr("pluginkit.engine.plan.open_engine.find_gpu", lambda: None)
        assert main(["run", str(changed), "--inputs", inputs]) == 2
        said = capsys.readouterr().err
        assert "PK534 " in said
        assert "--allow-host-code" in said
        assert main(["run", str(changed), "--inputs", inputs, "--allow-host-code"]) == 2
        assert "PK540 " in capsys.readouterr().err

    def test_run_needs_no_manifest_where_code_is_allowed(
        self,
        standalone: Path,
        inputs: str,
        tmp_path: Path,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
    ):
        alone = shutil.copyfile(standalone, tmp_path / "alone.plan")
        monkeypatch.setattr("pluginkit.engine.plan.open_engine.find_gpu", lambda: None)
        assert main(["run", str(alone), "--inputs", inputs]) == 2
        assert "PK531 " in capsys.readouterr().err
        assert main(["run", str(alone), "--inputs", inputs, "--allow-host-code"]) == 2
        said = capsys.readouterr().err
        assert f"{alone} has no manifest: loading it executes the code" in said
        assert f"PK540 running {alone} needs a GPU; this machine has none." in said

    @pytest.mark.parametrize(
        ("has_library", "is_allowed", "expected"),
        [(True, False, True), (False, False, False), (False, True, True)],
    )
    def test_tensorrt_may_execute_it_where_it_is_known_or_allowed(
        self, standalone: Path, has_library: bool, is_allowed: bool, expected: bool
    ):
        import dataclasses

        from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy
        from pluginkit.engine.plan.open_engine import runtime_for
        from pluginkit.trt.flavour import load_flavour

        flavour = load_flavour("tensorrt_rtx")
        bind_polygraphy(flavour)
        manifest = read_manifest(standalone)
        if not has_library:
            manifest = dataclasses.replace(manifest, library=None)
        runtime = runtime_for(flavour, manifest, is_allowed)
        assert runtime.engine_host_code_allowed is expected
