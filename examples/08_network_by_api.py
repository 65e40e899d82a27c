"""A network that TensorRT's API describes, with a plugin; ``pluginkit network`` builds it, too."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import pluginkit
from pluginkit.plugins.circ_pad import CircPad


def load_network(builder: Any, network: Any) -> None:
    """Fill the network with a convolution that wraps around, as on a panorama."""
    import tensorrt_rtx as trt  # or: import tensorrt as trt

    x = network.add_input("x", trt.float32, (-1, 3, 32, 64))
    padded = pluginkit.add_to_network(network, CircPad(pads=(1, 1, 1, 1)), [x], name="wrap")
    weights = np.full((8, 3, 3, 3), 0.1, np.float32)
    convolved = network.add_convolution_nd(padded.get_output(0), 8, (3, 3), weights)
    y = network.add_activation(convolved.get_output(0), trt.ActivationType.RELU).get_output(0)
    y.name = "y"
    network.mark_output(y)


def main() -> None:
    """Build the network of this file, for two GPUs."""
    options = pluginkit.BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9", "12.0"])
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "panorama.plan"
        built = pluginkit.build_network(
            __file__, plan, shapes={"x": "1x3x32x64,4x3x32x64,16x3x32x64"}, options=options
        )
    (plugin,) = built.manifest.plugins
    (output,) = built.manifest.outputs
    print(f"{plan.name} calls {plugin.name} in layer '{plugin.nodes[0].node}'")
    print(f"and gives {output.name} {output.dtype}{list(output.shape)}")


if __name__ == "__main__":
    main()
