"""What is reported when: clocks that step, faults that begin and end, what a person entered, the page that says how."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from agent.faults import FaultCode
from agent.model import MANUAL, Layout, Round
from simulators.platforms.centre.server import CentreServer
from tests.stepped import CHINA, SteppedClock, SteppedStation

PAGES = Path(__file__).parents[3] / "docs" / "technicians"
SL651 = (
    '  far: {{type: sl651, host: 127.0.0.1, port: {port}, station: "3301060001", '
    "jitter: 0ms, intakes: {{1: well-3}}{more}}}\n"
)
SZY206 = SL651.replace("sl651", "szy206").replace("3301060001", "4302810007")
START = datetime(2026, 11, 20, 7, 40, tzinfo=CHINA)


def hours(station: SteppedStation, count: int) -> None:
    for _ in range(6 * count):
        station.clock.advance(600)
        station.read()
        station.until(lambda: station.is_quiet("far"), "nothing is owed")


def observed(centre: CentreServer, function: str = "32") -> list[str]:
    return [each.observed for each in centre.received() if each.function == function]


def test_a_clock_that_is_set_back_costs_no_report_of_the_time_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteppedClock(datetime(2031, 11, 20, 7, 40, tzinfo=CHINA))
    with CentreServer("sl651", now=clock.local) as centre:
        uplinks = SL651.format(port=centre.port, more="")
        with SteppedStation(tmp_path, uplinks, clock=clock, poll="10m", patch=monkeypatch) as station:
            station.until(lambda: bool(centre.online()), "it is there")
            hours(station, 2)
            assert observed(centre)
            clock.offset_ms -= round((clock.now() - START).total_seconds() * 1000)  # 2031 was wrong
            station.store.date_boot(clock.offset_ms, "host", step=True)
            composing = station.outgoing._workers["far"]._composing  # type: ignore[union-attr]
            station.until(lambda: composing._slot_ms < station.now_ms, "the step is seen before the next slot")
            before = len(observed(centre))
            hours(station, 3)
            assert observed(centre)[before:] == [f"2026-11-20T{hour:02}:00" for hour in (8, 9, 10)]


@pytest.mark.parametrize("code", [FaultCode.METER_NO_REPLY, FaultCode.LINE_DOWN])
def test_a_fault_and_a_flag_are_reported_when_they_begin_and_when_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: FaultCode
) -> None:
    clock = SteppedClock(START)
    with CentreServer("sl651", now=clock.local) as centre:
        uplinks = SL651.format(port=centre.port, more="")
        with SteppedStation(tmp_path, uplinks, clock=clock, poll="10m", patch=monkeypatch) as station:
            station.until(lambda: bool(centre.online()), "it is there")
            hours(station, 1)
            place = "line/lan" if code is FaultCode.LINE_DOWN else "meter/main-flow"
            for count, flags in enumerate((frozenset({"empty_pipe"}), frozenset[str]()), 1):
                clock.advance(60)
                station.read(flags=flags)
                station.until(lambda: len(observed(centre, "33")) == count, "the flag is told")  # noqa: B023
            station.store.faults.raised(code, place)
            station.until(lambda: len(observed(centre, "33")) == 3, "the fault is told")
            clock.advance(60)
            station.store.faults.cleared(code, place)
            station.until(lambda: len(observed(centre, "33")) == 4, "its end is told")
            station.store.faults.raised(FaultCode.METER_NO_REPLY, "meter/of-another-intake")
            hours(station, 1)
            assert len(observed(centre, "33")) == 4
            fields = [each.fields for each in centre.received() if each.function == "33"]
            words = [next(e for g in each["groups"] for e in g["elements"] if e["id"] == "45") for each in fields]
            assert [5 in each["bits_set"] for each in words] == [True, False, True, False]  # flow meter fault


def test_what_a_person_entered_goes_as_a_manual_report_where_the_section_lists_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteppedClock(START)
    with CentreServer("sl651", now=clock.local) as centre:
        uplinks = SL651.format(port=centre.port, more=", reports: [timed, manual]")
        with SteppedStation(tmp_path, uplinks, clock=clock, poll="10m", patch=monkeypatch) as station:
            station.until(lambda: bool(centre.online()), "it is there")
            layout = Layout(
                meter="main-flow", profile=MANUAL, version="1", protocol=MANUAL, address="",
                quantities=("volume_forward",), flags=(), period_ms=86_400_000, requests=(b"",),
            )  # fmt: skip
            boot_ms = clock.boot_ms() - 60_000
            station.store.append(
                Round(layout=layout, boot_ms=boot_ms, values=(Decimal("1234.5"),), quality={}, raw=(b"{}",))
            )
            assert station.store.flush()
            station.until(lambda: station.is_quiet("far") and bool(centre.received()), "it is told")
            (report,) = centre.received()
            assert report.function == "35"
            assert report.values["manual_text"].strip() == "2611200739 main-flow volume_forward 1234.5"


def test_what_a_person_entered_goes_to_an_szy206_centre_as_the_intakes_total(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sheet, section 8: 82H is laid out as C0H. The register of the meter is no total of the intake."""
    clock = SteppedClock(START)
    with CentreServer("szy206", now=clock.local) as centre:
        uplinks = SZY206.format(port=centre.port, more=", reports: [timed, manual]")
        with SteppedStation(tmp_path, uplinks, clock=clock, poll="10m", patch=monkeypatch) as station:
            station.until(lambda: bool(centre.online()), "it is there")
            station.read()
            clock.advance(240)
            layout = Layout(
                meter="main-flow", profile=MANUAL, version="1", protocol=MANUAL, address="",
                quantities=("volume_forward",), flags=(), period_ms=86_400_000, requests=(b"",),
            )  # fmt: skip
            values = (station.total_m3 + Decimal("7.9"),)
            station.store.append(Round(layout=layout, boot_ms=clock.boot_ms(), values=values, quality={}, raw=(b"{}",)))
            assert station.store.flush()
            station.until(lambda: station.is_quiet("far") and bool(centre.received()), "it is told")
            (report,) = centre.received()
            assert report.function == "82"
            assert report.values["meters"] == [{"instant": None, "cumulative_m3": "7"}]
            assert report.observed == "2026-11-20T07:44:00"


def test_a_centre_that_only_asks_gets_nothing_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock(START)
    with CentreServer("sl651", now=clock.local) as centre:
        uplinks = SL651.format(port=centre.port, more=", mode: m4")
        with SteppedStation(tmp_path, uplinks, clock=clock, poll="10m", patch=monkeypatch) as station:
            station.until(lambda: bool(centre.online()), "it is there")
            hours(station, 2)
            station.read(flags=frozenset({"empty_pipe"}))
            centre.send("37")
            station.until(lambda: centre.answers()[-1].state == "answered", "it answers")
            told = [each for group in centre.answers()[-1].answers[0]["groups"] for each in group["elements"]]
            assert "0.001388" in {each.get("value") for each in told}, "5 m3/h, cut"
            centre.send("50")
            station.until(lambda: centre.answers()[-1].state == "answered", "it answers that too")
            assert centre.answers()[-1].answers[0]["event_counts"][3] == 1, "instrument fault"
            assert not centre.received()


def test_the_page_for_technicians_connects_a_station_to_two_centres(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [
        re.findall(
            r"^```yaml\n(.*?)^```", (PAGES / f"centres.{language}.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        for language in ("zh", "en")
    ]
    assert blocks[0] == blocks[1]
    uplinks = blocks[0][0].partition("uplinks:\n")[2]
    clock = SteppedClock(START)
    with CentreServer("sl651", now=clock.local) as ministry, CentreServer("szy206", now=clock.local) as province:
        places = (("10.0.0.9", 9002, ministry), ("10.0.0.8", 9001, province))
        for host, port, centre in places:
            uplinks = uplinks.replace(
                f"host: {host}\n    port: {port}\n", f"host: 127.0.0.1\n    port: {centre.port}\n"
            )
        with SteppedStation(tmp_path, uplinks, clock=clock, poll="1m", patch=monkeypatch) as station:
            station.until(lambda: bool(ministry.online() and province.online()), "both are there")
            for _ in range(30):
                clock.advance(60)
                station.read()
                clock.advance(1)
            both = ("ministry", "province")
            station.until(lambda: station.is_quiet(*both) and bool(ministry.acknowledged()), "both have the report")
            assert [each.observed for each in ministry.acknowledged()] == ["2026-11-20T08:00"]
            assert [each.observed for each in province.acknowledged()] == ["2026-11-20T08:00:00"]
