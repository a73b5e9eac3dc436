"""Slots on the wall clock and the station's own place behind them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from agent.report.slots import Grid, Intervals, jitter_ms, next_slot, slot_at, slots_between

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR_MS = 3_600_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp() * 1000)


def test_slots_lie_on_the_local_wall_clock():
    assert slot_at(ms("2026-11-21T08:59:59"), HOUR_MS, SHANGHAI) == ms("2026-11-21T08:00:00")
    assert slot_at(ms("2026-11-21T09:00:00"), HOUR_MS, SHANGHAI) == ms("2026-11-21T09:00:00")
    assert slot_at(ms("2026-11-21T09:00:00"), 6 * HOUR_MS, SHANGHAI) == ms("2026-11-21T06:00:00")
    assert slot_at(ms("2026-11-21T09:00:00"), 24 * HOUR_MS, SHANGHAI) == ms("2026-11-21T00:00:00")


@given(st.integers(0, 4_000_000_000_000), st.sampled_from([60_000, 300_000, HOUR_MS, 4 * HOUR_MS, 24 * HOUR_MS]))
def test_the_next_slot_is_one_interval_later(at_ms: int, every_ms: int):
    slot = slot_at(at_ms, every_ms, SHANGHAI)
    assert slot <= at_ms < slot + every_ms + HOUR_MS
    following = next_slot(slot, every_ms, SHANGHAI)
    assert following > slot
    assert slot_at(following, every_ms, SHANGHAI) == following


def test_the_slots_of_an_outage_are_counted_one_by_one():
    found = slots_between(ms("2026-11-21T08:00:00"), ms("2026-11-21T11:30:00"), HOUR_MS, SHANGHAI, most=100)
    assert found == [ms("2026-11-21T09:00:00"), ms("2026-11-21T10:00:00"), ms("2026-11-21T11:00:00")]


def test_a_station_always_has_the_same_place_and_a_province_is_spread():
    codes = [f"430281{number:04d}" for number in range(1, 2001)]
    places = [jitter_ms(code, 300_000) for code in codes]
    assert places == [jitter_ms(code, 300_000) for code in codes]
    seconds = [place // 1000 for place in places]
    assert 0 <= min(seconds) <= 5
    assert 294 <= max(seconds) < 300
    assert max(seconds.count(second) for second in set(seconds)) < 25  # 6.7 each on average
    assert jitter_ms("1", 0) == 0


def test_a_zone_with_summer_time_keeps_its_midnights():
    zone = ZoneInfo("Europe/Berlin")
    day = datetime(2026, 3, 29, tzinfo=zone)
    midnight = round(day.timestamp() * 1000)
    later = round((day + timedelta(days=1)).timestamp() * 1000)
    assert next_slot(midnight, 24 * HOUR_MS, zone) == later


def test_slots_are_counted_at_the_interval_that_was_in_force():
    """Hourly until 10:20, every two hours until 15:00, every 30 minutes since."""
    changes = [(ms("2026-11-21T10:20:00"), 2 * HOUR_MS), (ms("2026-11-21T15:00:00"), HOUR_MS // 2)]
    intervals = Intervals(HOUR_MS, changes)
    found = intervals.between(ms("2026-11-21T08:00:00"), ms("2026-11-21T16:00:00"), SHANGHAI, most=100)
    assert found == [ms(f"2026-11-21T{each}:00") for each in ("09:00", "10:00", "12:00", "14:00", "15:30", "16:00")]
    assert all(intervals.is_slot(each, SHANGHAI) for each in found)
    assert not intervals.is_slot(ms("2026-11-21T11:00:00"), SHANGHAI)
    assert intervals.between(ms("2026-11-21T14:00:00"), ms("2026-11-21T15:00:00"), SHANGHAI, most=100) == []


def test_two_intervals_together_have_the_slots_of_both_and_begin_anew_at_midnight():
    grid, found = Grid((HOUR_MS, 7 * 60_000), SHANGHAI), [ms("2026-11-21T22:50:00")]
    while found[-1] < ms("2026-11-22T00:10:00"):
        found.append(grid.after(found[-1]))
    hour = [
        f"2026-11-21T{time}:00" for time in ("22:50", "22:52", "22:59", "23:00", "23:06", "23:13", "23:20", "23:27")
    ]
    late = [f"2026-11-21T{time}:00" for time in ("23:34", "23:41", "23:48", "23:55")]
    assert found == [ms(each) for each in (*hour, *late, *(f"2026-11-22T00:{at:02}:00" for at in (0, 7, 14)))]
    assert grid.at(ms("2026-11-21T23:05:59")) == ms("2026-11-21T23:00:00")
