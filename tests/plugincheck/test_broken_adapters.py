"""pluginkit's own adapters, broken: each of TensorRT's traps that an author cannot fall into."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pluginkit.checking.check import all_checks
from pluginkit.testing import plugincheck
from pluginkit.trt import fields
from pluginkit.trt.adapter import AdapterCore
from pluginkit.trt.fields import CreatorCore
from pluginkit.trt.plugin_v2 import PluginV2Callbacks
from pluginkit.trt.plugin_v3 import CreatorV3Callbacks, PluginV3Callbacks
from tests.plugincheck.sound import Blend

pytestmark = pytest.mark.trt

#: Set in a child process to the patch that it applies as it imports this module.
VARIABLE = "PLUGINKIT_TEST_PATCH"


def raising(*_: Any) -> Any:
    raise ZeroDivisionError("in a callback")


def in_namespace(namespace: str | None) -> Callable[..., None]:
    original = CreatorCore.__init__

    def init(self: Any, *args: Any) -> None:
        original(self, *args)
        if namespace is not None:
            self.plugin_namespace = namespace

    return init


def without_namespace(self: Any, plugin_class: Any, flavour: Any) -> None:
    self.interface.__init__(self)
    self.plugin_class, self.flavour = plugin_class, flavour
    self.name, self.plugin_version, _ = plugin_class.spec.key
    self.announced = fields.announced_fields(flavour.module, plugin_class.spec)
    self.field_names = self.announced.collection


def without_field_names(self: Any, plugin_class: Any, flavour: Any) -> None:
    self.interface.__init__(self)
    self.plugin_class, self.flavour = plugin_class, flavour
    self.name, self.plugin_version, self.plugin_namespace = plugin_class.spec.key


def without_plugin_name(self: Any, core: Any) -> None:
    for base in self.interfaces:
        base.__init__(self)
    self.core = core
    _, self.plugin_version, self.plugin_namespace = core.plugin.spec.key
    self.num_outputs = len(core.plugin.spec.outputs)
    self._blocks: list[Any] = []


def truncating(buffer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def truncated(value: Any) -> Any:
        if isinstance(value, str) and len(value) > 8:
            value = value[:8]
        return buffer(value)

    return truncated


def other_object(self: Any, kind: Any) -> Any:
    other = getattr(self, "_other", None)
    if other is None:
        other = self._other = self.clone()
    return other


def any_format(self: Any, pos: int, descs: Any, num_inputs: int) -> bool:
    return True


def linear_forgotten(self: Any, desc: Any) -> bool:
    return True


def all_but_the_first(spec: Any) -> list[str]:
    return [attribute.name for attribute in spec.attributes[1:]]


def shared_core(self: Any) -> Any:
    return self


@dataclass(frozen=True)
class Patch:
    """What to replace by what, the checks that must fail, and whether the process dies of it."""

    caught_by: frozenset[str]
    target: Any
    name: str
    value: Any
    kills: bool = False

    def apply(self) -> None:
        setattr(self.target, self.name, self.value)


def patch(*caught_by: str, on: Any, name: str, value: Any, kills: bool = False) -> Patch:
    return Patch(frozenset(caught_by), on, name, value, kills)


V2, V3 = PluginV2Callbacks, PluginV3Callbacks
DRIVEN = ("kernel_types",)  # one of the checks that drive the adapter; the others do the same

PATCHES = {
    "no format is ever supported": patch(
        "format_combinations", "life_cycle", "build", *DRIVEN,
        on=AdapterCore, name="supports", value=lambda *_: False,
    ),
    "every type is supported": patch(
        "format_combinations", on=AdapterCore, name="supports", value=any_format
    ),
    "every format is supported": patch(
        "format_combinations", on=AdapterCore, name="_is_linear", value=linear_forgotten
    ),
    "supports_format_combination raises": patch(
        "format_combinations", "life_cycle", "build", *DRIVEN,
        on=AdapterCore, name="supports", value=raising,
    ),
    "output types raise": patch(
        "life_cycle", "build", *DRIVEN, on=AdapterCore, name="output_data_types", value=raising
    ),
    "output shapes raise": patch(
        "life_cycle", "build", *DRIVEN, on=AdapterCore, name="output_dims", value=raising
    ),
    "V2 configure_plugin raises": patch(
        "life_cycle", on=V2, name="configure_plugin", value=raising
    ),
    "V3 configure_plugin raises": patch(
        "life_cycle", "build", *DRIVEN, on=V3, name="configure_plugin", value=raising
    ),
    "the workspace is 0": patch(
        "life_cycle", on=AdapterCore, name="workspace_bytes", value=lambda *_: 0
    ),
    "V2 serializes nothing": patch(
        "serialization", "life_cycle", on=V2, name="_payload", value=b""
    ),
    "V2's serialization size is too large": patch(
        "serialization", "life_cycle", on=V2, name="get_serialization_size", value=lambda _: 9999
    ),
    "V3 get_fields_to_serialize raises": patch(
        "serialization", "life_cycle", "build", *DRIVEN,
        on=V3, name="get_fields_to_serialize", value=raising,
    ),
    "V3 get_fields_to_serialize gives a list": patch(
        "serialization", "life_cycle", "build", *DRIVEN,
        on=V3, name="get_fields_to_serialize", value=lambda _: [],
    ),
    "fields are cut": patch(
        "format_combinations", "serialization", "life_cycle", "build", *DRIVEN,
        on=fields, name="_buffer", value=truncating(fields._buffer),
    ),
    "an attribute is not announced": patch(
        "registry", "serialization", "build",
        on=fields, name="_announced_names", value=all_but_the_first,
    ),
    "V2 clone() is None": patch(
        "serialization", "life_cycle", on=V2, name="clone", value=lambda _: None
    ),
    "V2 clone() is self": patch("serialization", on=V2, name="clone", value=lambda self: self),
    "V2 clone() raises": patch("serialization", "life_cycle", on=V2, name="clone", value=raising),
    "V2 clone() is something else": patch(
        "serialization", "life_cycle", on=V2, name="clone", value=lambda _: "clone"
    ),
    "clones share their state": patch(
        "serialization", on=AdapterCore, name="copy", value=shared_core
    ),
    "V3 create_plugin raises": patch(
        "format_combinations", "serialization", "life_cycle", "build", *DRIVEN,
        on=CreatorV3Callbacks, name="create_plugin", value=raising,
    ),
    "V3 clone() is None": patch(
        "serialization", "life_cycle", "build",
        on=V3, name="clone", value=lambda _: None, kills=True,
    ),
    "V3 clone() is self": patch(
        "serialization", "build", on=V3, name="clone", value=lambda self: self, kills=True
    ),
    "V3 clone() raises": patch(
        "serialization", "life_cycle", "build", on=V3, name="clone", value=raising, kills=True
    ),
    "V3 attach_to_context() is None": patch(
        "serialization", "life_cycle",
        on=V3, name="attach_to_context", value=lambda *_: None, kills=True,
    ),
    "V3 attach_to_context() is self": patch(
        "serialization", on=V3, name="attach_to_context", value=lambda self, _: self, kills=True
    ),
    "V3 capabilities are other objects": patch(
        "life_cycle", on=V3, name="get_capability_interface", value=other_object, kills=True
    ),
    "the creator has no namespace": patch(
        "registry", "serialization", "life_cycle", "build",
        on=CreatorCore, name="__init__", value=without_namespace, kills=True,
    ),
    "the creator has no field names": patch(
        "registry", "serialization", "build",
        on=CreatorCore, name="__init__", value=without_field_names, kills=True,
    ),
    "the creator has another namespace": patch(
        "registry", "format_combinations", "serialization", "life_cycle", "build", *DRIVEN,
        on=CreatorCore, name="__init__", value=in_namespace("elsewhere"),
    ),
    "the plugin has no name": patch(
        "life_cycle", "build", on=V3, name="__init__", value=without_plugin_name, kills=True
    ),
}  # fmt: skip


class Victim(Blend):
    """Sound; its adapters are broken."""


if os.environ.get(VARIABLE):
    PATCHES[os.environ[VARIABLE]].apply()

CHECKS = ["registry", "serialization", "life_cycle", "build", "format_combinations", "kernel_types"]


def victim(name: str) -> type[Blend]:
    """Return a new class, so that the registry makes a new creator."""
    return type(f"Victim{list(PATCHES).index(name)}", (Blend,), {"__doc__": name})


@pytest.mark.parametrize("name", [name for name, one in PATCHES.items() if not one.kills])
def test_a_broken_adapter_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = PATCHES[name]
    monkeypatch.setattr(broken.target, broken.name, broken.value)
    report = plugincheck(victim(name), only=CHECKS, memory="host", isolate=False)
    assert {result.check for result in report.of("failed")} == broken.caught_by, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, one in PATCHES.items() if one.kills])
def test_an_adapter_that_kills_the_process_is_caught(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, name)
    broken = PATCHES[name]
    report = plugincheck(Victim, only=CHECKS[:4], memory="host")
    assert {result.check for result in report.of("failed")} == broken.caught_by, str(report)
    for result in report.of("failed"):
        if "was killed by" in result.got:
            assert "kill" in result.cause.splitlines()[0], str(result)


@pytest.mark.slow
def test_without_a_patch_nothing_is_caught() -> None:
    for isolate in (True, False):
        report = plugincheck(Victim, only=CHECKS, memory="host", isolate=isolate)
        assert len(report.of("passed")) == len(CHECKS), str(report)


def test_the_tables_are_covered() -> None:
    assert len(PATCHES) >= 30
    assert set(CHECKS) <= set(all_checks())
    assert all(one.caught_by for one in PATCHES.values())
