"""Run a plan with Polygraphy's TrtRunner."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.plan.open_engine import open_engine
from pluginkit.engine.timing.time_runs import time_runs
from pluginkit.engine.timing.timing import Timing, TimingOptions

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]


def run_engine(
    plan_path: str | Path,
    inputs: Arrays,
    *,
    flavour: str | None = None,
    plugins: Plugins | None = None,
    allow_host_code: bool = False,
    verbose: bool = False,
) -> Arrays:
    """Check a plan's manifest and run the plan once.

    Args:
        plan_path: the plan; its manifest is in the same folder, unless ``allow_host_code`` is set.
        inputs: an array for each input, of the plan's dtype and within one of its profiles.
        flavour: the TensorRT; by default the one that built the plan.
        plugins: the plugins that may be used; by default all that are found.
        allow_host_code: run code that the plan holds even if its manifest does not describe it,
            or if there is no manifest: the inputs are then those that the engine names.
        verbose: whether TensorRT's log goes to stderr.

    Errors:
        PK530 to PK534: the plan or its manifest is damaged, or does not fit here.  PK540: no GPU.
        PK541: TensorRT does not load the plan.  PK542: the inputs do not fit.  PK543: the run
            fails.
    """
    from pluginkit.trt.callbacks import callback_errors

    opened = open_engine(
        Path(plan_path),
        [inputs],
        flavour=flavour,
        plugins=plugins,
        allow_host_code=allow_host_code,
        verbose=verbose,
    )
    with callback_errors(), opened as plan, plan.runner() as runner:
        return {name: array.copy() for name, array in runner.infer(dict(inputs)).items()}


def time_engine(
    plan_path: str | Path,
    inputs: Arrays,
    how: TimingOptions,
    *,
    flavour: str | None = None,
    plugins: Plugins | None = None,
    allow_host_code: bool = False,
    verbose: bool = False,
) -> Timing:
    """Run a plan many times; ``how`` says how, and the rest is as for ``run_engine``."""
    from pluginkit.trt.callbacks import callback_errors

    opened = open_engine(
        Path(plan_path),
        [inputs],
        flavour=flavour,
        plugins=plugins,
        allow_host_code=allow_host_code,
        verbose=verbose,
    )
    with callback_errors(), opened as plan:
        trt = plan.flavour.module
        create_runner = functools.partial(plan.runner, is_timed=True)
        return time_runs(trt, create_runner, inputs, how, plan.plugin_nodes)
