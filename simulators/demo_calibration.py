"""The demo's test of its well: runs on the simulated plant, three weeks ago, and how the agent is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from agent.derive.exact import midnight_ms
from agent.form.judge import accepted
from agent.form.nodes import read_file
from simulators.plant_form import PlantForm
from simulators.plant_meters import Register
from simulators.trial import Well, drawn_tester, runs_from, table_text

_ZONE = ZoneInfo("Asia/Shanghai")
_DAYS_AGO = 21
_RUNS = 5
_SEED = 20261121


def runs_text(station: Path) -> str:
    """The tester's table of the plant in that file."""
    form = accepted(read_file(station, str(station)), ("plant",), PlantForm) or PlantForm()
    first_ms = midnight_ms(_today() - timedelta(days=_DAYS_AGO), _ZONE)
    demand = float(form.pipe.demand)
    well = Well(form=form, register=Register(decimals=3), epoch_ms=first_ms, openings=(demand - 0.05, demand + 0.05))
    chance = Random(_SEED)
    tester = drawn_tester(chance)
    rows = runs_from(well, tester, chance, midnight_ms=first_ms, speeds=(1.0,) * _RUNS, zone=_ZONE)
    return table_text(rows, leave_out=("pressure_mpa", "frequency_hz", "season", "well"))


def fit_and_activate(runs: str, record: str, config: str) -> tuple[Sequence[str], ...]:
    """The two commands that make a coefficient of the table, in force since yesterday."""
    certified = ("--reference", "demo", "--certificate", "R-1", "--certificate-until", "2030-12-31")
    named = ("--id", "W5", "--well", "well-5", "--mode", "open_outlet", "--tester", "demo", "--out", record)
    since = str(_today() - timedelta(days=1))
    return (
        ("coefficient", "fit", runs, "--model", "two_phase", *certified, *named),
        ("coefficient", "activate", record, "--from", since, "--who", "demo", "-c", config),
    )


def _today() -> date:
    return datetime.now(UTC).astimezone(_ZONE).date()
