"""`qushui-sim conformance station` lists every mistake of a station once, each with its clause and its own bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree as ET

import pytest

from agent.messages import LANGUAGES, Messages
from simulators.conformance import station_cases
from simulators.conformance.link_runner import run
from simulators.conformance.page import as_html
from simulators.conformance.report import Run, Subject, as_junit, reason_text
from simulators.conformance.station_link import StationLink
from simulators.conformance.verdict import Outcome, Verdict
from simulators.platforms.centre.behaviour import Protocol
from tests.agent.uplinks.sl651_frames import STATION, up
from tests.simulators.test_conformance_links import session

CHINA = timezone(timedelta(hours=8))
NOW = datetime.now(CHINA)
SENT, OBSERVED, LATER = f"{NOW:%y%m%d%H%M%S}", f"{NOW:%y%m%d%H%M}", f"{NOW + timedelta(hours=2):%y%m%d%H%M}"


def report(serial: int, elements: str, *, kind: str = "49", observed: str = OBSERVED) -> bytes:
    body = f"F1F1 {STATION} {kind} F0F0 {observed}"
    return up("32", body, elements, "38121265", header=f"{serial:04X} {SENT}")


SOUND = report(1, "282B0000000125")
DIGITS = report(2, "282B000000012A")
RESERVED = report(3, "452080000080")
AHEAD = report(4, "282B0000000127", observed=LATER)
USER_CLASS = report(5, "282B0000000128", kind="56")
BROKEN = report(6, "282B0000000129")[:-1] + b"\0"
NO_DATA = report(7, "2803")
ALL = (SOUND, DIGITS, RESERVED, AHEAD, USER_CLASS, BROKEN, NO_DATA)


@contextmanager
def reporting(link: StationLink) -> Iterator[None]:
    """A station that sends all of them at once, and then only listens."""
    link.listen()

    def dial() -> None:
        with contextlib.suppress(OSError), socket.create_connection(link.address) as centre:
            centre.sendall(SOUND)
            for frame in ALL[1:]:
                threading.Event().wait(0.1)  # a segment of its own, so that the bytes of each are known
                centre.sendall(frame)
            while centre.recv(4096):
                continue

    thread = threading.Thread(target=dial, daemon=True)
    thread.start()
    try:
        yield
    finally:
        link.close()
        thread.join(10)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    link = session("sl651", repeat_s=1.0, idle_s=1.5)
    steps = (
        "connection",
        "report",
        "repeat",
        "keepalive",
        "frames",
        "headers",
        "elements",
        "times",
        "status",
        "serials",
    )
    cases = [case for case in station_cases.CASES[Protocol.SL651] if case.id.partition(".")[2] in steps]
    with reporting(link):
        return {each.case.id.partition(".")[2]: each for each in run(cases, link)}


@pytest.mark.parametrize(
    ("step", "expected", "codes", "bytes_"),
    [
        ("frames", (Verdict.FAILED, "6.5.2"), ["sl651_crc"], [BROKEN]),
        ("headers", (Verdict.DIFFERS, "A"), ["station_class"], [USER_CLASS]),
        ("elements", (Verdict.FAILED, "6.6.3.3"), ["digits", "no_data", "definition"], [DIGITS, NO_DATA, NO_DATA]),
        ("times", (Verdict.FAILED, "6.6.2.8"), ["observed_later"], [AHEAD]),
        ("status", (Verdict.DIFFERS, "58"), ["status_bits"], [RESERVED]),
    ],
)
def test_each_step_lists_its_mistakes_with_their_bytes(
    outcomes: dict[str, Outcome], step: str, expected: tuple[Verdict, str], codes: list[str], bytes_: list[bytes]
) -> None:
    outcome = outcomes[step]
    assert (outcome.finding.verdict, outcome.clause.number) == expected
    listed = outcome.finding.arguments["violations"]
    assert isinstance(listed, list)
    assert [each["code"] for each in listed] == codes
    assert [heard.data for heard in outcome.finding.evidence] == bytes_


def test_a_number_that_never_came_differs(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["serials"].finding.reason == "serials-missing"  # that of the broken frame
    assert outcomes["serials"].finding.arguments["numbers"] == "6"


def test_the_files_name_every_mistake_in_both_languages(outcomes: dict[str, Outcome]) -> None:
    done = Run(
        place="127.0.0.1:1", settings="SL 651-2014", address=STATION, began=NOW, expected_s=0.0, took_s=1.0,
        profile=Subject(name="sl651", protocol="sl651", source="SL 651-2014"), is_strict=False, version="0",
        outcomes=tuple(outcomes.values()), kind="station",
    )  # fmt: skip
    for lang in LANGUAGES:
        messages = Messages(lang)
        said = reason_text(messages, outcomes["elements"])
        assert len(said.split("\n")) == 3
        failures = ET.fromstring(as_junit(done, messages)).findall(".//failure")
        assert {said in (each.text or "") for each in failures} == {True, False}
        page = as_html(done, messages)
        assert "conformance." not in page.replace("qushui-sim conformance ", "").replace("qushui.conformance", "")
        for line in said.split("\n"):
            assert line.replace("'", "&#x27;") in page
