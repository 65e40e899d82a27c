"""Run the campaign: ``python -m tests.fuzz --seed 0 --count 20000``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.fuzz import campaign


def main() -> int:
    """Run the chosen inputs; return 1 if one of them is a violation, a crash or a hang."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=campaign.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20_000, help="inputs 0 to COUNT - 1")
    parser.add_argument(
        "--part", default="1/1", metavar="K/N", help="every N-th input, from the K-th"
    )
    parser.add_argument("--target", choices=campaign.SHARES, help="this target's inputs only")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--results",
        type=Path,
        help="a file of results, appended to; inputs it has are not repeated",
    )
    parser.add_argument("--input", type=int, help="run this one input here, and print its result")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        campaign.work(args.seed, args.worker)
        return 0
    if args.input is not None:
        return _run_one(args.seed, args.input)
    return _run_all(args)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run_one(seed: int, index: int) -> int:
    from tests.fuzz.oracle import sandbox

    with sandbox() as box:
        result = campaign.run_input(seed, index, box)
    _say(str(result))
    return int(result.outcome in campaign.VIOLATIONS)


def _run_all(args: argparse.Namespace) -> int:
    part, parts = map(int, args.part.split("/"))
    wanted = [
        index
        for index in range(part - 1, args.count, parts)
        if args.target in (None, campaign.target_of(index))
    ]
    results: list[campaign.Result] = []
    if args.results is not None and args.results.exists():
        lines = args.results.read_text().splitlines()
        results = [campaign.Result(**json.loads(line)) for line in lines]
    known = {result.index for result in results}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:

        def done(result: campaign.Result) -> None:
            results.append(result)
            if args.results is not None:
                with args.results.open("a") as file:
                    file.write(json.dumps(asdict(result)) + "\n")
            if result.outcome in campaign.VIOLATIONS:
                _say(f"{result.index} {result.target} {result.outcome}: {result.detail}")

        todo = [index for index in wanted if index not in known]
        campaign.run(args.seed, todo, args.workers, Path(folder), done)
    seconds = time.monotonic() - started
    _say("\n".join(campaign.summary(results)))
    _say(f"\nSeed {args.seed}, {len(todo)} inputs in {seconds:.0f} s on {args.workers} workers.")
    return int(any(result.outcome in campaign.VIOLATIONS for result in results))


if __name__ == "__main__":
    sys.exit(main())
