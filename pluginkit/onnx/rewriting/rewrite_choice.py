"""Choose which rewrites are applied to a model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from pluginkit.errors import UsageError
from pluginkit.onnx.rewriting.rewrite import Rewrite
from pluginkit.trt.target import Target


@dataclass(frozen=True)
class RewriteChoice:
    """Which rewrites to apply; by default all but the opt-in ones.

    Attributes:
        only: names of rewrites; if given, no others are applied but those in ``also``.
        skip: names of rewrites to leave out.
        also: names of opt-in rewrites to apply.
        target: the TensorRT that will read the model; rewrites that it does not need are left out.
            If it is None, ``rewrite_model`` leaves none out, and building and scanning use the
            TensorRT that they run.
    """

    only: Collection[str] = ()
    skip: Collection[str] = ()
    also: Collection[str] = ()
    target: Target | None = None

    def for_target(self, target: Target | None) -> RewriteChoice:
        """Return the same choice with this target, unless it has one."""
        return self if self.target is not None else replace(self, target=target)

    def choose(self, rewrites: Sequence[type[Rewrite]]) -> ChosenRewrites:
        """Sort the rewrites into those that are applied and those that are left out.

        Errors:
            PK425: ``only``, ``skip`` or ``also`` names a rewrite that does not exist.
        """
        only, skip, also = set(self.only), set(self.skip), set(self.also)
        names = [rewrite.__name__ for rewrite in rewrites]
        for name in sorted(only | skip | also):
            if name not in names:
                raise UsageError(
                    "PK425", f"there is no rewrite '{name}'; expected one of: {', '.join(names)}."
                )
        opt_in = {rewrite.__name__ for rewrite in rewrites if rewrite.opt_in}
        wanted = ((only or set(names) - opt_in) | also) - skip
        chosen = sorted(
            (rewrite for rewrite in rewrites if rewrite.__name__ in wanted),
            key=lambda rewrite: rewrite.order,
        )
        retired = [one for one in chosen if self.target and self.target.reaches(one.native_since)]
        return ChosenRewrites(
            [one for one in chosen if one not in retired],
            [one.__name__ for one in retired],
            [name for name in names if name in opt_in - only - skip - also],
        )


@dataclass(frozen=True)
class ChosenRewrites:
    """The rewrites that a RewriteChoice applies, and those that it leaves out.

    Attributes:
        rewrites: the rewrites to apply, in order.
        retired: the names of rewrites that the target does not need.
        opt_in: the names of opt-in rewrites that nobody named.
    """

    rewrites: list[type[Rewrite]]
    retired: list[str]
    opt_in: list[str]
