"""From a model that TensorRT's parser refuses to a plan, step by step in Python.

The commands ``pluginkit rewrite``, ``compare`` and ``build`` do the same from a shell.
"""

import tempfile
from pathlib import Path

import pluginkit

MODEL = Path(__file__).parent / "models" / "sage_dyn.onnx"


def main(folder: Path) -> None:
    """Rewrite, compare and build the model, writing into ``folder``."""
    # What TensorRT refuses becomes plugin nodes; the rest of the model stays as it is.
    result = pluginkit.rewrite_model(pluginkit.load_model(MODEL))
    for applied in result.applied:
        print(f"{applied.node}: {applied.rewrite}")
    rewritten = folder / "sage.plugins.onnx"
    pluginkit.save_model(result.model, rewritten, MODEL)

    # Does it still compute the same? Original in ONNX Runtime, plugins through their references.
    comparison = pluginkit.compare_models(MODEL, rewritten, shapes={"x": (300, 16)})
    for output in comparison.outputs:
        print(f"{output.name}: largest error {output.max_abs_error:.1e}")
    assert comparison.ok

    # Dynamic dimensions need an optimization profile: minimum, optimum, maximum.
    built = pluginkit.build_engine(
        rewritten,
        folder / "sage.plan",
        shapes={
            "x": ((1, 16), (1000, 16), (100_000, 16)),
            "edge_index": ((2, 1), (2, 5000), (2, 1_000_000)),
        },
        options=pluginkit.BuildOptions(compute_capabilities=[(8, 9)]),
    )
    print(f"{built.plan_path.name}: {built.plan_path.stat().st_size / 2**20:.1f} MiB")
    for plugin in built.manifest.plugins:
        print(f"needs {plugin.name} {plugin.version}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
