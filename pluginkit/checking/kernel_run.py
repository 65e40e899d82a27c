"""Run a plugin's kernels in an author's tests, on any machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from pluginkit.contract.plugin import Plugin
    from pluginkit.device.ptx_run import KernelRun
    from pluginkit.ptx import RunningLaunch


def run_kernels(
    plugin: Plugin,
    inputs: Sequence[npt.NDArray[Any] | None],
    *,
    in_place: bool = False,
    seed: int | None = None,
    seconds: float | None = None,
    on_launch: Callable[[RunningLaunch], None] = lambda launch: None,
) -> KernelRun:
    """Run a plugin's kernels on the PTX machine, which needs no GPU and checks every access.

    For example::

        run = run_kernels(Scale(factor=2.0), [x])
        assert not run.findings
        np.testing.assert_array_equal(run.outputs[0], 2 * x)

    Args:
        plugin: the plugin with its attributes.
        inputs: an array for each declared input, None for an optional one that is absent.
        in_place: whether outputs that may alias an input do.
        seed: chooses the order of blocks and warps; None for ascending order.
        seconds: the CPU time that the kernels may take, without compilation; by default without
            limit.
        on_launch: called with each launch before it runs: ``launch.step()`` runs one basic block
            for one group of threads, ``launch.register("%r1")`` returns a register of every thread;
            the rest of the launch runs afterwards.

    Returns:
        the outputs and the findings; bytes that no kernel wrote are 0xA5.

    Errors:
        PK111, PK112: the arrays do not fit.  PK300 to PK306, PK310, PK320, PK321: as on a GPU.
        PK351: the machine does not know an instruction.  PK356: the plugin overrides enqueue.
        PK357: the time is over.
    """
    from pluginkit.checking.time_budget import Clock
    from pluginkit.device.ptx_device import PtxDevice
    from pluginkit.device.ptx_run import run_on

    ports = plugin.spec.inputs
    present = [port.name for port, one in zip(ports, inputs, strict=True) if one is not None]
    if len(present) < len(ports):
        plugin = plugin.with_inputs(*present)
    clock = None if seconds is None else Clock(seconds)
    device = PtxDevice(
        lambda: None if clock is None else clock.left, seed=seed, on_launch=on_launch
    )
    return run_on(device, plugin, [one for one in inputs if one is not None], in_place=in_place)
