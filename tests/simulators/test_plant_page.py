"""The vendors' page of the simulated pump house says what it does, in both languages."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from agent.form.fields import duration_ms
from simulators.plant_cli import opened
from simulators.plant_form import FittedForm, PlantForm, SwapForm
from simulators.scenarios.catalogue import NAMES

PAGES = Path(__file__).parents[2] / "docs" / "vendors"
LANGUAGES = pytest.mark.parametrize("lang", ["zh", "en"])


def page(lang: str) -> str:
    return (PAGES / f"simulated-plant.{lang}.md").read_text(encoding="utf-8")


@LANGUAGES
def test_the_example_station_opens(lang, tmp_path):
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page(lang), re.MULTILINE | re.DOTALL)
    (tmp_path / "station.yaml").write_text(example, encoding="utf-8")
    house = opened(tmp_path / "station.yaml", [])
    assert (list(house.lines), house.form.speed) == (["lan"], 60)
    assert house.form.meters["pump-kwh"].swaps == [SwapForm(after="12h", ratio=Decimal(30))]


@LANGUAGES
def test_the_plants_keys_stand_on_the_page_with_their_defaults(lang):
    sections = "plant|well|pump|pipe|grid|second"
    shown = {
        section: dict(re.findall(r"`?([a-z_]+): ([0-9.a-z]+)`", cells))
        for section, cells in re.findall(rf"^\| `({sections})` \| (.*) \|$", page(lang), re.MULTILINE)
    }
    plant = PlantForm()
    parts = {name: getattr(plant, name) for name in sections.split("|")[1:]}
    for section, form in {"plant": plant, **parts}.items():
        fields = {name: value for name, value in form if isinstance(value, int | Decimal)}
        assert set(shown[section]) == set(fields)
        for name, value in fields.items():
            text = shown[section][name]
            assert value == (duration_ms(text) if text[-1].isalpha() else type(value)(text)), name


@LANGUAGES
def test_the_keys_of_a_plants_meters_stand_on_the_page(lang):
    (cells,) = re.findall(r"^\| `meters` \| (.*) \|$", page(lang), re.MULTILINE)
    words = set(re.findall(r"[a-z]+", cells))
    assert words >= {*FittedForm.model_fields, *SwapForm.model_fields}


@LANGUAGES
def test_the_program_on_the_page_runs(lang, capsys):
    text = page(lang)
    lines = re.findall(r"^    (.*)$", text[text.index("plant_long") :], re.MULTILINE)
    program = "\n".join(lines)
    exec(program, {})
    assert len(capsys.readouterr().out.splitlines()) == 25


@LANGUAGES
def test_the_scenarios_on_the_page_exist(lang):
    named = set(re.findall(r"`((?:normal|r\d+)-[a-z-]+)`", page(lang)))
    assert named <= set(NAMES)
    assert {name for name in NAMES if name.startswith("normal")} <= named
