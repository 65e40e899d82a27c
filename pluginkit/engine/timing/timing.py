"""How runs are timed, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluginkit.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]

#: How many runs precede the timed ones by default; the first sets up what the others use.
WARM_UP = 3


@dataclass(frozen=True)
class TimingOptions:
    """How to time a plan.

    Attributes:
        iterations: how many runs are timed in each stream.
        warm_up: how many runs precede them, at least 1.
        streams: how many CUDA streams run at once, each from a thread of its own.
        contexts: how many execution contexts there are; the contexts of a stream take turns. None
            for one in each stream.
        cuda_graph: capture an enqueue of each context after its first run, and replay that.
        layers: run once more with TensorRT's IProfiler, for the time of each layer, and open an
            NVTX range around every enqueue.

    Errors:
        PK542: a number is less than 1, or there are fewer contexts than streams.
    """

    iterations: int
    warm_up: int = WARM_UP
    streams: int = 1
    contexts: int | None = None
    cuda_graph: bool = False
    layers: bool = False

    def __post_init__(self) -> None:
        for name in ("iterations", "warm_up", "streams"):
            if getattr(self, name) < 1:
                raise UsageError("PK542", f"{name} is {getattr(self, name)}; expected 1 or more.")
        if self.contexts is not None and self.contexts < self.streams:
            raise UsageError(
                "PK542",
                f"{self.contexts} contexts cannot run in {self.streams} streams at once: an "
                "execution context runs in one stream at a time.",
                fix="give as many --contexts as --streams, or more.",
            )


@dataclass(frozen=True)
class TimedRun:
    """One run, as the host's clock sees it, in ms since the first timed run began.

    Attributes:
        stream: the number of its stream.
        start_ms: when it began to copy its inputs to the GPU.
        copied_ms: when they were there.
        computed_ms: when the GPU had computed the outputs.
        end_ms: when they were copied back.
    """

    stream: int
    start_ms: float
    copied_ms: float
    computed_ms: float
    end_ms: float


@dataclass(frozen=True)
class LayerTime:
    """What a layer took in each run, as TensorRT's IProfiler reports it.

    Attributes:
        name: the layer's name; one that is made of several nodes names them all.
        is_plugin: whether it is a plugin.
        times_ms: its time in each run.
    """

    name: str
    is_plugin: bool
    times_ms: tuple[float, ...]

    @property
    def mean_ms(self) -> float:
        """The mean of its times."""
        return sum(self.times_ms) / len(self.times_ms)


@dataclass(frozen=True)
class Timing:
    """Repeated runs of one plan.

    Attributes:
        outputs: the outputs of a last run.
        runs: every timed run. Those of one stream follow one another, and each waits for its
            copies and for the GPU.
        runs_per_second: of all streams, where each enqueues run after run without waiting between
            them, and copies nothing.
        runs_per_second_with_copies: of all streams, of ``runs``.
        layers: the layers in the order in which they run; None without ``TimingOptions.layers``.
        nvtx: what opened the NVTX ranges, "" for nothing.
    """

    outputs: Arrays
    runs: tuple[TimedRun, ...]
    runs_per_second: float
    runs_per_second_with_copies: float
    layers: tuple[LayerTime, ...] | None = None
    nvtx: str = ""

    @property
    def to_gpu_ms(self) -> tuple[float, ...]:
        """How long each run copied its inputs to the GPU."""
        return tuple(run.copied_ms - run.start_ms for run in self.runs)

    @property
    def compute_ms(self) -> tuple[float, ...]:
        """How long each took from the enqueue until the GPU had finished."""
        return tuple(run.computed_ms - run.copied_ms for run in self.runs)

    @property
    def from_gpu_ms(self) -> tuple[float, ...]:
        """How long each copied its outputs back."""
        return tuple(run.end_ms - run.computed_ms for run in self.runs)

    @property
    def total_ms(self) -> tuple[float, ...]:
        """The duration of each run, with its copies."""
        return tuple(run.end_ms - run.start_ms for run in self.runs)
