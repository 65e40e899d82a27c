"""Generate the CMake project of a library's sources."""

from __future__ import annotations

from collections.abc import Iterable

_TEMPLATE = """\
# Builds the plugins of {name}: made by pluginkit. Needs a C++17 compiler, and neither CUDA nor
# TensorRT.
#     cmake -S . -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build
# For a Jetson, on another machine: -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
# -DCMAKE_ASM_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_SYSTEM_NAME=Linux.
# -DPLUGINKIT_TENSORRT_MAJOR=8, 10 or 11 chooses the TensorRT; TensorRT-RTX is 11.
cmake_minimum_required(VERSION 3.16)
project({name} LANGUAGES CXX ASM)

set(PLUGINKIT_TENSORRT_MAJOR {major} CACHE STRING "8, 10 or 11")
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(plugin_sources
{sources}
)
file(GLOB runtime_sources CONFIGURE_DEPENDS ${{CMAKE_CURRENT_SOURCE_DIR}}/runtime/*.cpp)
list(FILTER runtime_sources EXCLUDE REGEX "/library\\.cpp$")
file(GLOB images CONFIGURE_DEPENDS ${{CMAKE_CURRENT_SOURCE_DIR}}/kernels/*)
set_source_files_properties(kernels.S PROPERTIES
    OBJECT_DEPENDS "${{images}}"
    COMPILE_OPTIONS "-Wa,-I${{CMAKE_CURRENT_SOURCE_DIR}}")

include_directories(. runtime)
add_compile_definitions(PLUGINKIT_TENSORRT_MAJOR=${{PLUGINKIT_TENSORRT_MAJOR}})
# Both libraries have the same code, but for their entry points.
add_library({name}_code OBJECT ${{plugin_sources}} ${{runtime_sources}})

function(add_plugins target)
    add_library(${{target}} SHARED runtime/library.cpp $<TARGET_OBJECTS:{name}_code>)
    target_compile_definitions(${{target}} PRIVATE{definitions} ${{ARGN}})
    target_link_libraries(${{target}} PRIVATE ${{CMAKE_DL_LIBS}})
    target_link_options(${{target}} PRIVATE
        -Wl,--no-undefined -Wl,--gc-sections -Wl,-z,relro,-z,now
        -Wl,--version-script=${{CMAKE_CURRENT_SOURCE_DIR}}/runtime/exports.map
        -static-libstdc++ -static-libgcc)
endfunction()

# For loadLibrary, trtexec --dynamicPlugins and plans that hold their plugins.
add_plugins({name})
# For plain dlopen: Triton, ONNX Runtime, DeepStream, trtexec --staticPlugins, LD_PRELOAD.
add_plugins({name}_static PLUGINKIT_SELF_REGISTER=1)
target_link_options({name}_static PRIVATE -Wl,-z,nodelete)
"""


def cmake_project(
    name: str, files: Iterable[str], major: int, definitions: Iterable[str] = ()
) -> str:
    """Return the CMakeLists.txt of a library.

    Args:
        name: the library's name; the targets are ``NAME`` and ``NAME_static``.
        files: the paths of its sources, relative to the project; only C++ and assembly count.
        major: the layout of TensorRT's interfaces, 8, 10 or 11.
        definitions: further macros of the entry points, as for LibraryBuilder.
    """
    sources = [f"    {path}" for path in sorted(files) if path.endswith((".cpp", ".S"))]
    return _TEMPLATE.format(
        name=name,
        major=major,
        sources="\n".join(sources),
        definitions="".join(f" {each}" for each in definitions),
    )
