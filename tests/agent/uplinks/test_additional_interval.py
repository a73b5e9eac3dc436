"""Run parameter 21 of SL 651: an additional report every so many minutes, beside the timed ones (sheet, section 20)."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.uplinks.sl651 import parameters
from simulators.platforms.centre.server import CentreServer
from tests.agent.uplinks.test_report_commands import START, asked, lived, station_at
from tests.stepped import SteppedClock

WITHOUT_HOURS = ", sets: true, quantities: [flow_rate, volume_withdrawn]"  # these are there at each slot
AFTER_EIGHT = ["08:20", "08:40", "09:00", "09:20", "09:40", "10:00", "10:20", "10:40"]


def observed(centre: CentreServer, function: str) -> list[str]:
    return [each.observed[11:16] for each in centre.received() if each.function == function]


def test_an_additional_report_goes_every_so_many_minutes_until_the_centre_sets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteppedClock(START)
    with (
        CentreServer("sl651", now=clock.local) as centre,
        station_at(centre, clock, tmp_path, monkeypatch, WITHOUT_HOURS) as station,
    ):
        assert "'0'" in str(asked(station, centre, "43 id=21")[0])
        lived(station, clock, hours=1)
        assert (observed(centre, "32"), observed(centre, "33")) == (["08:00"], [])
        asked(station, centre, "42 21=20")
        lived(station, clock, hours=2)
        station.until(lambda: len(observed(centre, "33")) == 8, "the last one came")
        assert observed(centre, "32") == ["08:00", "09:00", "10:00"]
        assert observed(centre, "33") == AFTER_EIGHT, "each third of an hour since the last report"
        assert {each.values["Q1"] for each in centre.received()} == {"0.001388"}, "5 m3/h, cut"
        assert not [each for each in centre.violations() if each.is_failed]
        asked(station, centre, "42 21=0")
        lived(station, clock, hours=1)
        station.until(lambda: len(observed(centre, "32")) == 4, "the next hour came")
        assert observed(centre, "33") == AFTER_EIGHT
        assert len(centre.acknowledged()) == len(centre.received())


def test_minutes_that_two_digits_do_not_hold_are_refused():
    found = {value: parameters.is_acceptable("run:21", value) for value in ("0", "1", "7", "99", "100", "-1", "0.5")}
    assert found == {"0": True, "1": True, "7": True, "99": True, "100": False, "-1": False, "0.5": False}
