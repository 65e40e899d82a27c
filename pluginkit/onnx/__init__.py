"""Names that authors of rewrites import.

Each is loaded when it is first used, so that importing this package does not import onnx.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pluginkit.onnx.inference.element_types import FLOATS as FLOATS
    from pluginkit.onnx.inference.element_types import INTEGERS as INTEGERS
    from pluginkit.onnx.inference.element_types import WIDER_TYPES as WIDER_TYPES
    from pluginkit.onnx.inference.element_types import dtype_of_elem_type as dtype_of_elem_type
    from pluginkit.onnx.inference.element_types import elem_type as elem_type
    from pluginkit.onnx.inference.static_values import StaticValues as StaticValues
    from pluginkit.onnx.inference.value_types import axis_sizes as axis_sizes
    from pluginkit.onnx.inference.value_types import dims_of as dims_of
    from pluginkit.onnx.inference.value_types import known_sizes as known_sizes
    from pluginkit.onnx.model.graphs import Scope as Scope
    from pluginkit.onnx.model.graphs import bodies as bodies
    from pluginkit.onnx.model.graphs import defined_names as defined_names
    from pluginkit.onnx.model.graphs import inner_scopes as inner_scopes
    from pluginkit.onnx.model.graphs import is_in_function as is_in_function
    from pluginkit.onnx.model.graphs import is_op as is_op
    from pluginkit.onnx.model.graphs import main_and_bodies as main_and_bodies
    from pluginkit.onnx.model.graphs import names_read as names_read
    from pluginkit.onnx.model.graphs import output_names as output_names
    from pluginkit.onnx.model.graphs import place_of as place_of
    from pluginkit.onnx.model.graphs import producer_of as producer_of
    from pluginkit.onnx.model.graphs import scopes as scopes
    from pluginkit.onnx.model.graphs import source_of as source_of
    from pluginkit.onnx.model.plugin_nodes import plugin_node as plugin_node
    from pluginkit.onnx.model.stored_tensors import stored_tensors as stored_tensors
    from pluginkit.onnx.model.words import UNUSED_WORD as UNUSED_WORD
    from pluginkit.onnx.model.words import NumberedWords as NumberedWords
    from pluginkit.onnx.model.words import gives_words as gives_words
    from pluginkit.onnx.model.words import lacks_default as lacks_default
    from pluginkit.onnx.model.words import store_words as store_words
    from pluginkit.onnx.model.words import stored_words as stored_words
    from pluginkit.onnx.rewriting.body_copies import BodyCopies as BodyCopies
    from pluginkit.onnx.rewriting.carried_node import CarriedNode as CarriedNode
    from pluginkit.onnx.rewriting.empty_guards import lift_empty_guards as lift_empty_guards
    from pluginkit.onnx.rewriting.equal_nodes import merge_equal_nodes as merge_equal_nodes
    from pluginkit.onnx.rewriting.export_nodes import NewNode as NewNode
    from pluginkit.onnx.rewriting.folded_values import fold_known as fold_known
    from pluginkit.onnx.rewriting.graph_index import GraphIndex as GraphIndex
    from pluginkit.onnx.rewriting.graph_rewrite import Change as Change
    from pluginkit.onnx.rewriting.graph_rewrite import GraphRewrite as GraphRewrite
    from pluginkit.onnx.rewriting.graph_rewrite import Graphs as Graphs
    from pluginkit.onnx.rewriting.known_branches import take_known_branches as take_known_branches
    from pluginkit.onnx.rewriting.lift_nodes import lift_nodes as lift_nodes
    from pluginkit.onnx.rewriting.lift_nodes import rename_reads as rename_reads
    from pluginkit.onnx.rewriting.loop_limits import (
        collects_without_limit as collects_without_limit,
    )
    from pluginkit.onnx.rewriting.loop_limits import is_unlimited as is_unlimited
    from pluginkit.onnx.rewriting.loop_limits import reads_number as reads_number
    from pluginkit.onnx.rewriting.mask_counts import count_by_non_zero as count_by_non_zero
    from pluginkit.onnx.rewriting.masked_assignment import select_by_masks as select_by_masks
    from pluginkit.onnx.rewriting.match import Match as Match
    from pluginkit.onnx.rewriting.node_attributes import axes_of as axes_of
    from pluginkit.onnx.rewriting.pattern import AnyOf as AnyOf
    from pluginkit.onnx.rewriting.pattern import Constant as Constant
    from pluginkit.onnx.rewriting.pattern import Op as Op
    from pluginkit.onnx.rewriting.pattern import Optional as Optional
    from pluginkit.onnx.rewriting.pattern import PatternOperand as PatternOperand
    from pluginkit.onnx.rewriting.replace_nodes import replace_nodes as replace_nodes
    from pluginkit.onnx.rewriting.replacement import NodeInput as NodeInput
    from pluginkit.onnx.rewriting.replacement import Replacement as Replacement
    from pluginkit.onnx.rewriting.retyping import retype as retype
    from pluginkit.onnx.rewriting.rewrite import Rewrite as Rewrite
    from pluginkit.onnx.rewriting.scratch_in_bodies import (
        give_scratch_in_bodies as give_scratch_in_bodies,
    )
    from pluginkit.onnx.rewriting.traced_pattern import PatternBuilder as PatternBuilder
    from pluginkit.onnx.rewriting.unread_nodes import unread_positions as unread_positions

_HOMES = {
    "inference.element_types": (
        "FLOATS", "INTEGERS", "WIDER_TYPES", "dtype_of_elem_type", "elem_type",
    ),
    "inference.static_values": ("StaticValues",),
    "inference.value_types": ("axis_sizes", "dims_of", "known_sizes"),
    "model.graphs": (
        "Scope", "bodies", "defined_names", "inner_scopes", "is_in_function", "is_op",
        "main_and_bodies", "names_read", "output_names", "place_of", "producer_of", "scopes",
        "source_of",
    ),
    "model.plugin_nodes": ("plugin_node",),
    "model.stored_tensors": ("stored_tensors",),
    "model.words": (
        "NumberedWords", "UNUSED_WORD", "gives_words", "lacks_default", "store_words",
        "stored_words",
    ),
    "rewriting.body_copies": ("BodyCopies",),
    "rewriting.carried_node": ("CarriedNode",),
    "rewriting.empty_guards": ("lift_empty_guards",),
    "rewriting.equal_nodes": ("merge_equal_nodes",),
    "rewriting.export_nodes": ("NewNode",),
    "rewriting.folded_values": ("fold_known",),
    "rewriting.graph_index": ("GraphIndex",),
    "rewriting.graph_rewrite": ("Change", "GraphRewrite", "Graphs"),
    "rewriting.known_branches": ("take_known_branches",),
    "rewriting.lift_nodes": ("lift_nodes", "rename_reads"),
    "rewriting.loop_limits": ("collects_without_limit", "is_unlimited", "reads_number"),
    "rewriting.mask_counts": ("count_by_non_zero",),
    "rewriting.masked_assignment": ("select_by_masks",),
    "rewriting.match": ("Match",),
    "rewriting.node_attributes": ("axes_of",),
    "rewriting.pattern": ("AnyOf", "Constant", "Op", "Optional", "PatternOperand"),
    "rewriting.replace_nodes": ("replace_nodes",),
    "rewriting.replacement": ("NodeInput", "Replacement"),
    "rewriting.retyping": ("retype",),
    "rewriting.rewrite": ("Rewrite",),
    "rewriting.scratch_in_bodies": ("give_scratch_in_bodies",),
    "rewriting.traced_pattern": ("PatternBuilder",),
    "rewriting.unread_nodes": ("unread_positions",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pluginkit.onnx' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"pluginkit.onnx.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
