"""The page about intakes, followed step by step."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.config import load
from agent.intakes.settings import Use
from agent.messages import LANGUAGES
from agent.settings import Config
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

ROOT = Path(__file__).resolve().parent.parent
STATION = "station: {id: a}\nlines: {bus: {port: /dev/none}}\nmeters:\n"
METERS = """\
  main-flow: {line: bus, profile: tuf2000, address: "1", poll: 60s}
  second-flow: {line: bus, profile: tuf2000, address: "3", poll: 60s}
  pump-kwh: {line: bus, profile: eastron-sdm630, address: "2", poll: 60s}
"""


def page(lang: str) -> str:
    return (ROOT / "docs" / "technicians" / f"intakes.{lang}.md").read_text(encoding="utf-8")


def blocks(lang: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", page(lang), re.DOTALL)


def loaded(text: str) -> Config:
    return load(Path("/nowhere/agent.yaml"), text=text, drivers=DRIVERS, uplink_settings=settings_models())


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_step_passes_the_check_that_the_page_ends_with(
    lang: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in blocks(lang):
        file = tmp_path / "agent.yaml"
        file.write_text(text, encoding="utf-8")
        assert main(["check", str(file), "--lang", lang]) == 0
        assert capsys.readouterr().err == "" or "tuf2000" in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_steps_make_what_the_page_says_they_make(lang: str) -> None:
    metered, converted, several, manual = (loaded(text) for text in blocks(lang))
    well = metered.intakes["well-3"]
    assert (well.range.q4_m3h, well.water[0].digits) == (125, 9)
    energy = converted.intakes["well-4"].energy
    assert energy is not None
    assert converted.intakes["well-4"].is_converted
    assert (energy.ct_ratio, energy.pump_on_fraction, energy.overload_factor) == (20, Decimal("0.2"), Decimal("1.5"))
    shared = several.intakes["well-4"].energy
    assert shared is not None
    assert [(pump.id, pump.coefficients) for pump in shared.pumps] == [("first", ("W7",)), ("second", ("W8", "R1"))]
    rested = manual.intakes["well-5"]
    assert [each.use for each in rested.statuses] == [Use.IN_USE, Use.STANDBY]
    assert manual.manual["old-meter"].period_ms == 30 * 86_400_000


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_lines_in_passing_are_right_too(lang: str) -> None:
    (several,) = re.findall(r"`water: (\{meters: .*?\})`", page(lang))
    (check,) = re.findall(r"^    (check: .*)$", page(lang), re.MULTILINE)
    one = loaded(f"{STATION}{METERS}intakes: {{w: {{code: '1', water: {several}}}}}\n").intakes["w"]
    assert [each.meter for each in one.water] == ["main-flow", "second-flow"]
    one = loaded(
        f"{STATION}{METERS}intakes:\n  w:\n    code: '1'\n    water: {{meter: main-flow}}\n    {check}\n"
    ).intakes["w"]
    assert one.energy is not None
    assert not one.is_converted
    assert "period: 7d" in page(lang)
    assert "register_is_primary: true" in page(lang)


def test_both_languages_show_the_same_files() -> None:
    zh, en = (blocks(lang) for lang in LANGUAGES)
    assert zh == en
