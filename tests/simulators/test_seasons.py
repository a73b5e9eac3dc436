"""Forty seasons for every model: errors lie inside the stated uncertainty, and the table that says so is published."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import pytest

from agent.derive.interval import derive
from agent.derive.records import coefficient_from
from agent.derive.state import State
from agent.intakes.sources import converted_site, observation
from simulators.seasons.__main__ import SEEDS
from simulators.seasons.drawn import RANGES, RIVER, STRATUM
from simulators.seasons.lived import season
from simulators.seasons.reckoned import closed, reckoned
from simulators.seasons.table import REFUSED, Seasons, by_seed, summary
from simulators.seasons.tested import MODELS, prepared

PAGES = Path(__file__).parents[2] / "docs" / "reference"
ENOUGH = 36
IS_BULK = "QUSHUI_BULK" in os.environ
SAMPLED = MODELS if IS_BULK else tuple(model for model in MODELS if model != "curve")  # three times as many readings
LANGUAGES = pytest.mark.parametrize("lang", ["zh", "en"])


def rows(lang: str) -> dict[str, list[str]]:
    """The rows of the page's tables by their first cell."""
    text = (PAGES / f"conversion-error.{lang}.md").read_text(encoding="utf-8")
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return {row[0].strip("`"): row for row in found}


reckoned_once = cache(reckoned)


@LANGUAGES
@pytest.mark.parametrize("model", MODELS)
def test_the_published_table_has_at_least_36_of_40_seasons_inside_u(lang, model):
    _, seasons, refused, inside, *_ = rows(lang)[model]
    assert int(seasons) == len(SEEDS)
    assert int(inside) >= ENOUGH
    column = MODELS.index(model) + 1
    cells = [rows(lang)[str(seed)][column] for seed in SEEDS]
    assert cells.count(REFUSED) == int(refused)
    assert sum(not cell.startswith("**") and cell != REFUSED for cell in cells) == int(inside)
    for cell in cells:
        if cell != REFUSED:
            error, stated = map(float, re.findall(r"[-+]?\d+\.\d+", cell))
            limit = stated * (1 + error / 100)  # U in per cent of true water
            assert (abs(error) > limit) == cell.startswith("**") or abs(abs(error) - limit) < 0.02


def test_both_languages_publish_the_same_figures():
    assert {key: row[1:] for key, row in rows("zh").items() if key.isdecimal()} == {
        key: row[1:] for key, row in rows("en").items() if key.isdecimal()
    }


@pytest.mark.parametrize("model", SAMPLED)
def test_what_is_published_is_what_the_command_finds_again(model):
    seeds = SEEDS if IS_BULK else SEEDS[:1]
    seasons: Seasons = {(model, seed): reckoned_once(model, seed) for seed in seeds}
    for line in by_seed(seasons, [model], seeds)[2:]:
        seed, cell = (each.strip() for each in line.strip("|").split("|"))
        assert rows("en")[seed][MODELS.index(model) + 1] == cell
    if IS_BULK:
        (line,) = [row for row in summary(seasons, [model]) if model in row]
        assert [cell.strip() for cell in line.strip("|").split("|")][1:] == rows("en")[model][1:]


@LANGUAGES
def test_every_range_stands_on_the_page_with_its_numbers(lang):
    text = (PAGES / f"conversion-error.{lang}.md").read_text(encoding="utf-8")
    for name, span in RANGES.items():
        assert f"| `{name}` | {span.low:g} … {span.high:g} {span.unit}".rstrip() in text, name
    for ranges in (STRATUM, RIVER):
        for name, span in ranges.items():
            if span != RANGES[name]:
                assert f"`{name}` {span.low:g} … {span.high:g}" in text, name


def test_a_site_is_the_same_each_time_and_its_coefficient_is_the_products():
    first, second = prepared("fixed", 3), prepared("fixed", 3)
    assert first == second
    assert first.coefficient is not None
    assert first.coefficient.basis.runs == first.runs == 5
    assert 0.01 <= first.coefficient.u_rel < 0.03  # the reference meter's 1 % is in it, k = 1


def test_the_account_closes_a_season_with_what_derive_says_of_its_readings():
    found = season("affine_level", 2)
    assert found is not None
    scenario, energy = found.scenario, found.scenario.settings.energy
    site = converted_site(energy, scenario.settings, [coefficient_from(scenario.declarations[0].body)])
    state = State()
    for heard in scenario.rounds:
        _, state = derive(site, observation(energy, heard, {}), state)
    volume_m3, _ = closed(scenario)
    assert volume_m3 == state.volume_m3
