"""Exports the model of the tutorial: a network with an operator of its own, acme::SoftClip.

Needs ``pip install torch==2.13.0 onnxscript``. The weights are random, from seed 0. Run it as
``python export_soft_clip.py FOLDER``; both exporters write the same operator.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxscript
import torch
from torch import nn


@torch.library.custom_op("acme::soft_clip", mutates_args=())
def soft_clip(x: torch.Tensor, low: float, high: float, slope: float) -> torch.Tensor:
    """Return x between low and high, and a line of the given slope outside."""
    inside = x.clamp(low, high)
    return inside + slope * (x - inside)


@soft_clip.register_fake
def _(x: torch.Tensor, low: float, high: float, slope: float) -> torch.Tensor:
    return torch.empty_like(x)


class Net(nn.Module):
    """Two linear layers with a soft clip between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 64)
        self.second = nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(soft_clip(self.first(x), -0.5, 0.5, 0.1))


FLOATS = ["tensor(float)", "tensor(float16)"]
#: The newer exporter looks operators up in ONNX's registry.
onnx.defs.register_schema(
    onnx.defs.OpSchema(
        "SoftClip",
        "acme",
        1,
        inputs=[onnx.defs.OpSchema.FormalParameter("x", "T")],
        outputs=[onnx.defs.OpSchema.FormalParameter("y", "T")],
        type_constraints=[("T", FLOATS, "")],
        attributes=[
            onnx.defs.OpSchema.Attribute(name, onnx.defs.OpSchema.AttrType.FLOAT)
            for name in ("low", "high", "slope")
        ],
    )
)
ACME = onnxscript.values.Opset("acme", 1)


def soft_clip_to_onnx(x, low: float, high: float, slope: float):
    """Write the operator, for the newer exporter."""
    return ACME.SoftClip(x, low=low, high=high, slope=slope)


def soft_clip_symbolic(g, x, low, high, slope):
    """Write the operator, for the older exporter."""
    values = {
        f"{name}_f": torch.onnx.symbolic_helper._get_const(value, "f", name)
        for name, value in (("low", low), ("high", high), ("slope", slope))
    }
    return g.op("acme::SoftClip", x, **values).setType(x.type())


def main(folder: Path) -> None:
    """Write soft_clip.onnx by the newer exporter, soft_clip_ts.onnx by the older; a result."""
    torch.manual_seed(0)
    model, x = Net().eval(), torch.randn(3, 16)
    names = {"input_names": ["x"], "output_names": ["y"], "opset_version": 18}
    torch.onnx.export(
        model,
        (x,),
        folder / "soft_clip.onnx",
        dynamo=True,
        dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
        custom_translation_table={torch.ops.acme.soft_clip.default: soft_clip_to_onnx},
        external_data=False,
        **names,
    )
    torch.onnx.register_custom_op_symbolic("acme::soft_clip", soft_clip_symbolic, 18)
    torch.onnx.export(
        model,
        (x,),
        str(folder / "soft_clip_ts.onnx"),
        dynamo=False,
        dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
        custom_opsets={"acme": 1},
        **names,
    )
    y = model(x).detach().numpy()
    np.savez(folder / "soft_clip.npz", x=x.numpy(), y=y)  # what PyTorch computes
    for path in folder.glob("soft_clip*.onnx"):
        exported = onnx.load(path)
        for node in exported.graph.node:  # where each node came from
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        onnx.save(exported, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
