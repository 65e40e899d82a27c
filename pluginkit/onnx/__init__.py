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
    from pluginkit.onnx.rewriting.mask_counts import count_by_non_zero as count_by_non_zero
    from pluginkit.onnx.rewriting.masked_assignment import select_by_masks as select_by_masks
    from pluginkit.onnx.rewriting.match import Match as Match
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

_HOME_OF = {
    "AnyOf": "rewriting.pattern",
    "BodyCopies": "rewriting.body_copies",
    "CarriedNode": "rewriting.carried_node",
    "Change": "rewriting.graph_rewrite",
    "Constant": "rewriting.pattern",
    "FLOATS": "inference.element_types",
    "GraphIndex": "rewriting.graph_index",
    "GraphRewrite": "rewriting.graph_rewrite",
    "Graphs": "rewriting.graph_rewrite",
    "INTEGERS": "inference.element_types",
    "Match": "rewriting.match",
    "NewNode": "rewriting.export_nodes",
    "NodeInput": "rewriting.replacement",
    "NumberedWords": "model.words",
    "Op": "rewriting.pattern",
    "Optional": "rewriting.pattern",
    "PatternBuilder": "rewriting.traced_pattern",
    "PatternOperand": "rewriting.pattern",
    "Replacement": "rewriting.replacement",
    "Rewrite": "rewriting.rewrite",
    "Scope": "model.graphs",
    "StaticValues": "inference.static_values",
    "UNUSED_WORD": "model.words",
    "WIDER_TYPES": "inference.element_types",
    "bodies": "model.graphs",
    "collects_without_limit": "rewriting.loop_limits",
    "defined_names": "model.graphs",
    "axis_sizes": "inference.value_types",
    "dims_of": "inference.value_types",
    "count_by_non_zero": "rewriting.mask_counts",
    "dtype_of_elem_type": "inference.element_types",
    "elem_type": "inference.element_types",
    "fold_known": "rewriting.folded_values",
    "give_scratch_in_bodies": "rewriting.scratch_in_bodies",
    "gives_words": "model.words",
    "inner_scopes": "model.graphs",
    "is_in_function": "model.graphs",
    "is_op": "model.graphs",
    "known_sizes": "inference.value_types",
    "lacks_default": "model.words",
    "lift_empty_guards": "rewriting.empty_guards",
    "lift_nodes": "rewriting.lift_nodes",
    "main_and_bodies": "model.graphs",
    "merge_equal_nodes": "rewriting.equal_nodes",
    "names_read": "model.graphs",
    "output_names": "model.graphs",
    "place_of": "model.graphs",
    "producer_of": "model.graphs",
    "plugin_node": "model.plugin_nodes",
    "rename_reads": "rewriting.lift_nodes",
    "replace_nodes": "rewriting.replace_nodes",
    "retype": "rewriting.retyping",
    "select_by_masks": "rewriting.masked_assignment",
    "scopes": "model.graphs",
    "source_of": "model.graphs",
    "store_words": "model.words",
    "stored_words": "model.words",
    "take_known_branches": "rewriting.known_branches",
}
__all__ = sorted(_HOME_OF)  # the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pluginkit.onnx' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"pluginkit.onnx.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
