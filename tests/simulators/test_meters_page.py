"""The page for vendors: its file is served, and it names everything there is."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from agent.messages import LANGUAGES
from simulators import mischief
from simulators.meters.orders import OrderForm, carry_out
from simulators.meters.record import LineStats
from simulators.meters.station import load
from simulators.meters.station_form import Behaviour, SimulatedDtuForm, SimulatedLineForm, SimulatedMeterForm
from simulators.mischief import Mischief

DOCS = Path(__file__).parents[2] / "docs" / "vendors"
PAGES = {lang: (DOCS / f"simulated-meters.{lang}.md").read_text(encoding="utf-8") for lang in LANGUAGES}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_key_kind_and_counter_stands_in_the_page(lang: str) -> None:
    names = {
        *SimulatedLineForm.model_fields,
        *SimulatedDtuForm.model_fields,
        *get_args(Behaviour),
        *SimulatedMeterForm.model_fields,
        *Mischief.model_fields,
        *get_args(mischief.Kind),
        *(field.name for field in fields(LineStats)),
        *(option for options in mischief.OPTIONS.values() for option in options),
    }
    assert not {name for name in names if f"`{name}`" not in PAGES[lang]}
    assert all(f'"{field.alias or name}"' in PAGES[lang] for name, field in OrderForm.model_fields.items())


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_file_in_the_page_is_right_and_its_orders_are_understood(lang: str, tmp_path: Path) -> None:
    file = tmp_path / "meters.yaml"
    text = PAGES[lang].partition("```yaml\n")[2].partition("```")[0]
    file.write_text(text.replace("/tmp/", f"{tmp_path}/").replace(":5020", ":0"), encoding="utf-8")
    lines = load(file)
    assert [list(line.meters) for line in lines.values()] == [["main-flow", "pump-kwh"], ["spare-flow"]]
    orders = [line.strip() for line in PAGES[lang].splitlines() if line.startswith("    {")]
    for order in orders:
        carry_out(order, lines)
    assert [next(iter(json.loads(order))) for order in orders] == ["meter", "meter", "line", "stats"]
