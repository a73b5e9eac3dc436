"""Full hours and midnights: where the total stood, what the hour and the day took, what was counted."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.derive.exact import midnight_ms
from agent.derive.uncertainty import Tally, gained
from agent.intakes.settings import PumpSource
from agent.intakes.track import full_hour, next_midnight
from tests.agent.intakes.rounds import (
    DAY,
    HOUR,
    MINUTE,
    START,
    STEP,
    ZONE,
    D,
    Store,
    coefficient,
    converted,
    energies,
    heard,
    metered,
    proof_of,
    replacement,
    value_of,
    volumes,
)


def closed(*rounds, site=None, declared=()):
    found = Store(site or metered())
    for each in declared:
        found.declare(each)
    return found.hear(*rounds)


def hours_of(found):
    return [value_of(each, "volume_hour") for each in found.hourly]


def flow(*pairs, first=1):
    """Readings of the main meter: minutes after START and what it showed."""
    return [
        heard(number, "main-flow", START + minutes * MINUTE, volume_forward=shown)
        for number, (minutes, shown) in enumerate(pairs, first)
    ]


def test_a_reading_on_the_hour_is_the_boundary():
    found = closed(*flow((0, 100), (30, 110), (60, 120), (120, 135)))
    assert hours_of(found) == [None, 20, 15]
    assert found.body(START + HOUR)["settled"]["method"] == "read"


def test_an_hour_without_a_beginning_has_no_volume():
    found = closed(*flow((30, 110), (60, 120), (120, 135)))
    assert hours_of(found) == [None, 15]
    assert found.hourly[0].quality["volume_hour"] == ("GAP",)
    assert value_of(found.hourly[0], "volume_withdrawn") == 10


def test_a_boundary_between_readings_lies_on_the_line_between_them():
    found = closed(*flow((0, 100), (50, 110), (80, 116), (120, 120)))
    settled = found.body(START + HOUR)["settled"]
    assert (settled["volume"], settled["method"], settled["bracket_ms"]) == ("12.000000", "interpolated", 30 * MINUTE)
    assert hours_of(found) == [None, 12, 8]
    # 6 m³ in the bracket, and 30 m³ is what Q4 can deliver in it: a pump that stood for a part of it.
    assert abs(D(settled["doubt"]) - 6 / D(3).sqrt()) < D("0.000001")


def test_a_gap_is_prorated_over_its_hours_and_its_midnight_takes_the_nearest_reading():
    begin = 22 * 60
    found = closed(*flow((begin, 100), (begin + 60, 110), (begin + 360, 160), (begin + 420, 170)))
    assert hours_of(found) == [None, 10, 10, 10, 10, 10, 10, 10]
    assert [proof_of(each)["method"] for each in found.hourly[2:6]] == ["prorated"] * 4
    assert "GAP" in found.hourly[2].quality["volume_hour"]
    settled = found.body(START + DAY)["settled"]  # 00:00 lies an hour behind 23:00 and four before 04:00
    assert (settled["volume"], settled["method"], settled["offset_ms"]) == ("10.000000", "nearest", -HOUR)
    assert found.body(START + DAY)["view"] == "20.000000"
    assert "BOUNDARY_OFFSET" in found.hourly[2].quality["volume_day"]


def test_days_are_the_differences_of_their_boundaries_and_add_up():
    rounds = flow(*((minutes, 100 + minutes) for minutes in range(7, 4 * 1440, 50)))
    found = closed(*rounds)
    midnights = [START + day * DAY for day in range(1, 4)]
    totals = [D(found.body(at_ms)["settled"]["volume"]) for at_ms in midnights]
    days = [value_of(each, "volume_day") for each in found.hourly if "volume_day" in each.quantities]
    assert days == [None, 1440, 1440]
    assert sum(days[1:], D(0)) == totals[-1] - totals[0]
    by_hour = [hour for each, hour in zip(found.hourly, hours_of(found), strict=True) if midnights[0] < each.at_ms]
    assert sum(by_hour[: 2 * 24], D(0)) == 2 * 1440
    assert all((found.closings[at_ms].state is not None) == (at_ms in midnights) for at_ms in found.closings)


def test_several_meters_close_together_each_on_its_own_line():
    site = metered("main-flow", "side-flow")
    found = closed(
        heard(1, "main-flow", START, volume_forward=0),
        heard(2, "side-flow", START + 1, volume_forward=50),
        heard(3, "main-flow", START + 50 * MINUTE, volume_forward=10),
        heard(4, "side-flow", START + 55 * MINUTE, volume_forward=56),
        heard(5, "main-flow", START + 70 * MINUTE, volume_forward=14),
        heard(6, "side-flow", START + 65 * MINUTE, volume_forward=58),
        site=site,
    )
    assert found.body(START + HOUR)["settled"]["volume"] == "19.000000"
    assert sorted(found.body(START + HOUR)["registers"]) == ["main-flow", "side-flow"]


def test_a_silent_meter_holds_the_others_up_for_a_day_and_hours_without_it_have_no_volume():
    site = metered("main-flow", "side-flow")
    found = closed(
        heard(1, "main-flow", START, volume_forward=0),
        heard(2, "side-flow", START, volume_forward=50),
        *(heard(2 + hour, "main-flow", START + hour * HOUR, volume_forward=hour) for hour in range(1, 40)),
        site=site,
    )
    assert max(found.closings) == START + 15 * HOUR
    assert hours_of(found) == [None] * 16
    assert found.body(START + HOUR)["unknown"] is True
    found.hear(heard(60, "side-flow", START + 40 * HOUR, volume_forward=90))
    assert found.totals()[-1] == 39 + 40
    assert hours_of(found)[16] is None  # the hour in which the gap's water comes in
    assert hours_of(found)[17] is not None


def test_counts_are_cumulative_and_an_interval_counts_in_the_hour_it_ends_in():
    found = closed(*volumes(*(100 + index for index in range(24)), None, *range(125, 140)))
    second, third = (found.body(START + hour * HOUR)["counts"] for hour in (2, 3))
    assert (second["expected"], second["good"], second["qc"], second["gaps"]) == (24, 24, {"1": 23}, 0)
    assert (third["expected"], third["good"], third["qc"], third["gaps"]) == (36, 35, {"1": 35}, 1)
    assert third["flags"] == {"GAP": 1}


def test_runs_swaps_and_rollovers_are_counted():
    shown = [D("999998.9"), *(D(999999) + index * D("0.5") for index in range(4)), *[D(1000001)] * 20]
    swap = replacement(2, "pump-kwh", START + 25 * STEP, "1.0", "0")
    rounds = [
        each._replace(values={"energy_import": each.values["energy_import"] % 1_000_000}) for each in energies(*shown)
    ]
    last = heard(60, "pump-kwh", START + 40 * STEP, energy_import="0")
    found = closed(*rounds, last, site=converted(), declared=[coefficient(), swap])
    counts = found.body(START + 3 * HOUR)["counts"]
    assert (counts["rollovers"], counts["swaps"], counts["runs"]) == (1, 1, 1)
    assert counts["run_h"] == "0.333333"  # four intervals


def test_a_run_is_as_long_as_its_energy_and_not_as_its_intervals():
    """A pump of 6 kW, started 3 min before a reading, stopped 4 min after one, reads of 5 min: 3 + 15 + 4 = 22 min."""
    steps = ["0", "0.3", "0.5", "0.5", "0.5", "0.4", *["0"] * 20]
    shown = [D(100) + sum(map(D, steps[: index + 1])) for index in range(len(steps))]
    counts = closed(*energies(*shown), site=converted(), declared=[coefficient()]).body(START + HOUR)["counts"]
    assert (counts["runs"], counts["run_h"]) == (1, "0.366667")


def test_a_run_of_two_intervals_lasts_at_most_as_long_as_both():
    shown = [D(100), D("100.4"), *[D("100.8")] * 20]
    counts = closed(*energies(*shown), site=converted(), declared=[coefficient()]).body(START + HOUR)["counts"]
    assert (counts["runs"], counts["run_h"]) == (1, "0.166667")


def test_what_lies_between_two_closings_is_known_as_well_as_its_shares_say():
    """E §11 example 5: 3,600 kWh, Tc 2.20 ± 3 %, class 1, CT 0.5, step 0.2 kWh, age 0.8 y: 7,920 ± 519 m³ (k = 2)."""
    begin = midnight_ms(date(2024, 5, 1), ZONE)
    record = coefficient(valid_from="2023-07-16", valid_to="2026-07-16", u_model="0")
    site = converted(rated_kw=D(150), ct_class_pct=D("0.5"), step_kwh=D("0.2"),
                     pumps=(PumpSource(id="pump", coefficients=("W7",), running_kw=D(150)),))  # fmt: skip
    rounds = energies(*(100 + 150 * hour for hour in range(25)), every_ms=HOUR, begin_ms=begin)
    found = closed(*rounds, site=site, declared=[record])
    start, end = (
        {group: {name: D(text) for name, text in sums.items()} for group, sums in found.body(at_ms)["tally"].items()}
        for at_ms in (begin, begin + DAY)
    )
    tally = Tally(gained(start, end))
    assert tally.volume_m3 == 7920
    assert abs(2 * tally.uncertainty_m3() - 519) < 1


def test_a_quarter_ends_where_the_next_one_begins():
    begin = midnight_ms(date(2024, 6, 30), ZONE)
    rounds = flow(*((minutes + (begin - START) // MINUTE, 100 + minutes / D(2)) for minutes in range(13, 2 * 1440, 60)))
    found = closed(*rounds)
    edge = midnight_ms(date(2024, 7, 1), ZONE)
    ends = [D(found.body(at_ms)["settled"]["volume"]) for at_ms in (edge - HOUR, edge, edge + HOUR)]
    assert (ends[1] - ends[0]) + (ends[2] - ends[1]) == ends[2] - ends[0] == 60


@pytest.mark.parametrize(
    ("zone", "minutes"), [("Asia/Shanghai", 0), ("Asia/Kolkata", 30), ("Asia/Kathmandu", 15), ("UTC", 0)]
)
def test_hours_are_local_ones(zone, minutes):
    at_ms = midnight_ms(date(2024, 5, 1), ZoneInfo(zone)) + 1
    assert full_hour(at_ms, ZoneInfo(zone)) == at_ms - 1 + HOUR
    assert full_hour(at_ms, ZoneInfo(zone)) % HOUR == minutes * MINUTE
    assert next_midnight(at_ms, ZoneInfo(zone)) == at_ms - 1 + DAY


def test_a_clock_that_stepped_back_books_on_and_no_hour_twice():
    found = closed(*flow((0, 100), (70, 110), (50, 112), (65, 114), (130, 120)))
    assert sorted(found.closings) == [START, START + HOUR, START + 2 * HOUR]
    assert found.totals()[-1] == 20
    assert hours_of(found)[1:] == [D("8.571429"), value_of(found.hourly[2], "volume_withdrawn") - D("8.571429")]


def test_energy_and_doubt_of_a_boundary_are_those_of_the_pump():
    found = closed(
        *energies(100, 104, None, 112, every_ms=20 * MINUTE, begin_ms=START + 10 * MINUTE),
        site=converted(),
        declared=[coefficient()],
    )
    settled = found.body(START + HOUR)["settled"]
    assert (settled["energy"], settled["pumping"], settled["volume"]) == ("10.000000", "10.000000", "22.000000")
    assert D(settled["doubt"]) > 0
    assert STEP < settled["bracket_ms"] == 40 * MINUTE


def test_of_a_long_silence_only_the_midnights_close():
    found = closed(*flow((0, 100), (60, 110), (20 * 1440 + 90, 410), (20 * 1440 + 120, 420)))
    long_silence = sorted(found.closings)[2:-1]
    assert long_silence == [START + day * DAY for day in range(1, 21)]
    days = [value_of(each, "volume_day") for each in found.hourly if "volume_day" in each.quantities]
    assert days[:2] == [None, 10]
    assert days[2:] == [None] * 19  # nobody knows on which day the water came, and 0 would be a false number
    assert value_of(found.hourly[-1], "volume_hour") is None


def test_one_meter_that_skips_hours_makes_the_intake_skip_them():
    site = metered("main-flow", "side-flow")
    week = 7 * DAY // MINUTE
    found = closed(
        heard(1, "main-flow", START + 90 * MINUTE, volume_forward=0),
        heard(2, "side-flow", START + 30 * MINUTE, volume_forward=50),
        heard(3, "side-flow", START + (week + 61) * MINUTE, volume_forward=60),
        heard(4, "main-flow", START + (week + 62) * MINUTE, volume_forward=10),
        site=site,
    )
    settled = [D(found.body(at_ms)["settled"]["volume"]) for at_ms in sorted(found.closings)]
    assert settled == sorted(settled)
    assert found.totals()[-1] == 20


def test_a_year_that_was_wrong_for_a_while_costs_its_hours_and_no_water():
    wrong = 366 * 1440
    found = closed(*flow((0, 100), (60, 110), (wrong, 112), (wrong + 60, 113), (180, 115), (240, 119), (300, 124)))
    assert found.totals()[-1] == 24
    assert len(found.closings) < 400
    assert {START + 3 * HOUR, START + 4 * HOUR, START + 5 * HOUR} <= set(found.closings)
    assert hours_of(found)[-3:] == [None, 4, 5]
    assert found.body(START + 5 * HOUR)["settled"]["volume"] == "24.000000"
    found.restart()
    assert found.hear(*flow((360, 130), first=8)).totals()[-1] == 30


@st.composite
def two_meters(draw):
    """Two flow meters read in turn, each silent for minutes or days now and then."""
    gaps = draw(
        st.lists(
            st.tuples(st.booleans(), st.sampled_from([1, 5, 37, 200, 1500, 3000, 12000]), st.integers(0, 50)),
            min_size=5,
            max_size=60,
        )
    )
    rounds, at_ms, shown = [], START + 3 * MINUTE, {"main-flow": D(10), "side-flow": D(999990)}
    for number, (is_main, minutes, grown) in enumerate(gaps, 1):
        meter = "main-flow" if is_main else "side-flow"
        at_ms += minutes * MINUTE
        shown[meter] = (shown[meter] + D(grown).scaleb(-1)) % 1_000_000
        rounds.append(heard(number, meter, at_ms, volume_forward=shown[meter]))
    return rounds, draw(st.sets(st.integers(0, len(rounds)), max_size=6))


@given(two_meters())
@settings(max_examples=30, deadline=None)
def test_hours_of_several_meters_only_grow_and_restarts_change_nothing(history):
    rounds, restarts = history
    site = metered("main-flow", "side-flow")
    found = closed(*rounds, site=site)
    other = Store(site)
    for index, each in enumerate(rounds):
        if index in restarts:
            other.restart()
        other.hear(each)
    assert other.account.state_text() == found.account.state_text()
    assert other.closings == found.closings
    settled = [D(found.body(at_ms)["settled"]["volume"]) for at_ms in sorted(found.closings)]
    views = [value_of(each, "volume_withdrawn") for each in found.hourly]
    assert settled == sorted(settled)
    assert views == sorted(views)
    totals = [total for total in found.totals() if total is not None]
    assert totals == sorted(totals)
    assert all(total <= totals[-1] for total in (*settled, *views))
    grown = [value_of(each, quantity) for each in found.hourly for quantity in ("volume_hour", "volume_day")]
    assert all(volume >= 0 for volume in grown if volume is not None)
    tally = [sum(map(D, found.body(at_ms)["tally"].get("volumes", {}).values())) for at_ms in sorted(found.closings)]
    assert all(abs(one - two) < D("0.00001") for one, two in zip(tally, settled, strict=True))
