"""Call an author's methods and check what they return.

Adapters, ONNX type inference, references and tests all call the methods through this package, so
one place finds a wrong return value and describes it in the author's terms.
"""

from __future__ import annotations

from pluginkit.contract.calls.inputs import (
    Inputs,
    aliased_inputs,
    check_dtypes,
    describe_arrays,
    describe_dtypes,
    describe_inputs,
    device_ports,
    dtypes_are_allowed,
    first_dtypes,
    on_device,
    present_ports,
    shape_values_in,
    type_bindings,
    with_shape_inputs,
)
from pluginkit.contract.calls.outputs import (
    ValuePlaces,
    check,
    describe_on_device,
    describe_outputs,
    output_shapes,
    output_types,
    refuses_types,
)
from pluginkit.contract.calls.results import (
    arrays_from_buffers,
    run_reference,
)
from pluginkit.contract.calls.work import (
    largest_workspace_bytes,
    steps,
    steps_within,
    workspace_bytes,
)

__all__ = [
    "Inputs",
    "ValuePlaces",
    "aliased_inputs",
    "arrays_from_buffers",
    "check",
    "check_dtypes",
    "describe_arrays",
    "describe_dtypes",
    "describe_inputs",
    "describe_on_device",
    "describe_outputs",
    "device_ports",
    "dtypes_are_allowed",
    "first_dtypes",
    "largest_workspace_bytes",
    "on_device",
    "output_shapes",
    "output_types",
    "present_ports",
    "refuses_types",
    "run_reference",
    "shape_values_in",
    "steps",
    "steps_within",
    "type_bindings",
    "with_shape_inputs",
    "workspace_bytes",
]
