"""A station that its centre has set to answer only: reports wait, queries are answered, and a person sees why."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.uplinks.dialogue import Acknowledged, Asked, Step
from agent.uplinks.sl651 import parameters as sl651
from agent.uplinks.szy206 import parameters as szy206
from agent.uplinks.szy206.commands import mode_set
from agent.uplinks.szy206_wire.content import decode
from agent.uplinks.szy206_wire.exchange import confirm_of
from agent.uplinks.szy206_wire.frame import parse
from simulators.platforms.centre.server import CentreServer
from simulators.platforms.centre.szy206 import Szy206Options
from tests.agent.uplinks.szy206_talk import delivery, dialogue, moment
from tests.agent.uplinks.test_report_commands import START, asked, faults, lived, said, station_at
from tests.stepped import SteppedClock, SteppedStation

ORDERS = {"sl651": ("40 0C=03", "40 0C=02", "41 id=0C"), "szy206": ("12 work_mode=2", "12 work_mode=1", "52")}
QUERIES = {
    "sl651": ("37", "38 from=26112007 to=26112009 step=1h id=FF2B/30"),
    "szy206": ("B0", "B1 kind=2 sensor_no=1 start=2026-11-20T07 end=2026-11-20T08"),
}


def hours(station: SteppedStation, clock: SteppedClock, count: int) -> None:
    """Readings every ten minutes, whatever becomes of the reports."""
    for _ in range(6 * count):
        clock.advance(600)
        station.read()


def waiting(station: SteppedStation) -> int:
    return len(station.store.outbox.waiting("far"))


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
def test_a_station_that_is_set_to_answer_only_keeps_its_reports_until_it_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    away, back, read = ORDERS[kind]
    clock = SteppedClock(START)
    with CentreServer(kind, now=clock.local) as centre:
        with station_at(centre, clock, tmp_path, monkeypatch, ", sets: true") as station:
            lived(station, clock, hours=2)
            count = len(centre.received())
            asked(station, centre, away)
            hours(station, clock, 2)
            station.until(lambda: waiting(station) >= 2, "reports wait")
            assert "UPLINK-POLLED" in faults(station)
            for query in QUERIES[kind]:
                assert asked(station, centre, query)
        with station_at(centre, clock, tmp_path, monkeypatch, ", sets: true") as station:
            hours(station, clock, 1)
            station.until(lambda: waiting(station) >= 3, "and after a restart")
            assert "UPLINK-POLLED" in faults(station)
            assert ("03" if kind == "sl651" else "'work_mode': 2") in str(asked(station, centre, read)[0])
            assert len(centre.received()) == count
            asked(station, centre, back)
            for number in range(1, 4):
                clock.advance(5)  # late ones follow at their pace
                station.until(lambda: waiting(station) <= 3 - number, "one less")  # noqa: B023
            lived(station, clock, hours=1)
            station.until(lambda: waiting(station) == 0, "all are acknowledged")
            assert len(centre.acknowledged()) == len(centre.received()) == count + 4
            assert "UPLINK-POLLED" not in faults(station)


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
def test_where_settings_are_no_longer_allowed_the_station_reports_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    clock = SteppedClock(START)
    with CentreServer(kind, now=clock.local) as centre:
        with station_at(centre, clock, tmp_path, monkeypatch, ", sets: true") as station:
            asked_at = ORDERS[kind][0]
            lived(station, clock, hours=1)
            asked(station, centre, asked_at)
        count = len(centre.received())
        with station_at(centre, clock, tmp_path, monkeypatch) as station:
            lived(station, clock, hours=1)
            station.until(lambda: len(centre.acknowledged()) > count, "it reports")
            assert "UPLINK-POLLED" not in faults(station)


@pytest.mark.parametrize(
    ("more", "mode", "is_polled"),
    [
        ("", 2, False),
        (", sets: true", 2, False),
        (", confirm_mode: true", 2, False),
        (", sets: true, confirm_mode: true", 2, True),
        (", sets: true, confirm_mode: true", 0x5A, False),
    ],
)
def test_the_byte_of_a_confirm_silences_only_a_station_that_is_to_obey_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, mode: int, is_polled: bool
) -> None:
    clock = SteppedClock(START)
    options = Szy206Options(mode=mode)
    with (
        CentreServer("szy206", now=clock.local, options=options) as centre,
        station_at(centre, clock, tmp_path, monkeypatch, more) as station,
    ):
        lived(station, clock, hours=1)
        station.until(lambda: len(centre.acknowledged()) >= 1, "the first report is confirmed")
        hours(station, clock, 2)
        if is_polled:
            station.until(lambda: waiting(station) == 2, "the others wait")
            assert len(centre.received()) == 1
            assert "UPLINK-POLLED" in faults(station)
            assert asked(station, centre, "B0")[0]["work_mode"] == mode
        else:
            station.until(lambda: len(centre.acknowledged()) == 3, "all go")
            assert "UPLINK-POLLED" not in faults(station)
            assert not said(station, "command.carried_out")


def test_a_mode_in_a_confirm_is_asked_for_once_and_not_answered():
    station = dialogue(obeys_confirms=True)
    (sent,) = station.send(delivery(1), moment(0)).data
    told = station.receive(confirm_of(parse(sent), 3).to_bytes(), moment(1))
    accepted, asked_for = told.happenings
    assert accepted == Acknowledged(tag=1)
    assert isinstance(asked_for, Asked)
    assert (asked_for.name, asked_for.arguments) == ("parameters_set", {"values": {"12": '{"work_mode": 3}'}})
    assert station.answer(asked_for.token, {"values": {}}, moment(1)) == Step()
    (sent,) = station.send(delivery(2), moment(2)).data
    assert decode(parse(sent))["work_mode"] == 3
    assert station.receive(confirm_of(parse(sent), 3).to_bytes(), moment(3)).happenings == (Acknowledged(tag=2),)


def test_a_work_mode_that_no_table_has_is_refused():
    found = {value: sl651.is_acceptable("basic:0C", value) for value in ("00", "01", "04", "05", "0102")}
    assert found == {"00": False, "01": True, "04": True, "05": False, "0102": False}
    modes = {mode: szy206.is_acceptable("12", f'{{"work_mode": {mode}}}') for mode in (0, 3, 4, 255)}
    assert modes == {0: True, 3: True, 4: False, 255: False}


def test_a_mode_that_an_earlier_version_kept_and_no_state_word_holds_is_not_taken_up():
    assert [mode_set({"12": f'{{"work_mode": {mode}}}'}, 1) for mode in (0, 2, 200)] == [0, 2, 1]
