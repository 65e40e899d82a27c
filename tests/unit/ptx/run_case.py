"""Run conformance cases on the machine."""

import numpy as np

from pluginkit import ptx
from tests.unit.ptx.instruction_case import width


def machine_results(case):
    """Return the bits of an instruction's result for each row."""
    memory = ptx.Memory()
    count = len(case.rows)
    columns = list(zip(*case.rows, strict=True))
    buffers = [
        memory.buffer(name, np.array(columns[i] if i < len(columns) else [0] * count, np.uint64))
        for i, name in enumerate("abc")
    ]
    out = memory.buffer("out", np.zeros(count, np.uint64), "inout")
    run = ptx.parse(case.ptx()).launch(
        "run", -(-count // 128), 128, [out, *buffers, np.uint32(count)], memory=memory
    )
    assert run.findings == []
    mask = (1 << max(width(case.result), 8)) - 1
    return [int(bits) & mask for bits in out.array(np.uint64)]


def compiled(source, options=()):
    """Return the PTX of CUDA C++ with one ``extern "C"`` kernel."""
    from cuda.bindings import nvrtc

    _, program = nvrtc.nvrtcCreateProgram(source.encode(), b"case.cu", 0, [], [])
    given = [
        *b"--gpu-architecture=compute_90 -lineinfo --std=c++17 --device-int128".split(),
        *options,
    ]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(given), given)
    if status:
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = bytearray(size)
        nvrtc.nvrtcGetProgramLog(program, log)
        raise AssertionError(log.decode())
    _, size = nvrtc.nvrtcGetPTXSize(program)
    text = bytearray(size)
    nvrtc.nvrtcGetPTX(program, text)
    nvrtc.nvrtcDestroyProgram(program)
    return text.decode()


def run_words(source, grid, block, words, out_words, *, role="inout", seed=None, shared_bytes=0):
    """Run ``run(out, in, n)`` on words; return the output words and the Result."""
    memory = ptx.Memory()
    given = memory.buffer("in", np.asarray(words, np.uint32))
    content = np.zeros(out_words, np.uint32) if role == "inout" else 4 * out_words
    out = memory.buffer("out", content, role)
    result = ptx.parse(compiled(source)).launch(
        "run", grid, block, [out, given, np.int32(len(words))], memory=memory, seed=seed,
        shared_bytes=shared_bytes,
    )  # fmt: skip
    return out.array(np.uint32), result


def machine_words(case, seed=None):
    """Return the output of a CUDA C++ kernel, which must have no finding."""
    got, result = run_words(
        case.source, case.grid, case.block, case.words, case.out_words, seed=seed
    )
    assert result.findings == [], list(map(str, result.findings))
    return got
