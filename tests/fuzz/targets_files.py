"""Fuzz the code that reads other files than models: plans, manifests, inputs, names, options."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import random
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pluginkit.cli.options import load_arrays
from pluginkit.engine import check_manifest
from tests.fuzz import models
from tests.fuzz.oracle import Sandbox

_PLAN = bytes(range(256)) * 8
#: A module that a manifest must never cause to be imported.
EVIL = "raise SystemExit('a manifest had its module imported')\n"
_ATOMS = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -0.0, 1e400, float("nan"), "", "x",
    "\ud800",
    "\x1b[31m", "²", "9" * 5000, "evil:Evil", "os:system", "../x", [], {}, [[]], [None], {"a": 1},
    "tensorrt", "tensorrt_lean", "tensorrt_rtx", "nope", "float32", [1], [1, 2, 3], [-1], ["8.9"],
)  # fmt: skip


def valid_manifest() -> dict[str, Any]:
    """Return the manifest of ``_PLAN``."""
    from pluginkit.trt.flavour import load_flavour

    flavour = load_flavour("tensorrt_rtx")
    return {
        "pluginkit": "0.1.0", "flavour": flavour.name, "tensorrt": flavour.version,
        "is_version_compatible": False, "compute_capabilities": ["8.9"], "plan_bytes": len(_PLAN),
        "plan_sha256": hashlib.sha256(_PLAN).hexdigest(), "model": "m.onnx", "model_sha256": "0",
        "inputs": [{"name": "x", "dtype": "FLOAT32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "dtype": "FLOAT32", "shape": [-1, 4]}],
        "profiles": [
            {"x": {"min": [1, 4], "opt": [2, 4], "max": [3, 4], "is_shape_tensor": False}}
        ],
        "plugins": [
            {"name": "Evil_PK", "version": "1", "namespace": "pluginkit", "interface": "v3",
             "class_path": "evil:Evil", "source_sha256": "", "nodes": [
                 {"node": "main graph / Evil_PK 'n'", "attributes": {"axis": 1}}]},
        ],
        "format": 3, "library": None,
    }  # fmt: skip


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a JSON document."""
    found: list[tuple[Any, Any]] = []
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        found.append((document, key))
        if isinstance(value, (dict, list)):
            found += _places(value)
    return found


def _mutated_manifest(rng: random.Random) -> bytes:
    document = valid_manifest()
    if rng.random() < 0.4:
        document["plugins"] = []
    if rng.random() < 0.3:
        document["is_version_compatible"] = True
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        container, key = rng.choice(_places(document))
        kind = rng.randrange(4)
        if kind == 0:
            del container[key]
        elif kind == 1 and isinstance(container, dict):
            name = rng.choice(["x", "y", "\x1b", "format", ""])
            container[name] = copy.deepcopy(container[key])
        else:
            container[key] = copy.deepcopy(rng.choice(_ATOMS))
    text = json.dumps(document).encode()
    kind = rng.randrange(12)
    if kind == 0:
        return text[: rng.randrange(len(text))]
    if kind == 1:
        at = rng.randrange(len(text))
        return text[:at] + rng.randbytes(rng.choice([1, 4])) + text[at + 1 :]
    if kind == 2:
        depth = rng.choice([500, 10_000, 200_000])
        return text.replace(b'"x"', rng.choice([b"[" * depth, b"[" * depth + b"]" * depth]), 1)
    if kind == 3:
        return rng.choice(
            [b"", b"null", b"[]", b"\xff\xfe", b"1", b"{}", b'{"format": 3}', b"\0" * 99]
        )
    if kind == 4:
        return text.replace(b"1", b"1" * rng.choice([5, 400, 5000]), rng.randrange(1, 4))
    return text


def _arrays(rng: random.Random) -> dict[str, Any]:
    shape = rng.choice([(2, 4), (2, 4), (9, 4), (4,), (), (0, 4)])
    dtype = rng.choice(["f4", "f4", "f8", "i8", "?", "U3", "M8[s]", "c8"])
    return {rng.choice(["x", "x", "y", "\x1b[2J", "a b"]): np.zeros(shape, dtype)}


def manifest(rng: random.Random, box: Sandbox) -> str:
    """Run check_manifest and `pluginkit run` on corrupted plans and manifests."""
    with box.case() as folder:
        plan = bytearray(_PLAN)
        kind = rng.randrange(8)
        if kind == 0:
            plan[rng.randrange(len(plan))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del plan[rng.randrange(len(plan)) :]
        (folder / "m.plan").write_bytes(plan)
        beside = folder / "m.plan.json"
        if kind == 2:
            beside.mkdir()
        elif kind == 3 and rng.random() < 0.3:
            beside.symlink_to(beside)
        elif kind != 4:
            beside.write_bytes(_mutated_manifest(rng))
        (folder / "evil.py").write_text(EVIL)
        (folder / "evil_dir").mkdir()
        np.savez(folder / "in.npz", **_arrays(rng))
        if rng.random() < 0.5:
            sources = {("Evil_PK", "1", "pluginkit"): ""}
            version = rng.choice(["1.7", "1.7.1.116", "2", "99.0", ""])
            return box.call(
                check_manifest, folder / "m.plan", flavour="tensorrt_rtx", tensorrt=version,
                compute_capabilities=["8.9"], plugin_sources=rng.choice([None, {}, sources]),
            )[0]  # fmt: skip
        argv = ["run", "m.plan", "--inputs", "in.npz", "-o", "out.npz"]
        argv += rng.choice([[], ["--json"], ["--tensorrt", "tensorrt_rtx"]])
        return box.command(argv)


def _archive(rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **_arrays(rng))
    content = bytearray(buffer.getvalue())
    kind = rng.randrange(7)
    if kind == 0:
        return bytes(content[: rng.randrange(len(content))])
    if kind == 1:
        for _ in range(rng.choice([1, 2, 8])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        return bytes(content)
    if kind == 2:
        return rng.randbytes(rng.choice([0, 1, 100]))
    if kind == 3:
        header = f"{{'descr': {rng.choice(['<f4', 'O', 'x', '<f8'])!r}, 'fortran_order': False, "
        header += (
            f"'shape': {rng.choice(['(2**5,)', '(99999999999999,)', '(-1,)', '((', '(2,)'])}}}"
        )
        head = header.encode().ljust(117) + b"\n"
        raw = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(8)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(rng.choice(["x.npy", "../x.npy", "x", "/etc/x.npy", "\x1b.npy"]), raw)
        return buffer.getvalue()
    if kind == 4:
        buffer = io.BytesIO()
        np.save(buffer, np.array([object()]), allow_pickle=True)
        return buffer.getvalue()
    if kind == 5:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", rng.choice([0, 8, 12, 14])) as archive:
            archive.writestr(
                "x.npy", rng.choice([b"", b"text", b"\x93NUMPY", b"\x93NUMPY\x01\0\xff\xff"])
            )
        return buffer.getvalue()
    return bytes(content)


def arrays(rng: random.Random, box: Sandbox) -> str:
    """Read hostile .npz files."""
    with box.case() as folder:
        path = folder / "in.npz"
        path.write_bytes(_archive(rng))
        return box.call(load_arrays, path)[0]


_NAMES = (
    b"a b.onnx", b"a\nb.onnx", b"\x1b[31mred\x1b[0m.onnx", b"-o.onnx", b"--help", b"--json",
    b"[red]x.onnx",
    b":smile:.onnx", b"%s.onnx", b"\xff\xfe.onnx", "ü€😀.onnx".encode(), b"a" * 250 + b".onnx",
    b"a" * 255,
    b"a" * 248 + b".onnx", b"a" * 235 + b".onnx", b".onnx", b"...", b"~", b"$(touch pwned).onnx",
    b";touch pwned",
    b"a'b\"c.onnx", b"\r.onnx", b"\x7f.onnx", b"\xe2\x80\xaeonnx.txt", b"*?.onnx", b"@f",
    b"con.onnx", b"a\\b.onnx", b"\x9b31m.onnx", b"x.onnx.onnx", b"\xed\xa0\x80.onnx", b"a" * 300,
)  # fmt: skip
_PATHS = ("", ".", "..", "/", "folder", "missing/x.onnx", "/dev/null", "fifo", "nul\0name",
"x" * 5000,
          "model.onnx/x", "loop", "/proc/self/mem")  # fmt: skip


def names(rng: random.Random, box: Sandbox) -> str:
    """Use file names that terminals, shells, argparse or file systems misread."""
    with box.case() as folder:
        name = os.fsdecode(rng.choice(_NAMES)) if rng.random() < 0.7 else rng.choice(_PATHS)
        path = Path(name)
        content = rng.choice(models.SEEDS)().SerializeToString()
        models.surround(folder)
        (folder / "loop").symlink_to("loop")
        (folder / "model.onnx").write_bytes(content)
        is_made = name in map(os.fsdecode, _NAMES) and len(os.fsencode(name)) <= 255
        if is_made:
            path.write_bytes(content)
        at = rng.choice([[name], ["--", name], [f"./{name}"]])
        stem = name.removesuffix(".onnx")
        output = rng.choice([[], ["-o", name], [f"--output={name}"]])
        kind = rng.choice(
            ["rewrite", "rewrite", "output", "compare", "run", "build", "show", "plugins"]
        )
        made = [f"{stem}.plugins.onnx", f"{path.name}"]
        if kind == "rewrite":
            argv = ["rewrite", *rng.choice([[], ["--json"]]), *at]
        elif kind == "output":
            argv = [rng.choice(["rewrite", "rewrite", "build"]), "model.onnx", *output]
            argv += ["--tensorrt", "tensorrt_rtx"] if argv[0] == "build" else []
            made += ["model.plugins.onnx", "model.plan", "model.plan.json", f"{path.name}.json"]
        elif kind == "compare":
            argv = ["compare", "model.onnx", *at]
        elif kind == "run":
            argv = ["run", "--inputs", rng.choice([name, "model.onnx"]), *at]
        elif kind == "build":
            argv = [
                "build",
                "--timing-cache",
                name,
                "--tensorrt",
                rng.choice(["tensorrt_lean", name]),
                *at,
            ]
            made += [f"{stem}.plan", f"{stem}.plan.json"]
        elif kind == "show":
            argv = ["show", name]
        else:
            argv = ["list", "--plugins" if rng.random() < 0.5 else "--rewrites", name]
        return f"{kind} {box.command(argv, made)}"


_WORDS = (
    "rewrite", "build", "run", "compare", "list", "show", "doctor", "bench", "-v", "--json",
    "--help",
    "--version", "model.onnx", "m.plan", "in.npz", "-o", "out", "--shapes", "x:1x4",
    "x:2x4,1x4,3x4",
    "--range", "x:0,1", "x:0,1e999", "--runs", "0", "-1", "3", "--seed", "99999999999999999999",
    "--rtol", "nan", "--atol", "-1", "--inputs", "--memory", "512M", "9" * 30, "--only", "x",
    "--skip",
    "ReplaceScatterElements", "--dry-run", "--explain", "--tensorrt", "tensorrt_lean",
    "--interface",
    "v2", "--compute-capability", "8.9", "7,5", "--fp16", "--version-compatible", "ScatterElements",
    "--timing-cache", "folder", "--plugins", "--rewrites", "--gpu", "\x1b[31m", "\ud800", "", "--",
    "-",
    "--iterations", "1e3", "\n", "x:0x4", "idx:1,2,3", "--no-such-option", "-vv",
    "--with", "FuseAddRMSNorm", "--onnx-op", "Elu", "a::B", "--kernel", "numba", "--data-dependent",
    "--tests",
)  # fmt: skip


#: Each command with its arguments. A whole build takes too long: lean refuses it at the end.
_COMMANDS = {
    "": [],
    "bench": [],
    "build": ["model.onnx", "--tensorrt", "tensorrt_lean"],
    "compare": ["model.onnx", "model.onnx"],
    "doctor": [],
    "inspect": ["m.plan"],
    "list": [],
    "new": ["Fresh"],
    "rewrite": ["model.onnx"],
    "run": ["m.plan", "--inputs", "in.npz"],
    "show": ["CircPad"],
    "view": ["model.onnx", "--no-scan"],
}


def _made_by_new(folders: list[str]) -> list[str]:
    """Return the files that ``pluginkit new Fresh`` may write, for any folders in its options."""
    names = ["fresh", "fresh.py", "test_fresh.py"]
    names += [f"fresh/{name}" for name in ("__init__.py", "fresh.cu", "kernel.py")]
    paths = [os.path.normpath(f"{folder}/{name}") for folder in folders for name in names]
    return ["pyproject.toml", *folders, *paths]


def arguments(rng: random.Random, box: Sandbox) -> str:
    """Run random command lines."""
    with box.case() as folder:
        models.surround(folder)
        (folder / "model.onnx").write_bytes(rng.choice(models.SEEDS)().SerializeToString())
        (folder / "m.plan").write_bytes(_PLAN)
        (folder / "m.plan.json").write_text(json.dumps(valid_manifest()))
        np.savez(folder / "in.npz", **_arrays(rng))
        command = rng.choice(list(_COMMANDS))
        argv = [command, *_COMMANDS[command], *rng.choices(_WORDS, k=rng.randrange(5))]
        made = ["out", "model.plugins.onnx", "model.html"]
        made += [word for word in argv if word not in ("model.onnx", "m.plan")]
        if command == "new":
            made += _made_by_new(["plugins", "graph_rewrites", "tests", *argv])
        made += [path for option, path in pairwise(argv) if option == "-o" and path == "m.plan"]
        return f"{command or '-'} {box.command(argv, made)}"
