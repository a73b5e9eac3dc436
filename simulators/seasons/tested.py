"""How each site is tested before its season, model by model, and what the product makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple

from agent.calibration.result import Site
from agent.derive.coefficient import Coefficient
from agent.derive.exact import midnight_ms
from agent.derive.uncertainty import seasonal_level_rel
from simulators.seasons.drawn import EPOCH_MS, RIVER, STRATUM, ZONE, Drawn, drawn_site
from simulators.trial import (
    Row,
    Tested,
    Tester,
    Well,
    calibrated,
    drawn_tester,
    reference_of,
    runs_from,
    table_text,
)

MODELS = ("fixed", "dated", "two_phase", "affine_level", "physical", "curve", "regional")
_AUTUMN, _SPRING, _SUMMER = date(2025, 10, 10), date(2025, 3, 20), date(2025, 6, 20)
_STEPS = (("01-01", _SPRING), ("05-01", _SUMMER), ("08-16", _AUTUMN))
_VALID_FROM = date(2025, 11, 1)
_CERTIFIED = date(2026, 12, 31)
_FURTHER = 3  # runs that are added when the first ones are refused, that often
_TYPICAL_WELLS = 12
_SPEEDS = (0.8, 0.87, 0.93, 1.0)


class Prepared(NamedTuple):
    """A site ready for its season: its record (None: the runs were refused in the end), and how many runs it took."""

    drawn: Drawn
    coefficient: Coefficient | None
    runs: int


def prepared(model: str, seed: int) -> Prepared:
    """The site of that seed, tested for the model."""
    chance = Random(f"{model} {seed}")
    if model == "regional":
        return _regional(chance)
    drawn = drawn_site(chance, RIVER) if model == "curve" else drawn_site(chance)
    tester = drawn_tester(chance)
    test = _Test(drawn, tester, chance)
    rows, found = test.until_accepted(model, _PLANS[model])
    record = found.coefficient
    if record is not None and model in {"fixed", "two_phase", "curve"}:
        record = replace(record, u_model=_of_the_level(drawn))
    return Prepared(drawn, record, rows)


def _of_the_level(drawn: Drawn) -> Decimal:
    """What a level that nobody watches adds, from its yearly range; the autumn's lies at one end of it (§9.4)."""
    return seasonal_level_rel(drawn.range_m, drawn.head_m, calibrated_at_end=True).quantize(Decimal("0.0001"))


Plan = Callable[["_Test", int], Iterable[Row]]


class _Test:
    """The tester at one site."""

    def __init__(self, drawn: Drawn, tester: Tester, chance: Random, *, name: str = "W1") -> None:
        self._drawn = drawn
        self._tester = tester
        self._chance = chance
        self._well = Well(
            form=drawn.form, register=drawn.register, epoch_ms=EPOCH_MS, openings=drawn.openings, name=name
        )

    @property
    def site(self) -> Site:
        """What the tester tells the product beside the runs."""
        drawn = self._drawn
        return Site(
            reference=reference_of(self._tester, until=_CERTIFIED),
            step_kwh=drawn.register.step * drawn.register.ratio,
            discharge_height_m=drawn.discharge_m,
        )

    def runs(self, day: date, speeds: Sequence[float], *, season: str = "") -> Iterable[Row]:
        """One run a day from that day on."""
        rows = runs_from(
            self._well, self._tester, self._chance, midnight_ms=midnight_ms(day, ZONE), speeds=speeds, zone=ZONE
        )
        for row in rows:
            yield {**row, "season": season}

    def until_accepted(self, model: str, plan: Plan) -> tuple[int, Tested]:
        """The runs of the plan, and further ones while the product refuses them (§6-5)."""
        rows = list(plan(self, 0))
        found = self._fit(model, rows)
        for further in range(1, _FURTHER + 1):
            if found.coefficient is not None:
                break
            rows += plan(self, further)
            found = self._fit(model, rows)
        return len(rows), found

    def _fit(self, model: str, rows: Sequence[Row]) -> Tested:
        unused = {"two_phase": (), "physical": ("drop_energy_kwh", "drop_volume_m3")}
        without = unused.get(model, ("drop_energy_kwh", "drop_volume_m3", "pressure_mpa"))
        first = min(date.fromisoformat(row["start"][:10]) for row in rows)
        text = table_text(rows, leave_out=without)
        return calibrated(model, text, self.site, name="W1", valid_from=_VALID_FROM, calibrated_on=first)


def _in_autumn(test: _Test, further: int) -> Iterable[Row]:
    return test.runs(_AUTUMN + timedelta(days=5 * further), (1.0,) * (3 if further else 5))


def _each_season(test: _Test, further: int) -> Iterable[Row]:
    later = timedelta(days=2 + 2 * further if further else 0)  # the first four take four days, further ones two
    for season, day in _STEPS:
        yield from test.runs(day + later, (1.0,) * (2 if further else 4), season=season)


def _each_speed(test: _Test, further: int) -> Iterable[Row]:
    return test.runs(_AUTUMN + timedelta(days=20 * further), _SPEEDS * (2 if further else 5))


_PLANS: dict[str, Plan] = {
    "fixed": _in_autumn,
    "two_phase": _in_autumn,
    "physical": _each_season,
    "dated": _each_season,
    "affine_level": _each_season,
    "curve": _each_speed,
}


def _regional(chance: Random) -> Prepared:
    """Typical wells of a stratum, each tested three times by one tester; the site is another well of it."""
    tester = drawn_tester(chance)
    rows: list[Row] = []
    test = None
    for number in range(_TYPICAL_WELLS):
        test = _Test(drawn_site(chance, STRATUM), tester, chance, name=f"T{number}")
        rows += test.runs(_AUTUMN, (1.0,) * 3)
    assert test is not None
    text = table_text(rows, leave_out=("drop_energy_kwh", "drop_volume_m3", "pressure_mpa"))
    found = calibrated("regional", text, test.site, name="S1", valid_from=_VALID_FROM, calibrated_on=_AUTUMN)
    return Prepared(drawn_site(chance, STRATUM), found.coefficient, len(rows))
