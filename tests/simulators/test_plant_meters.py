"""What meters make of the plant's truth: cut, ended, behind a transformer, swapped; never falling by rounding."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from agent.derive.counter import CounterState, Replaced, Shown, advance, energy_register, settle
from agent.derive.flags import Flag
from simulators.plant_form import PlantForm
from simulators.plant_long import MICRO, LongPlant, Turn, Unit
from simulators.plant_meters import Dial, EnergyMeter, FlowMeter, Register, Sensor, drawn_ppm

D = Decimal
HOUR_MS = 3_600_000


def test_a_register_is_cut_to_its_last_place_and_begins_again_after_its_last_number():
    register = Register(digits=4, decimals=2, initial=D("9999.50"))
    assert [register.shown(micro) for micro in (0, 9_999, 10_000, 499_999, 500_000, 1_234_567)] == [
        D("9999.50"), D("9999.50"), D("9999.51"), D("9999.99"), D("0.00"), D("0.73"),
    ]  # fmt: skip


@pytest.mark.parametrize("error_ppm", [-10_000, 0, 10_000])
def test_a_register_behind_a_transformer_counts_its_share_with_its_error_and_never_falls(error_ppm):
    register = Register(ratio=D(20), error_ppm=error_ppm, digits=9)
    shown = [register.shown(micro) for micro in range(0, 3_000_000_000, 7_777_777)]
    assert shown == sorted(shown)
    assert float(register.shown(2_000_000_000)) == pytest.approx(100 * (1 + error_ppm / 1e6), abs=0.01)


def test_errors_lie_within_the_class_and_are_the_seeds():
    drawn = [drawn_ppm(Random(seed), 1.0) for seed in range(200)]
    assert max(map(abs, drawn)) <= 10_000
    assert min(drawn) < -8_000 < 8_000 < max(drawn)
    assert drawn_ppm(Random(7), 1.0) == drawn[7]


def pumped(hours: int) -> LongPlant:
    return LongPlant([Unit(form=PlantForm(), turns=(Turn(0, hours * HOUR_MS),))], begin_ms=0, epoch_ms=0)


def test_a_swap_and_a_change_of_the_transformer_are_counted_through_to_the_true_energy():
    first, second = Register(ratio=D(10), initial=D("999.00"), digits=3), Register(ratio=D(30), initial=D("7.00"))
    dial, settings = Dial(first, (4 * HOUR_MS + 1, second)), energy_register(
        "kwh", digits=3, step=D("0.01"), factor=D(10), rated_kw=D(22)
    )  # fmt: skip
    state, booked, words = CounterState(), D(0), set()
    polls = range(0, 9 * HOUR_MS, HOUR_MS // 12)
    *_, last = moments = list(pumped(9).moments(sorted({*polls, *dial.times_ms})))
    for moment in moments:
        register = dial.show(moment.at_ms, moment.energy_micro)
        if moment.at_ms == 4 * HOUR_MS + 1:
            event = Replaced(
                at_ms=moment.at_ms, source="event", old_final=first.shown(moment.energy_micro), new_initial=register,
                new_factor=D(30),
            )  # fmt: skip
            booking, state = settle(settings, event, state)
        else:
            booking, state = advance(settings, Shown(moment.at_ms, register, "round"), state)
        if booking is not None:
            booked += booking.amount or 0
            words |= set(booking.flags)
    assert {Flag.ROLLOVER, Flag.METER_SWAP} <= words
    assert float(booked) == pytest.approx(last.energy_micro / MICRO, abs=0.01 * 10 + 0.01 * 30)


def test_two_pumps_on_one_meter_add_up_and_each_can_have_a_flow_meter():
    units = [Unit(form=PlantForm(), turns=(Turn(0, hours * HOUR_MS),)) for hours in (1, 3)]
    moment = list(LongPlant(units, begin_ms=0, epoch_ms=0).moments([0, 2 * HOUR_MS]))[-1]
    chance, register = Random(1), Register(decimals=3)
    both, second = (FlowMeter(register, flow=None, unit=unit).read(moment, chance) for unit in (None, 1))
    assert both["volume_forward"] > second["volume_forward"] > both["volume_forward"] / 2
    energy = EnergyMeter(register, power=Sensor(decimals=3)).read(moment, chance)
    assert float(energy["power"]) == pytest.approx(moment.power_kw, abs=1e-3)
    assert float(energy["energy_import"]) == pytest.approx(moment.energy_micro / MICRO, abs=1e-3)
