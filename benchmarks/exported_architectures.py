"""Further small networks of torch_geometric and transformers, for exports.py."""

from __future__ import annotations

from typing import Any

import torch
from exported_models import Made, integers, model, normal
from torch import nn

_NODES, _EDGES = 12, 30
_GRAPH = "x:0 edges:1"


def _graph(layer: nn.Module) -> Made:
    edges = torch.stack([integers(0, _NODES, _EDGES), integers(0, _NODES, _EDGES)])
    return layer, {"x": normal(_NODES, 6), "edges": edges}


@model(dynamic=_GRAPH, opset=18)
def gat_v2() -> Made:
    from torch_geometric.nn import GATv2Conv

    return _graph(GATv2Conv(6, 4, heads=2))


@model(dynamic=_GRAPH, opset=18)
def graph_transformer() -> Made:
    from torch_geometric.nn import TransformerConv

    return _graph(TransformerConv(6, 4, heads=2, beta=True))


@model(dynamic=_GRAPH, opset=18)
def principal_aggregation() -> Made:
    from torch_geometric.nn import PNAConv

    scalers = ["identity", "amplification"]
    degrees = torch.tensor([1, 2, 4, 3, 2])
    return _graph(PNAConv(6, 4, ["mean", "min", "max", "std"], scalers, degrees))


@model(dynamic=_GRAPH, opset=18)
def chebyshev() -> Made:
    from torch_geometric.nn import ChebConv

    return _graph(ChebConv(6, 4, 3))


@model(dynamic=_GRAPH, opset=18)
def softmax_aggregation() -> Made:
    from torch_geometric.nn import GENConv

    return _graph(GENConv(6, 4))


@model(dynamic=_GRAPH, opset=18)
def gated_graph() -> Made:
    from torch_geometric.nn import ResGatedGraphConv

    return _graph(ResGatedGraphConv(6, 4))


@model(dynamic="x:0 at:0", opset=18)
def point_convolution() -> Made:
    from torch_geometric.nn import PointNetConv

    class Points(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = PointNetConv(nn.Linear(9, 8))

        def forward(self, x: Any, at: Any, edges: Any) -> Any:
            return self.convolution(x, at, edges)

    made, inputs = _graph(Points())
    return made, {"x": inputs["x"], "at": normal(_NODES, 3), "edges": inputs["edges"]}


@model(dynamic="x:0 batch:0", opset=18)
def attention_of_graphs() -> Made:
    from torch_geometric.nn import AttentionalAggregation

    class Pool(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = AttentionalAggregation(nn.Linear(4, 1))

        def forward(self, x: Any, batch: Any) -> Any:
            return self.pool(x, batch, dim_size=3)

    return Pool(), {"x": normal(9, 4), "batch": integers(0, 3, 9).sort().values}


@model(dynamic="x:0 batch:0", opset=18)
def norm_of_graphs() -> Made:
    from torch_geometric.nn import GraphNorm

    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = GraphNorm(4)

        def forward(self, x: Any, batch: Any) -> Any:
            return self.norm(x, batch, batch_size=3)

    return Norm(), {"x": normal(9, 4), "batch": integers(0, 3, 9).sort().values}


class _Called(nn.Module):
    def __init__(self, network: nn.Module, given: str, got: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.given, self.got = network, given, got

    def forward(self, x: Any) -> Any:
        found = self.network(**{self.given: x})
        return tuple(getattr(found, each) for each in self.got)


def _text(network: nn.Module, *got: str) -> Made:
    called = _Called(network, "input_ids", got or ("last_hidden_state",))
    return called, {"x": integers(1, 50, 2, 7)}


def _image(network: nn.Module, size: int, *got: str) -> Made:
    called = _Called(network, "pixel_values", got or ("last_hidden_state",))
    return called, {"x": normal(1, 3, size, size)}


_TOKENS = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@model(dynamic="x:1", opset=18)
def gemma() -> Made:
    from transformers import Gemma2Config, Gemma2Model

    options = {"num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 16}
    return _text(Gemma2Model(Gemma2Config(**_TOKENS, **options)))


@model(dynamic="x:1", opset=18)
def roberta() -> Made:
    from transformers import RobertaConfig, RobertaModel

    return _text(RobertaModel(RobertaConfig(**_TOKENS, intermediate_size=16)))


@model(opset=18)
def f_net() -> Made:
    from transformers import FNetConfig, FNetModel

    options = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1}
    return _text(FNetModel(FNetConfig(**options, intermediate_size=16)))


@model(opset=18)
def whisper_encoder() -> Made:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    options = {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2}
    config = WhisperConfig(**options, encoder_ffn_dim=16, num_mel_bins=8, max_source_positions=16)
    called = _Called(WhisperEncoder(config), "input_features", ("last_hidden_state",))
    return called, {"x": normal(1, 8, 32)}


@model(opset=18)
def wav2vec2() -> Made:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    options = {"conv_dim": (8, 8), "conv_kernel": (10, 3), "conv_stride": (5, 2)}
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    positions = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    config = Wav2Vec2Config(**options, **sizes, **positions, intermediate_size=16)
    called = _Called(Wav2Vec2Model(config), "input_values", ("last_hidden_state",))
    return called, {"x": normal(1, 400)}


@model(opset=18)
def encodec() -> Made:
    from transformers import EncodecConfig, EncodecModel

    options = {"num_filters": 4, "hidden_size": 8, "num_residual_layers": 1, "codebook_dim": 8}
    config = EncodecConfig(**options, upsampling_ratios=[4, 2], codebook_size=16)
    network = EncodecModel(config)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Any) -> Any:
            return self.network.decoder(self.network.encoder(x))

    return Both(), {"x": normal(1, 1, 64)}


def _backbone() -> Any:
    from transformers import ResNetConfig

    options = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    return ResNetConfig(**options, out_features=["stage2", "stage3", "stage4"])


_DETECTOR = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_queries": 5}
_HEADS = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
_WIDTHS = {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16}


@model(opset=18)
def deformable_detr_in_two_stages() -> Made:
    from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection

    stages = {"two_stage": True, "with_box_refine": True, "two_stage_num_proposals": 5}
    sizes = _DETECTOR | {"d_model": 32}
    config = DeformableDetrConfig(
        **sizes,
        **_HEADS,
        **_WIDTHS,
        **stages,
        backbone_config=_backbone(),
        num_feature_levels=3,
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
    )
    return _image(DeformableDetrForObjectDetection(config), 64, "logits", "pred_boxes")


@model(opset=18)
def rt_detr() -> Made:
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    backbone = RTDetrResNetConfig(
        **sizes, layer_type="basic", out_features=["stage2", "stage3", "stage4"]
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=16,
        encoder_in_channels=[8, 16, 16],
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        d_model=16,
        num_queries=5,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_n_points=2,
        num_denoising=0,
    )
    return _image(RTDetrForObjectDetection(config), 64, "logits", "pred_boxes")


@model(opset=18)
def detr() -> Made:
    from transformers import DetrConfig, DetrForObjectDetection

    config = DetrConfig(
        **_DETECTOR,
        **_HEADS,
        **_WIDTHS,
        backbone_config=_backbone(),
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
    )
    return _image(DetrForObjectDetection(config), 64, "logits", "pred_boxes")


@model(opset=18)
def swin_two() -> Made:
    from transformers import Swinv2Config, Swinv2Model

    options = {"embed_dim": 8, "depths": [2, 1], "num_heads": [2, 2], "window_size": 4}
    return _image(Swinv2Model(Swinv2Config(image_size=32, **options)), 32)


@model(opset=18)
def conv_next() -> Made:
    from transformers import ConvNextV2Config, ConvNextV2Model

    config = ConvNextV2Config(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1])
    return _image(ConvNextV2Model(config), 64)
