"""TensorRT code of one's own, with two additions: ``register`` and ``callback_errors``."""

from pathlib import Path

import pluginkit
from pluginkit.plugins.scatter_elements import ScatterElements
from pluginkit.trt.flavour import load_flavour

MODEL = Path(__file__).parent / "models" / "sage_dyn.onnx"


def main() -> None:
    """Parse and build with TensorRT's own API."""
    model = pluginkit.rewrite_model(pluginkit.load_model(MODEL)).model

    trt = load_flavour("tensorrt_rtx").module  # or: import tensorrt as trt
    pluginkit.register(ScatterElements)

    # One logger for the process: TensorRT's plugin registry goes on using the first that it sees.
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (1, 16), (100, 16), (1000, 16))
    profile.set_shape("edge_index", (2, 1), (2, 500), (2, 5000))
    config.add_optimization_profile(profile)

    # Without this, an exception in a plugin goes to stderr and the plan is None.
    with pluginkit.callback_errors():
        assert parser.parse(model.SerializeToString())
        plan = builder.build_serialized_network(network, config)
    print(f"a plan of {plan.nbytes / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
