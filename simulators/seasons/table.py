"""The table of seasons: per model how many errors lie inside the stated uncertainty, and every season with its seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from simulators.seasons.reckoned import Reckoned

Seasons = Mapping[tuple[str, int], Reckoned | None]
"""By model and seed; None where the product refused the calibration."""

REFUSED = "–"


def summary(seasons: Seasons, models: Sequence[str]) -> list[str]:
    """A row per model, Markdown: seasons, refused ones, inside U, mean and largest error, mean U, in per cent."""
    rows = ["| model | seasons | refused | inside U | mean error % | largest error % | mean U % (k = 2) |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    for model in models:
        every = [season for (name, _), season in seasons.items() if name == model]
        found = [season for season in every if season is not None]
        inside = sum(season.is_within for season in found)
        errors = [season.error for season in found]
        figures = (
            _percent(sum(errors) / len(errors), signed=True),
            _percent(max(errors, key=abs), signed=True),
            _percent(sum(season.stated for season in found) / len(found)),
        )
        rows.append(f"| `{model}` | {len(every)} | {len(every) - len(found)} | {inside} | {' | '.join(figures)} |")
    return rows


def by_seed(seasons: Seasons, models: Sequence[str], seeds: Iterable[int]) -> list[str]:
    """A row per seed, Markdown: error / U in per cent for each model; in bold what lies outside."""
    rows = [f"| seed | {' | '.join(f'`{model}`' for model in models)} |", "|---|" + "---|" * len(models)]
    rows += [f"| {seed} | {' | '.join(_cell(seasons[model, seed]) for model in models)} |" for seed in seeds]
    return rows


def _cell(season: Reckoned | None) -> str:
    if season is None:
        return REFUSED
    text = f"{_percent(season.error, signed=True)} / {_percent(season.stated)}"
    return text if season.is_within else f"**{text}**"


def _percent(share: float, *, signed: bool = False) -> str:
    return f"{share * 100:+.2f}" if signed else f"{share * 100:.2f}"
