"""What centres ask of a station, over sockets: queries, settings that take effect, what is never done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.store.book_reader import BookReader
from simulators.platforms.centre.server import CentreServer
from tests.stepped import CHINA, SteppedClock, SteppedStation

SECTIONS = {
    "sl651": '  far: {{type: sl651, host: 127.0.0.1, port: {port}, station: "3301060001", password: "1234", '
    "jitter: 0ms, packet: 64, intakes: {{1: well-3}}{more}}}\n",
    "szy206": '  far: {{type: szy206, host: 127.0.0.1, port: {port}, station: "4302810007", password: "0000", '
    "jitter: 0ms, intakes: {{1: well-3}}{more}}}\n",
}
START = datetime(2026, 11, 20, 7, 40, tzinfo=CHINA)


@contextmanager
def station_at(
    centre: CentreServer, clock: SteppedClock, directory: Path, patch: pytest.MonkeyPatch, more: str = ""
) -> Iterator[SteppedStation]:
    uplinks = SECTIONS[centre.protocol].format(port=centre.port, more=more)
    with SteppedStation(directory, uplinks, clock=clock, poll="10m", patch=patch) as station:
        station.until(lambda: bool(centre.online()), "the station is there")
        yield station


def lived(station: SteppedStation, clock: SteppedClock, *, hours: int = 3, gap: range = range(0)) -> None:
    """So many hours of readings, every ten minutes, without those of `gap`; reports are acknowledged."""
    for at in range(6 * hours):
        clock.advance(600)
        if at not in gap:
            station.read()
        station.until(lambda: station.is_quiet("far"), "nothing is owed")


def asked(station: SteppedStation, centre: CentreServer, order: str, *, answers: int = 1) -> list[Mapping[str, Any]]:
    centre.send(order)
    station.until(lambda: len(centre.answers()[-1].answers) >= answers, f"{order} is answered")
    return list(centre.answers()[-1].answers)


def said(station: SteppedStation, event: str) -> list[dict[str, object]]:
    return [keys for name, keys in station.log.events if name == event]


def faults(station: SteppedStation) -> set[str]:
    return {str(each.code) for each in station.store.faults.open()} - {"RULE-FROZEN", "RULE-FLOW-TOTAL"}


def test_an_sl651_centre_gets_current_values_history_and_what_the_station_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteppedClock(START)
    with CentreServer("sl651", now=clock.local) as centre, station_at(centre, clock, tmp_path, monkeypatch) as station:
        lived(station, clock, gap=range(9, 12))
        (now,) = asked(station, centre, "37")
        elements = [each for group in now["groups"] for each in group["elements"] if "value" in each]
        values = {each.get("code", each["id"]): each["value"] for each in elements}
        assert values == {"Q1": "0.001388", "FF2B": "35", "SBL1": "7.50"}  # 5 m3/h, cut
        (history,) = asked(station, centre, "38 from=26112008 to=26112010 step=10m id=28/36")
        (series,) = history["groups"]
        assert series["series"]["values"][0] == "0.001388"
        assert series["series"]["values"].count(None) >= 1, "the gap stays one"
        assert len(series["series"]["values"]) == 13
        assert asked(station, centre, "45")[0]["version"].startswith("qushui ")
        assert asked(station, centre, "50")[0]["event_counts"][16] > 0
        assert asked(station, centre, "46")[0]["status"]["bits_set"]
        assert "3301060001" in str(asked(station, centre, "41 id=02")[0])
        assert "qushui" in str(asked(station, centre, "45"))
        assert asked(station, centre, "51")[0]["send_time"] == f"{clock.local():%Y-%m-%d %H:%M:%S}"


def test_an_szy206_centre_gets_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock(START)
    with CentreServer("szy206", now=clock.local) as centre, station_at(centre, clock, tmp_path, monkeypatch) as station:
        lived(station, clock)
        (now,) = asked(station, centre, "B0 func=3")
        assert Decimal(now["meters"][0]["instant"]) == 5
        (history,) = asked(station, centre, "B1 kind=2 sensor_no=1 start=2026-11-20T08 end=2026-11-20T10")
        assert len(history["records"]) == 25
        assert history["records"] == sorted(history["records"], key=int)
        assert asked(station, centre, "51")[0]["clock"] == f"{clock.local():%Y-%m-%dT%H:%M:%S}"
        assert asked(station, centre, "5D")[0]["event_counts"][16] > 0
        assert "intervals_min" in asked(station, centre, "53")[0]
        assert asked(station, centre, "54")[0]["kinds_bits"] == [1, 2, 14]


def test_a_long_history_goes_in_packets_or_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = {
        "sl651": "38 from=26112008 to=26112010 step=5m id=28/36",
        "szy206": "B1 kind=2 sensor_no=1 start=2026-11-20T06 end=2026-11-20T11",
    }
    for kind, order in orders.items():
        clock, directory = SteppedClock(START), tmp_path / kind
        directory.mkdir()
        with (
            CentreServer(kind, now=clock.local) as centre,
            station_at(centre, clock, directory, monkeypatch) as station,
        ):
            lived(station, clock)
            centre.send(order)
            station.until(lambda: centre.answers()[-1].state == "answered", f"{order} is answered")
            assert not [each for each in centre.violations() if each.is_failed], centre.violations()


SETS = {"sl651": ("42 20=2", 7_200_000), "szy206": ("A1 kinds_bits=[2] intervals_min={'2': 120}", 7_200_000)}


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
def test_a_setting_is_refused_unless_the_uplink_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    clock = SteppedClock(START)
    with CentreServer(kind, now=clock.local) as centre, station_at(centre, clock, tmp_path, monkeypatch) as station:
        lived(station, clock, hours=2)
        centre.send(SETS[kind][0])
        station.until(lambda: bool(said(station, "command.forbidden")), "it is refused")
        assert said(station, "command.forbidden")[0]["never"] is False
        assert faults(station) == {"COMMAND-FORBIDDEN"}
        assert worker_of(station).every_ms == 3_600_000


def worker_of(station: SteppedStation) -> Any:
    return station.outgoing._workers["far"]


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
def test_an_interval_that_is_allowed_takes_effect_is_read_back_and_survives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    order, every_ms = SETS[kind]
    clock = SteppedClock(START)
    with CentreServer(kind, now=clock.local) as centre:
        with station_at(centre, clock, tmp_path, monkeypatch, ", sets: true") as station:
            lived(station, clock, hours=2)
            asked(station, centre, order)
            assert worker_of(station).every_ms == every_ms
            assert "2" in str(asked(station, centre, "43 id=20" if kind == "sl651" else "53")[0])
            count = len(centre.received())
            lived(station, clock, hours=4)
            assert len(centre.received()) - count == 2, "every two hours now"
            clock.advance(900)  # what is due has had its time
            told = station.outgoing.snapshot()["far"]
            assert (told["expected"], told["final_pct"]) == (count + 2, "100.0"), "each at the interval of its time"
        again = SECTIONS[kind].format(port=1, more=", sets: true")  # nobody is there: it holds all the same
        with SteppedStation(tmp_path, again, clock=clock, poll="10m", patch=monkeypatch) as station:
            station.until(lambda: worker_of(station).every_ms == every_ms, "it holds after a restart")


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
def test_a_setting_is_on_disk_when_it_is_confirmed_and_entered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    clock = SteppedClock(START)
    with (
        CentreServer(kind, now=clock.local) as centre,
        station_at(centre, clock, tmp_path, monkeypatch, ", sets: true") as station,
    ):
        lived(station, clock, hours=1)
        with closing(BookReader(station.store.path)) as book:
            for _ in range(2):
                asked(station, centre, SETS[kind][0])
                (row,) = book.ledger("parameter", "far")
                assert row.body["values"]


@pytest.mark.parametrize(("kind", "order"), [("sl651", "49 old=1234 new=5678"), ("szy206", "96 new_pw_hex='5678'")])
def test_a_password_that_is_changed_holds_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, order: str
) -> None:
    clock = SteppedClock(START)
    with CentreServer(kind, now=clock.local) as centre:
        with station_at(centre, clock, tmp_path, monkeypatch, ", sets: true") as station:
            lived(station, clock, hours=1)
            asked(station, centre, order)
            lived(station, clock, hours=2)
            assert "5678" not in str(said(station, "command.carried_out"))
            count = len(centre.acknowledged())
        with station_at(centre, clock, tmp_path, monkeypatch, ", sets: true") as station:
            lived(station, clock, hours=2)
            asked(station, centre, SETS[kind][0])
        assert len(centre.acknowledged()) > count
        assert not said(station, "uplink.violated")


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
def test_the_clock_is_set_only_by_a_centre_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    order = "4A at=261120084130" if kind == "sl651" else "11"  # a minute and a half ahead, or what the centre has
    for at, more in enumerate((", sets: true", ", sets: true, clock: true")):
        clock, directory = SteppedClock(START), tmp_path / str(at)
        directory.mkdir()
        with (
            CentreServer(kind, now=lambda: clock.local() + timedelta(minutes=1)) as centre,  # noqa: B023
            station_at(centre, clock, directory, monkeypatch, more) as station,
        ):
            lived(station, clock, hours=1)
            centre.send(order)
            event = "command.carried_out" if at else "command.refused"
            station.until(lambda: bool(said(station, event)), event)  # noqa: B023
            assert [source for _, source in station.told_clock] == ["far"] * at


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
def test_a_centre_whose_time_is_far_from_a_clock_that_was_set_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Guideline for withdrawal metering, clock: beyond 300 s a person confirms. 300 s are believed, 2 s are nothing."""
    clock, ahead = SteppedClock(START), timedelta(hours=8)
    with (
        CentreServer(kind, now=lambda: clock.local() + ahead) as centre,
        station_at(centre, clock, tmp_path, monkeypatch, ", sets: true, clock: true") as station,
    ):
        lived(station, clock, hours=1)
        order_clock(centre, clock, ahead)
        station.until(lambda: bool(said(station, "command.refused")), "it is refused")
        (fault,) = [each for each in station.store.faults.open() if each.code == "CLOCK-DISPUTED"]
        told = dict(fault.evidence)
        assert told["own_at"] == "2026-11-20T00:40:00+00:00"
        assert told["centre_at"] == "2026-11-20T08:40:00+00:00"
        assert station.told_clock == []
        for seconds, moves in ((2, 0), (300, 1)):
            ahead = timedelta(seconds=seconds)
            before = len(said(station, "command.carried_out"))
            _give_up(station, centre, clock)
            order_clock(centre, clock, ahead)
            station.until(lambda: len(said(station, "command.carried_out")) > before, "it is believed")  # noqa: B023
            assert len(station.told_clock) == moves, seconds
            assert "CLOCK-DISPUTED" not in faults(station)


def order_clock(centre: CentreServer, clock: SteppedClock, ahead: timedelta) -> None:
    centre.send(f"4A at={clock.local() + ahead:%y%m%d%H%M%S}" if centre.protocol == "sl651" else "11")


NEVER = {
    "sl651": ("47", "48", "4B", "4C data=0101", "4D data=0101", "4E data=010100", "4F data=FF", "42 99=1"),
    "szy206": (
        "90 reset=2", "91 clear_bits=[2]", "92 device_no=1 device_kind=pump", "93 device_no=1 device_kind=pump",
        "1B base_m3=[1000]", "30", "31", "32", "33", "34 quota_m3=5000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
def test_what_would_move_water_or_wipe_records_is_never_carried_out_but_logged_with_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    clock = SteppedClock(START)
    with (
        CentreServer(kind, now=clock.local) as centre,
        station_at(centre, clock, tmp_path, monkeypatch, ", sets: true") as station,
    ):
        lived(station, clock, hours=1)
        for order in NEVER[kind]:
            before = len(said(station, "command.forbidden"))
            centre.send(order)
            more: Callable[[], bool] = lambda: len(said(station, "command.forbidden")) > before  # noqa: B023, E731
            station.until(more, f"{order} is refused")
            assert said(station, "command.forbidden")[-1]["never"] is True, order
            _give_up(station, centre, clock)
        assert faults(station) == {"COMMAND-FORBIDDEN"}
        assert not said(station, "command.carried_out")


def test_the_fault_of_a_forbidden_order_ends_after_a_restart_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteppedClock(START)
    with CentreServer("sl651", now=clock.local) as centre:
        with station_at(centre, clock, tmp_path, monkeypatch) as station:
            centre.send(NEVER["sl651"][0])
            station.until(lambda: faults(station) == {"COMMAND-FORBIDDEN"}, "it is refused")
            station.store.flush()
        with station_at(centre, clock, tmp_path, monkeypatch) as station:
            assert faults(station) == {"COMMAND-FORBIDDEN"}
            clock.advance(3700)
            station.until(lambda: not faults(station), "it ends")


def _give_up(station: SteppedStation, centre: CentreServer, clock: SteppedClock) -> None:
    """A new connection, so that the centre does not repeat the order for a minute."""
    connections = centre.stations()[0]["connections"]
    station.outgoing._end(["far"])
    station.outgoing.make(station.config)
    station.outgoing.start()
    station.until(lambda: centre.stations()[0]["connections"] > connections, "it is there again")


def test_a_restart_is_carried_out_where_settings_are_allowed_and_answered_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SZY206, 90 with 01: answered 5AH, done."""
    for allowed in (False, True):
        clock, directory = SteppedClock(START), tmp_path / str(allowed)
        directory.mkdir()
        with (
            CentreServer("szy206", now=clock.local) as centre,
            station_at(centre, clock, directory, monkeypatch, ", sets: true" if allowed else "") as station,
        ):
            lived(station, clock, hours=1)
            if allowed:
                assert asked(station, centre, "90 reset=1")[0]["result"] == "done"
            else:
                centre.send("90 reset=1")
                station.until(lambda: bool(said(station, "command.forbidden")), "it is refused")
            assert station.restarts == allowed


def test_a_stored_series_has_the_interval_that_the_centre_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sheet, section 9.2: the spacing is that of AFN 20H; another one would date the values wrongly."""
    clock = SteppedClock(START)
    with CentreServer("szy206", now=clock.local) as centre:
        more = ", sets: true, storage_interval: 20m"
        with station_at(centre, clock, tmp_path, monkeypatch, more) as station:
            lived(station, clock)
            order = "B1 kind=2 sensor_no=1 start=2026-11-20T08 end=2026-11-20T10"
            (before,) = asked(station, centre, order)
            assert len(before["records"]) == 7
            asked(station, centre, "20 kind=2 sensor_no=1 storage_interval_min=10 threshold=100")
            (after,) = asked(station, centre, order)
            assert after["records"][::2] == before["records"]
            assert len(after["records"]) == 13


def test_the_last_manual_entry_is_told_with_its_local_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock(START)
    with CentreServer("sl651", now=clock.local) as centre, station_at(centre, clock, tmp_path, monkeypatch) as station:
        lived(station, clock, hours=1)
        station.store.declare("reading", "main-flow", station.now_ms, {"value": "1234.5"}, "someone")
        assert station.store.flush()
        assert asked(station, centre, "39")[0]["manual_text"] == f"{clock.local():%y%m%d%H%M} main-flow 1234.5"
