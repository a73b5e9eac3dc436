"""Quarters and their settled boundaries."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.derive.boundary import Method, Quarter, quarter, settle_boundary, settle_period
from agent.derive.exact import OutOfDomain, midnight_ms
from agent.derive.flags import Flag
from tests.agent.derive.sites import HOUR, MINUTE, ZONE, D

EDGE = midnight_ms(date(2024, 7, 1), ZONE)


def ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("2024Q1", "2024-01-01T00:00+08:00", "2024-04-01T00:00+08:00"),
        ("2024Q2", "2024-04-01T00:00+08:00", "2024-07-01T00:00+08:00"),
        ("2024Q3", "2024-07-01T00:00+08:00", "2024-10-01T00:00+08:00"),
        ("2024Q4", "2024-10-01T00:00+08:00", "2025-01-01T00:00+08:00"),
    ],
)
def test_a_quarter_lies_between_local_midnights_all_year_at_plus_8(name, begin, end):
    assert quarter(name).bounds_ms(ZONE) == (ms(begin), ms(end))
    assert str(quarter(name)) == name


def test_another_zone_has_its_own_midnights():
    assert quarter("2024Q2").bounds_ms(ZoneInfo("Europe/Berlin"))[0] == ms("2024-04-01T00:00+02:00")
    assert quarter("2024Q2").bounds_ms(UTC)[0] == ms("2024-04-01T00:00+00:00")


@pytest.mark.parametrize("text", ["2024Q0", "2024Q5", "24Q1", "2024q1", "2024Q1 ", ""])
def test_what_names_no_quarter_is_refused(text):
    with pytest.raises(OutOfDomain):
        quarter(text)


def test_quarters_follow_one_another_over_the_year():
    assert Quarter(2024, 4).next == Quarter(2025, 1)
    assert Quarter(2024, 3).next == Quarter(2024, 4)


def test_a_reading_on_the_boundary_is_taken_as_it_is():
    found = settle_boundary([(EDGE - 1, D(1)), (EDGE, D(5)), (EDGE + 1, D(6))], EDGE)
    assert (found.value, found.method, found.flags) == (5, Method.READ, ())


def test_two_hours_apart_is_near_enough_and_a_millisecond_more_is_not():
    near = settle_boundary([(EDGE - HOUR, D(100)), (EDGE + HOUR, D(110))], EDGE)
    assert (near.value, near.method, near.offset_h) == (105, Method.INTERPOLATED, 0)
    far = settle_boundary([(EDGE - HOUR, D(100)), (EDGE + HOUR + 1, D(110))], EDGE)
    assert (far.value, far.method, far.offset_h, far.flags) == (100, Method.NEAREST, -1, (Flag.BOUNDARY_OFFSET,))


def test_outside_all_readings_the_nearest_one_serves_and_its_distance_is_stated():
    found = settle_boundary([(EDGE + 3 * HOUR, D(7)), (EDGE + 4 * HOUR, D(8))], EDGE)
    assert (found.value, found.offset_h) == (7, 3)
    found = settle_boundary([(EDGE - 30 * MINUTE, D(7))], EDGE)
    assert found.offset_h == D("-0.5")


def test_a_pump_that_may_have_started_unseen_makes_the_boundary_doubtful():
    found = settle_boundary([(EDGE - HOUR, D(100)), (EDGE + HOUR, D(110))], EDGE)
    assert abs(found.doubt_kwh(D(15)) - D("17.3205")) < D("0.0001")  # 30 kWh, evenly
    assert settle_boundary([(EDGE, D(1))], EDGE).doubt_kwh(D(15)) == 0


@pytest.mark.parametrize("series", [[], [(1, D(1)), (1, D(2))], [(2, D(1)), (1, D(2))]])
def test_a_series_must_rise_in_time(series):
    with pytest.raises(OutOfDomain):
        settle_boundary(series, EDGE)


@given(st.lists(st.tuples(st.integers(1, 5 * HOUR), st.decimals(0, 20, places=2)), min_size=2, max_size=60))
def test_periods_that_share_their_boundaries_leave_nothing_between_them(steps):
    at_ms, value, series = EDGE - 60 * HOUR, Decimal(0), []
    for wait_ms, step in steps:
        at_ms, value = at_ms + wait_ms, value + step
        series.append((at_ms, value))
    edges = [EDGE - 40 * HOUR, EDGE, EDGE + 40 * HOUR]
    first, second = (settle_period(series, (edges[i], edges[i + 1])) for i in (0, 1))
    whole = settle_period(series, (edges[0], edges[2]))
    assert first.end == second.start
    assert first.energy_kwh + second.energy_kwh == whole.energy_kwh
    assert first.energy_kwh >= 0
