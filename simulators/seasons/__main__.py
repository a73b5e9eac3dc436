"""`python -m simulators.seasons`: 40 irrigation seasons for every model, calibrated once each, against true water.

Prints the table of `docs/reference/conversion-error.en.md`. A season takes some seconds; all of them, on one processor,
about half an hour.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from simulators.seasons.reckoned import Reckoned, reckoned
from simulators.seasons.table import Seasons, by_seed, summary
from simulators.seasons.tested import MODELS

SEEDS = range(1, 41)


def main() -> int:
    """Lives the chosen seasons and prints their table."""
    parser = argparse.ArgumentParser(prog="python -m simulators.seasons", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="N")
    parser.add_argument("--jobs", type=int, default=None, help="processes; default: one per processor")
    options = parser.parse_args()
    seasons: dict[tuple[str, int], Reckoned | None] = {}
    chosen = list(product(options.models, options.seeds))
    with ProcessPoolExecutor(options.jobs) as pool:
        for key, season in zip(chosen, pool.map(reckoned, *zip(*chosen, strict=True)), strict=True):
            seasons[key] = season
            print(*key, "refused" if season is None else f"{season.error:+.4f} {season.happened}", file=sys.stderr)
    print(page(seasons, options.models, options.seeds))
    return 0


def page(seasons: Seasons, models: list[str], seeds: list[int]) -> str:
    """Both tables, Markdown."""
    return "\n".join([*summary(seasons, models), "", *by_seed(seasons, models, seeds)])


if __name__ == "__main__":
    sys.exit(main())
