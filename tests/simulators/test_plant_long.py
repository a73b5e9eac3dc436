"""The pump house over seasons: the same physics as second by second, in whole millionths."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from simulators.plant import Plant
from simulators.plant_form import GridForm, PlantForm, PumpForm, WellForm
from simulators.plant_long import MICRO, LongPlant, Repair, Turn, Unit

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_MS = 365 * DAY_MS + DAY_MS // 4
OPENING = 0.8  # the default of PipeForm.demand


def lived(*turns: Turn, form: PlantForm | None = None, repairs: tuple[Repair, ...] = ()) -> LongPlant:
    return LongPlant([Unit(form=form or PlantForm(), turns=turns, repairs=repairs)], begin_ms=0, epoch_ms=0)


def test_an_hour_of_pumping_is_what_the_plant_of_seconds_makes_of_it():
    form = PlantForm(pump=PumpForm(on="10h"))
    plant = Plant(form)
    state = plant.start()
    for _ in range(3600):
        state = plant.step(state)
    *_, last = lived(Turn(0, 2 * HOUR_MS, OPENING), form=form).moments([0, HOUR_MS])
    assert last.volume_micro / MICRO == pytest.approx(float(state.volume_m3), rel=0.005)  # 4 s of starting, the wander
    assert last.energy_micro / MICRO == pytest.approx(float(state.energy_kwh), rel=0.005)
    assert last.units[0].depth_m == pytest.approx(float(plant.readings(state)["depth_to_water"]), abs=0.3)


def test_how_often_the_plant_is_asked_changes_nothing_worth_naming():
    turns = [Turn(day * DAY_MS + HOUR_MS, day * DAY_MS + 7 * HOUR_MS + 1234, OPENING) for day in range(3)]
    *_, rarely = lived(*turns).moments([0, 3 * DAY_MS])
    *_, often = lived(*turns).moments(range(0, 3 * DAY_MS + 1, 60_000))
    assert rarely.volume_micro == pytest.approx(often.volume_micro, rel=1e-3)
    assert rarely.energy_micro == pytest.approx(often.energy_micro, rel=1e-3)


def test_totals_never_fall_and_a_resting_pump_moves_none_but_the_standby():
    form = PlantForm(grid=GridForm(standby=Decimal("0.06"), auxiliary=Decimal("0.5")))
    moments = list(lived(Turn(HOUR_MS, 2 * HOUR_MS), form=form).moments(range(0, 4 * HOUR_MS, 300_000)))
    assert all(before.volume_micro <= after.volume_micro for before, after in pairwise(moments))
    *_, at_rest = (each for each in moments if each.at_ms <= HOUR_MS)
    assert (at_rest.volume_micro, at_rest.energy_micro) == (0, 560_000)  # 0.56 kW for an hour


def test_the_level_falls_with_the_years_swings_with_the_seasons_and_recovers_after_a_run():
    well = WellForm(trend=Decimal(-1), season=Decimal(2), highest_day=Decimal(0))
    depths = [each.units[0].depth_m for each in lived(form=PlantForm(well=well)).moments([0, YEAR_MS // 2, YEAR_MS])]
    assert depths == pytest.approx([10, 14.5, 13 - 2], abs=0.01)  # 12 m at rest, 2 m up, down, up; a metre a year
    *_, running, rested = lived(Turn(0, HOUR_MS)).moments([0, HOUR_MS - 1, 10 * HOUR_MS])
    assert running.units[0].depth_m > 15
    assert rested.units[0].depth_m == pytest.approx(12, abs=0.001)


def test_wear_costs_energy_for_the_same_water_and_a_repair_brings_it_back():
    form = PlantForm(pump=PumpForm(wear=Decimal("0.05")), grid=GridForm(standby=Decimal("0.000001")))
    turns = [Turn(year * YEAR_MS, year * YEAR_MS + HOUR_MS) for year in range(4)]
    plant = lived(*turns, form=form, repairs=(Repair(YEAR_MS * 5 // 2),))
    found = [plant.moments([turn.begin_ms, turn.end_ms]) for turn in turns]
    ratios = [(b.volume_micro - a.volume_micro) / (b.energy_micro - a.energy_micro) for a, b in found]
    assert [ratio / ratios[0] for ratio in ratios] == pytest.approx([1, 0.95, 0.90, 0.975], rel=1e-3)


def test_a_dry_pump_uses_power_and_lifts_nothing_and_two_pumps_share_the_meter():
    form = PlantForm()
    units = [Unit(form=form, turns=(Turn(0, HOUR_MS, is_dry=True),)), Unit(form=form, turns=(Turn(0, HOUR_MS),))]
    first, last = LongPlant(units, begin_ms=0, epoch_ms=0).moments([1000, HOUR_MS - 1000])
    assert first.units[0].flow_m3h == 0 < first.units[0].power_kw < first.units[1].power_kw
    assert last.volume_micro == last.units[1].volume_micro
    assert last.power_kw == pytest.approx(0.06 + sum(unit.power_kw for unit in last.units))


def test_more_pressure_asked_for_and_a_slower_pump_both_mean_less_water():
    full, pressed, slow = (
        next(iter(lived(turn).moments([HOUR_MS]))).units[0]
        for turn in (Turn(0, DAY_MS), Turn(0, DAY_MS, delivery_m=10), Turn(0, DAY_MS, speed=0.9))
    )
    assert full.flow_m3h > pressed.flow_m3h > 0
    assert full.flow_m3h > slow.flow_m3h > 0
    assert pressed.pressure_kpa > full.pressure_kpa
