"""Small networks of torch_geometric and transformers, and a detector's head, for exports.py."""

from __future__ import annotations

from typing import Any

import torch
from exported_models import Made, boxes_of, integers, model, normal
from torch import nn

_NODES, _EDGES = 12, 30
_GRAPH = "x:0 edges:1"


def _graph(layer: nn.Module, features: int = 6) -> Made:
    edges = torch.stack([integers(0, _NODES, _EDGES), integers(0, _NODES, _EDGES)])
    return layer, {"x": normal(_NODES, features), "edges": edges}


@model(dynamic=_GRAPH, opset=18)
def gcn() -> Made:
    from torch_geometric.nn import GCNConv

    return _graph(GCNConv(6, 4))


@model(dynamic=_GRAPH, opset=18)
def gat() -> Made:
    from torch_geometric.nn import GATConv

    return _graph(GATConv(6, 4, heads=2))


@model(dynamic=_GRAPH, opset=18)
def graph_sage_max() -> Made:
    from torch_geometric.nn import SAGEConv

    return _graph(SAGEConv(6, 4, aggr="max"))


@model(dynamic=_GRAPH, opset=18)
def gin() -> Made:
    from torch_geometric.nn import GINConv

    return _graph(GINConv(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))))


@model(dynamic=_GRAPH, opset=18)
def edge_conv() -> Made:
    from torch_geometric.nn import EdgeConv

    return _graph(EdgeConv(nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4))))


class _Pooled(nn.Module):
    def __init__(self, pooling: nn.Module) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, x: Any, edges: Any) -> Any:
        found = self.pooling(x, edges)
        return found[0], found[1]


@model(opset=18)
def top_k_pooling() -> Made:
    from torch_geometric.nn import TopKPooling

    return _graph(_Pooled(TopKPooling(6, ratio=0.5)))


@model(opset=18)
def sag_pooling() -> Made:
    from torch_geometric.nn import SAGPooling

    return _graph(_Pooled(SAGPooling(6, ratio=0.5)))


@model(dynamic="x:0 batch:0", opset=18)
def mean_of_graphs() -> Made:
    from torch_geometric.nn import global_mean_pool

    def run(x: Any, batch: Any) -> Any:
        return global_mean_pool(x, batch, 3)

    return run, {"x": normal(9, 4), "batch": integers(0, 3, 9).sort().values}


@model(opset=17)
def yolo_with_suppression() -> Made:
    """A detector's head, with boxes of a grid and suppression by class."""
    from torchvision.ops import batched_nms

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4 + 3, 3, stride=8, padding=1)

        def forward(self, image: Any) -> Any:
            found = self.conv(image).flatten(2).transpose(1, 2)[0]
            rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
            centres = torch.stack([columns.flatten(), rows.flatten()], 1) * 8
            centres = centres + found[:, :2].sigmoid() * 8
            sizes = found[:, 2:4].exp() * 12
            boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], 1)
            scores, classes = found[:, 4:].sigmoid().max(1)
            is_sure = scores > 0.5
            boxes, scores, classes = boxes[is_sure], scores[is_sure], classes[is_sure]
            keep = batched_nms(boxes, scores, classes, 0.5)[:20]
            return boxes[keep], scores[keep], classes[keep]

    return Head(), {"image": normal(1, 3, 64, 64)}


@model(dynamic="boxes:0")
def boxes_of_pixels() -> Made:
    from torchvision.ops import box_iou, clip_boxes_to_image, remove_small_boxes

    def run(boxes: Any) -> Any:
        clipped = clip_boxes_to_image(boxes, (20, 24))
        kept = clipped[remove_small_boxes(clipped, 3.0)]
        return kept, box_iou(kept, boxes)

    return run, {"boxes": boxes_of(15)}


_TOKENS = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def _text(network: Any) -> Made:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, tokens: Any) -> Any:
            return self.network(input_ids=tokens).last_hidden_state

    return Text(), {"tokens": integers(1, 50, 2, 7)}


def _image(network: Any, size: int) -> Made:
    class Image(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Any) -> Any:
            return self.network(pixel_values=image).last_hidden_state

    return Image(), {"image": normal(1, 3, size, size)}


@model(dynamic="tokens:1", opset=18)
def bert() -> Made:
    from transformers import BertConfig, BertModel

    return _text(BertModel(BertConfig(**_TOKENS, intermediate_size=16)))


@model(opset=18)
def deberta() -> Made:
    from transformers import DebertaV2Config, DebertaV2Model

    options = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8}
    return _text(DebertaV2Model(DebertaV2Config(**_TOKENS, intermediate_size=16, **options)))


@model(opset=18)
def gpt2() -> Made:
    from transformers import GPT2Config, GPT2Model

    return _text(GPT2Model(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2)))


@model(opset=18)
def llama() -> Made:
    from transformers import LlamaConfig, LlamaModel

    return _text(LlamaModel(LlamaConfig(**_TOKENS, intermediate_size=16)))


@model(opset=18)
def t5_encoder() -> Made:
    from transformers import T5Config, T5EncoderModel

    options = {"d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    return _text(T5EncoderModel(T5Config(vocab_size=50, d_model=16, **options)))


@model(opset=18)
def mamba() -> Made:
    from transformers import MambaConfig, MambaModel

    options = {"num_hidden_layers": 1, "state_size": 4}
    return _text(MambaModel(MambaConfig(vocab_size=50, hidden_size=16, **options)))


_VISION = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@model(opset=18)
def vit() -> Made:
    from transformers import ViTConfig, ViTModel

    return _image(ViTModel(ViTConfig(**_VISION, hidden_size=16, image_size=32)), 32)


@model(opset=18)
def swin() -> Made:
    from transformers import SwinConfig, SwinModel

    options = {"embed_dim": 8, "depths": [1, 2], "num_heads": [2, 2], "window_size": 4}
    return _image(SwinModel(SwinConfig(image_size=32, **options)), 32)


@model(opset=18)
def segformer() -> Made:
    from transformers import SegformerConfig, SegformerModel

    options = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    heads = {"num_attention_heads": [1, 1, 2, 2]}
    return _image(SegformerModel(SegformerConfig(**options, **heads)), 64)


@model(dynamic="tokens:0", opset=18)
def longformer() -> Made:
    from transformers import LongformerConfig, LongformerModel

    options = {"attention_window": [4], "max_position_embeddings": 64, "intermediate_size": 16}
    return _text(LongformerModel(LongformerConfig(**_TOKENS, **options)))


@model(dynamic="tokens:0,1", opset=18)
def mixtral() -> Made:
    from transformers import MixtralConfig, MixtralModel

    options = {"num_local_experts": 3, "num_key_value_heads": 2, "intermediate_size": 16}
    network = MixtralModel(MixtralConfig(**_TOKENS, **options))
    network.set_attn_implementation("eager")
    network.set_experts_implementation("eager")
    return _text(network)


@model(dynamic="x:0,1", opset=18)
def jet_moe() -> Made:
    """Experts that get as many rows as the router says; the TorchScript exporter stores them."""
    from transformers import JetMoeConfig
    from transformers.models.jetmoe.modeling_jetmoe import JetMoeMoE

    options = {"num_local_experts": 4, "num_experts_per_tok": 2}
    experts = JetMoeMoE(JetMoeConfig(hidden_size=16, intermediate_size=12, **options))
    for weight in experts.parameters():
        nn.init.normal_(weight, std=0.3)
    return experts, {"x": normal(2, 7, 16)}


@model(dynamic="video:0", opset=18)
def mvit() -> Made:
    from torchvision.models.video.mvit import MSBlockConfig, MViT

    kernels = {"kernel_q": [3, 3, 3], "kernel_kv": [3, 3, 3], "stride_kv": [1, 2, 2]}
    blocks = [MSBlockConfig(1, 16, 16, stride_q=[1, 1, 1], **kernels)] * 2
    options = {"residual_pool": True, "residual_with_cls_embed": False, "rel_pos_embed": True}
    options |= {"spatial_size": (32, 32), "temporal_size": 4, "proj_after_attn": True}
    network = MViT(block_setting=blocks, num_classes=4, **options)
    return network, {"video": normal(1, 3, 4, 32, 32)}


@model(dynamic="image:0", opset=18)
def max_vit() -> Made:
    from torchvision.models import MaxVit

    options = {"stem_channels": 8, "block_channels": [8], "block_layers": [1], "head_dim": 8}
    shape = {"input_size": (32, 32), "partition_size": 2, "stochastic_depth_prob": 0.0}
    return MaxVit(**options, **shape, num_classes=4), {"image": normal(1, 3, 32, 32)}


@model(dynamic="image:0")
def quantized_mobile_net() -> Made:
    from torchvision.models.quantization import mobilenet_v2

    torch.backends.quantized.engine = "qnnpack"
    network = mobilenet_v2(num_classes=4, width_mult=0.25).eval()
    network.fuse_model(is_qat=False)
    network.qconfig = torch.ao.quantization.get_default_qconfig("qnnpack")
    torch.ao.quantization.prepare(network, inplace=True)
    image = normal(1, 3, 32, 32)
    network(image)
    torch.ao.quantization.convert(network, inplace=True)
    return network, {"image": image}


@model(dynamic="tokens:0,1", opset=18)
def long_t5() -> Made:
    from transformers import LongT5Config, LongT5EncoderModel

    options = {"d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "local_radius": 3}
    options |= {"encoder_attention_type": "transient-global", "global_block_size": 4}
    return _text(LongT5EncoderModel(LongT5Config(vocab_size=50, d_model=16, **options)))
