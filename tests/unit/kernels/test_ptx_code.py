import pytest

from pluginkit.errors import KernelError
from pluginkit.kernels import ptx_code as module
from pluginkit.kernels.disk_cache import cache_folder
from pluginkit.kernels.ptx_code import compile_ahead, ptx_code, seconds_compiling
from pluginkit.kernels.specialise import CudaSpecialisation, NumbaSpecialisation

SOURCE = """
template <typename T> __global__ void scale(T* x, int n, T factor) {
    if (threadIdx.x < n) x[threadIdx.x] *= factor;
}
"""
FUNCTION = """
from numba import cuda

def scale(x, factor):
    x[cuda.grid(1)] *= factor
"""


@pytest.fixture(autouse=True)
def nothing_is_known(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PLUGINKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_known", {})


def scale_of(cpp_type: str, code: str = SOURCE) -> CudaSpecialisation:
    return CudaSpecialisation(code, f"scale<{cpp_type}>", (), None, "scale.cu")


def forget_and_forbid_compiling(monkeypatch) -> None:
    monkeypatch.setattr(module, "_known", {})
    for compiler in ("compiled_program", "numba_ptx"):
        monkeypatch.setattr(module, compiler, lambda *_, **__: pytest.fail("compiled again"))


def test_cuda_comes_with_its_symbol_its_parameters_and_its_lines() -> None:
    code = ptx_code(scale_of("double"))
    assert code.parameter_sizes == (8, 4, 8)
    assert f".entry {code.symbol}(" in code.text
    assert '"scale.cu"' in code.text
    assert "\t.loc\t1 3 " in code.text


def test_a_line_directive_does_not_hide_the_file() -> None:
    code = '#define TWO 2\n#line 1 "scale.cu"' + SOURCE
    wanted = CudaSpecialisation(code, "scale<float>", (), None, "/plugins/scale/scale.cu")
    text = ptx_code(wanted).text
    assert '"/plugins/scale/scale.cu"' in text
    assert "\t.loc\t1 2 " in text or "\t.loc\t2 2 " in text


def test_kernels_of_one_source_share_their_text() -> None:
    compile_ahead([scale_of("float"), scale_of("double"), scale_of("float")])
    one, other = ptx_code(scale_of("float")), ptx_code(scale_of("double"))
    assert one.text is other.text
    assert one.symbol != other.symbol
    assert len(list(cache_folder().iterdir())) == 1


def test_numba_comes_with_the_lines_of_its_file(tmp_path) -> None:
    path = tmp_path / "scale_kernel.py"
    path.write_text(FUNCTION)
    from pluginkit.kernels.arguments import ArgumentType

    types = (ArgumentType("float32", 1), ArgumentType("float32"))
    code = ptx_code(NumbaSpecialisation(path, "scale", types))
    assert code.parameter_sizes == (8, 8, 8, 8, 8, 8, 8, 4)
    assert "scale_kernel.py" in code.text


def test_a_kernel_is_compiled_once(monkeypatch) -> None:
    first = ptx_code(scale_of("float"))
    forget_and_forbid_compiling(monkeypatch)
    assert ptx_code(scale_of("float")) == first


@pytest.mark.parametrize(
    "damage", [lambda text: "", lambda text: text[:-1], lambda text: text.replace("mul", "add")]
)
def test_a_damaged_file_is_compiled_again(monkeypatch, damage) -> None:
    first = ptx_code(scale_of("float"))
    (file,) = cache_folder().iterdir()
    file.write_text(damage(file.read_text()))
    monkeypatch.setattr(module, "_known", {})
    assert ptx_code(scale_of("float")) == first


def test_other_source_other_code() -> None:
    other = scale_of("float", SOURCE.replace("*=", "+="))
    assert ptx_code(scale_of("float")).text != ptx_code(other).text


def test_the_time_is_counted() -> None:
    before = seconds_compiling()
    ptx_code(scale_of("float"))
    assert seconds_compiling() > before


def test_what_does_not_compile_says_why() -> None:
    with pytest.raises(KernelError, match=r"PK320 kernel 'scale<int>' does not compile"):
        ptx_code(scale_of("int", SOURCE.replace("*=", "*") + "nonsense"))
