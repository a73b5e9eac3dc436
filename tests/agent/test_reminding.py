"""Quarters that nobody froze: told on the days that are configured, with what is missing, until they are frozen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.faults import FaultCode
from agent.reminding import Reminding
from agent.settings import Station
from agent.store.faults import OpenFault
from tests.agent.store.conftest import Site
from tests.fakes import QuietLog

ZONE = ZoneInfo("Asia/Shanghai")
STATION = Station(id="pumphouse-12", name="三号泵房", timezone="Asia/Shanghai", day_start=time())


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


class Watched:
    """A store with the closings of two intakes, and what reminds of their quarters."""

    def __init__(self, directory: Path) -> None:
        self.site = Site(directory)
        self.store = self.site.open()
        self.station = STATION

    def closed(self, intake: str, *hours: str) -> None:
        with sqlite3.connect(self.site.path) as connection:
            rows = [(intake, ms(hour), 1, 1, "{}", None) for hour in hours]
            connection.executemany("INSERT INTO closing VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.close()

    def look(self, at: str, station: Station = STATION) -> list[OpenFault]:
        """What is open after a look at this local time by a process that has just begun."""
        self.site.clock.offset_ms = ms(at) - self.site.clock.boot_ms()
        self.reminding(station).look()
        return list(self.store.faults.open())

    def reminding(self, station: Station) -> Reminding:
        return Reminding(
            self.site.path, station=station, intakes=("well-3", "canal-1"), clock=self.site.clock,
            faults=self.store.faults, log=QuietLog(),
        )  # fmt: skip

    def freeze(self, quarter: str) -> None:
        self.store.declare("frozen", quarter, None, {"version": 1}, "Li")
        self.store.commit(every=True)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(tmp_path)
    yield found
    found.site.close()


def test_a_quarter_that_is_not_frozen_is_told_from_the_tenth_day_on(watched: Watched) -> None:
    watched.closed("well-3", "2026-07-20T00:00", "2026-10-01T00:00")
    watched.closed("canal-1", "2026-08-01T00:00", "2026-09-30T22:00")
    assert watched.look("2026-10-09T23:59") == []
    (fault,) = watched.look("2026-10-10T00:00")
    assert (fault.code, fault.place) == (FaultCode.QUARTER_DUE, "quarter/2026Q3")
    assert fault.evidence == {
        "quarter": "2026Q3", "intakes": "well-3 canal-1", "not_reached": "canal-1", "verify_by": "2026-10-15",
        "days_left": "5", "reminder_day": "10",
    }  # fmt: skip


def test_it_is_told_anew_on_the_thirteenth_and_counts_the_days_in_between(watched: Watched) -> None:
    watched.closed("well-3", "2026-07-20T00:00", "2026-10-01T00:00")
    first = watched.look("2026-10-10T08:00")[0]
    assert watched.look("2026-10-10T09:00")[0] == first, "the same is not counted again"
    later = watched.look("2026-10-12T08:00")[0]
    assert (later.began_ms, later.evidence["days_left"]) == (first.began_ms, "3")
    watched.site.clock.advance(3600)
    anew = watched.look("2026-10-13T08:00")[0]
    assert anew.began_ms > first.began_ms
    assert (anew.count, anew.evidence["reminder_day"], anew.evidence["days_left"]) == (1, "13", "2")
    assert watched.look("2026-10-20T08:00")[0].evidence["days_left"] == "-5"


def test_freezing_ends_it(watched: Watched) -> None:
    watched.closed("well-3", "2026-07-20T00:00", "2026-10-01T00:00")
    assert watched.look("2026-10-10T08:00")
    watched.freeze("2026Q3")
    assert watched.look("2026-10-10T08:01") == []


def test_each_quarter_is_told_for_itself_and_a_year_long(watched: Watched) -> None:
    watched.closed("well-3", "2026-01-20T00:00", "2026-09-01T00:00")
    watched.freeze("2026Q2")
    assert {fault.place for fault in watched.look("2026-10-10T08:00")} == {"quarter/2026Q3", "quarter/2026Q1"}
    assert {fault.place for fault in watched.look("2027-03-31T08:00")} == {"quarter/2026Q3", "quarter/2026Q1"}
    assert {fault.place for fault in watched.look("2027-04-01T08:00")} == {"quarter/2026Q3"}


def test_without_water_in_the_quarter_or_a_date_nothing_is_told(watched: Watched) -> None:
    watched.closed("well-3", "2026-10-02T00:00", "2026-10-09T00:00")  # began after it
    assert watched.look("2026-10-20T08:00") == []
    watched.closed("canal-1", "2026-09-02T00:00")
    watched.site.clock.synced = False
    assert watched.look("2026-10-20T08:00") == []
    watched.site.clock.synced = True
    assert len(watched.look("2026-10-20T08:00")) == 1


def test_what_a_clock_that_was_ahead_has_told_ends_when_it_is_right_again(watched: Watched) -> None:
    watched.closed("well-3", "2026-07-20T00:00", "2026-10-01T00:00", "2028-04-01T00:00")
    assert "quarter/2028Q1" in {fault.place for fault in watched.look("2028-04-10T08:00")}
    assert {fault.place for fault in watched.look("2026-10-10T08:00")} == {"quarter/2026Q3"}


def test_a_look_does_not_read_all_closings(watched: Watched) -> None:
    watched.closed("well-3", "2026-07-20T00:00", "2026-10-01T00:00")
    steps = []
    for days in range(2):
        begin_ms = ms("2026-01-01T00:00") + days
        with sqlite3.connect(watched.site.path) as connection:
            rows = [("well-3", begin_ms + 10 * each, 1, 1, "{}", None) for each in range(5000 * days)]
            connection.executemany("INSERT INTO closing VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.close()
        reminding = watched.reminding(STATION)
        reminding.look()
        done: list[None] = []
        reminding._reader.rounds._connection.set_progress_handler(lambda done=done: done.append(None), 10)
        reminding.look()
        reminding._reader.close()
        steps.append(len(done))
    assert steps[1] == steps[0]


def test_days_are_a_setting_and_none_of_them_means_never(watched: Watched) -> None:
    watched.closed("well-3", "2026-07-20T00:00", "2026-10-01T00:00")
    own = Station(
        id="a", name="a", timezone="Asia/Shanghai", day_start=time(), quarter_verify_days=30, quarter_remind_days=(20,)
    )
    assert watched.look("2026-10-19T08:00", own) == []
    (fault,) = watched.look("2026-10-20T08:00", own)
    assert (fault.evidence["verify_by"], fault.evidence["days_left"]) == ("2026-10-30", "10")
    never = Station(id="a", name="a", timezone="Asia/Shanghai", day_start=time(), quarter_remind_days=())
    assert watched.look("2026-10-20T08:00", never) == []
