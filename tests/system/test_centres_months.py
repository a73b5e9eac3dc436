"""Months of reports to several centres, with a station's time moved by hand and real sockets."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.store.outbox_reader import OutboxReader
from simulators.platforms.centre.server import CentreServer
from tests.mosquitto import Mosquitto
from tests.ports import free_port
from tests.stepped import CHINA, SteppedClock, SteppedStation

COMMON = ", host: 127.0.0.1, port: {port}, jitter: 0ms, intakes: {{1: well-3}}{more}}}\n"
SL651 = '  {name}: {{type: sl651, station: "0012345678"' + COMMON
SZY206 = '  {name}: {{type: szy206, station: "4302810007"' + COMMON
HALF_HOUR = timedelta(minutes=30)
DAYS = 30
PER_MINUTE = 30
SLOTS = DAYS * 24


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_a_centre_that_is_dead_for_a_month_costs_the_others_nothing_and_gets_everything_paced_and_live_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteppedClock(datetime(2026, 10, 3, 12, 10, tzinfo=CHINA))
    port = free_port()
    with Mosquitto(tmp_path) as broker, CentreServer("szy206", now=clock.local) as province:
        uplinks = (
            SL651.format(name="ministry", port=port, more="")
            + SZY206.format(name="province", port=province.port, more="")
            + f'  cloud: {{type: mqtt, url: "mqtt://127.0.0.1:{broker.port}"}}\n'
        )
        with SteppedStation(tmp_path, uplinks, clock=clock, patch=monkeypatch) as station:
            station.until(lambda: station.is_connected("province", "cloud"), "those that live are there")
            after_a_day = 0.0
            for step in range(DAYS * 48):
                clock.advance(HALF_HOUR.total_seconds())
                station.read()
                slot = clock.local().replace(minute=0)
                station.until(lambda: station.composed("province") == slot, "the slot is composed")  # noqa: B023
                station.until(lambda: station.is_quiet("province", "cloud"), "what lives gets everything")
                if step == 48:
                    after_a_day = resident_mb()
            assert resident_mb() - after_a_day < 12
            station.until(lambda: len(station.store.outbox.waiting("ministry")) == SLOTS, "all wait for the dead one")
            assert province.wait(lambda: province.report()["acknowledged"] == SLOTS, 5), province.report()
            _back(station, port, SLOTS)


def _back(station: SteppedStation, port: int, owed: int) -> None:
    """The dead centre is back: live data first, the rest thirty a minute, each once and in order."""
    clock = station.clock
    arrivals: list[tuple[int, str]] = []
    with CentreServer("sl651", port=port, now=clock.local) as ministry:
        for second in range(0, 1800, 2):
            clock.advance(2)
            seen = len(arrivals)
            ministry.wait(lambda: ministry.report()["acknowledged"] > seen, 0.03)  # noqa: B023
            count = ministry.report()["acknowledged"]
            if count > seen:
                arrivals += [(second, each.observed) for each in ministry.received(last=count - seen)]
            if count == owed:
                break
        came = [observed for _, observed in arrivals]
        assert len(came) == len(set(came)) == owed
        assert came[0] == max(came), "live first"
        assert came[1:] == sorted(came[1:])
        per_minute = max(sum(second <= other < second + 60 for other, _ in arrivals[1:]) for second, _ in arrivals)
        assert per_minute <= PER_MINUTE + 1
        assert not [each for each in ministry.violations() if each.is_failed]
        station.until(lambda: station.is_quiet("ministry"), "nothing is owed")


def test_what_a_time_tag_without_a_month_can_date_no_longer_is_parked_counted_and_told_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteppedClock(datetime(2026, 10, 31, 19, 40, tzinfo=CHINA))
    port = free_port()
    uplinks = SZY206.format(name="province", port=port, more="")
    with SteppedStation(tmp_path, uplinks, clock=clock, patch=monkeypatch) as station:
        for _ in range(14):
            clock.advance(HALF_HOUR.total_seconds())
            station.read()
        slot = datetime(2026, 11, 1, 2, tzinfo=CHINA)
        station.until(lambda: station.composed("province") == slot, "all is composed")
        with CentreServer("szy206", port=port, now=clock.local) as province:
            for _ in range(60):
                clock.advance(2)
                province.wait(lambda: station.is_quiet("province"), 0.03)
            station.until(lambda: station.is_quiet("province"), "what can be dated goes")
            observed = sorted(each.observed for each in province.acknowledged())
            assert observed == [f"2026-11-01T0{hour}:00:00" for hour in (0, 1, 2)]
            assert station.store.flush()
            reader = OutboxReader(station.store.path)
            parked = reader.rows("province", state="parked")
            reasons = [row.reason for row in parked]  # 21 to 23 h: at 20 h the register was new
            assert reasons == ["the time tag has no month: 2026-10 is over"] * 3
            said = station.store.faults.open
            station.until(lambda: "UPLINK-PARKED" in {each.code for each in said()}, "people are told")
            reader.close()
            province.send("B1 kind=2 sensor_no=1 start=2026-10-31T21 end=2026-10-31T23")
            province.wait(lambda: province.answers() and province.answers()[-1].state == "answered", 5)
            (fields,) = province.answers()[-1].answers
            assert (fields["records"][0], fields["records"][-1]) == ("4", "14")  # cut: 50 and 170 min at 5 m3/h
