"""Exports the graph neural network behind ``sage_dyn.onnx`` and ``sage_ts.onnx``.

Needs more than pluginkit does: ``pip install torch==2.13.0 torch_geometric onnxscript``. The
weights are random, from seed 0. Run it as ``python export_sage.py FOLDER``; the nodes and weights
come out the same, while empty documentation strings may differ.
"""

import sys
from pathlib import Path

import onnx
import torch
from torch_geometric.nn import GINConv, SAGEConv

FEATURES, HIDDEN, CLASSES = 16, 32, 8


class Sage(torch.nn.Module):
    """SAGEConv with max, SAGEConv with mean, GINConv: three aggregations over the same edges."""

    def __init__(self) -> None:
        super().__init__()
        self.c1 = SAGEConv(FEATURES, HIDDEN, aggr="max")
        self.c2 = SAGEConv(HIDDEN, HIDDEN, aggr="mean")
        self.c3 = GINConv(
            torch.nn.Sequential(
                torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)
            ),
            train_eps=False,
        )

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.c1(x, edge_index))
        x = torch.relu(self.c2(x, edge_index))
        return self.c3(x, edge_index)


def main(folder: Path) -> None:
    """Write both models to ``folder``."""
    torch.manual_seed(0)
    model = Sage().eval()
    inputs = (torch.randn(50, FEATURES), torch.randint(0, 50, (2, 200)))
    names = {"input_names": ["x", "edge_index"], "output_names": ["y"], "opset_version": 18}
    nodes, edges = torch.export.Dim("n"), torch.export.Dim("e")
    torch.onnx.export(
        model,
        inputs,
        folder / "sage_dyn.onnx",
        dynamo=True,
        dynamic_shapes={"x": {0: nodes}, "edge_index": {1: edges}},
        external_data=False,
        **names,
    )
    torch.onnx.export(
        model,
        inputs,
        str(folder / "sage_ts.onnx"),
        dynamo=False,
        dynamic_axes={"x": {0: "n"}, "edge_index": {1: "e"}},
        **names,
    )
    for path in folder.glob("sage_*.onnx"):
        strip_source_locations(path)


def strip_source_locations(path: Path) -> None:
    """Drop the stack traces that the exporters write on every node."""
    exported = onnx.load(path)
    for node in exported.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    onnx.save(exported, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
