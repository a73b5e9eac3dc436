"""`qushui-sim conformance meter`: real ports, exact moments, exit status, and the reports."""

from __future__ import annotations

import json
import os
import re
import select
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from agent.messages import LANGUAGES, Messages
from drivers.registry import DRIVERS
from simulators import cli
from simulators.conformance import session as sessions
from simulators.conformance.runner import CASES, run
from simulators.conformance.session import Session
from simulators.conformance.verdict import SERIAL_PORT, Verdict
from simulators.conformance.wire import SerialWire
from simulators.meters.bus import SimulatedLine
from simulators.meters.line_settings import SimulatedLineSettings
from simulators.meters.meter import SimulatedMeter
from tests.simulators.conforming import findings, meter, packaged

ROOT = Path(__file__).parents[2]
FLOWING = {"flow_rate": "12.5", "volume_forward": "28785.5"}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


def bus(path: Path, *meters: SimulatedMeter, **more: Any) -> SimulatedLine:
    return SimulatedLine(SimulatedLineSettings(name="bus", pty=path, **more), meters)


def on_port(line: SimulatedLine, far: SimulatedMeter, *, baud: int = 9600, **more: Any) -> Session:
    wire = SerialWire(line.path, baud=baud, parity="none", stop_bits=1)
    return Session(
        wire=wire, framing_name="rtu", where=SERIAL_PORT, profile=far.profile, address=far.address, watch_s=0.2, **more
    )


# --- a paced port


def test_a_good_meter_on_a_strict_bus_passes_everything(tmp_path: Path) -> None:
    far = meter(values=FLOWING)
    with bus(tmp_path / "bus", far, strict=True) as line:
        outcomes = run(on_port(line, far))
    verdicts = {each.case.id: each.finding for each in outcomes}
    assert {name for name, each in verdicts.items() if each.verdict in {Verdict.FAILED, Verdict.DIFFERS}} == set()
    decided = {name for name, each in verdicts.items() if each.verdict is Verdict.PASSED}
    assert {"timing.back-to-back", "timing.frame-silence", "recovery.garbage", "recovery.truncated"} <= decided


def test_an_answer_before_the_silence_is_over_is_found(tmp_path: Path) -> None:
    far = meter(values=FLOWING, latency_s=0.0)
    with bus(tmp_path / "bus", far, baud=1200) as line:
        found = findings(on_port(line, far, baud=1200), "timing.frame-silence")["timing.frame-silence"]
    assert (found.verdict, found.reason) == (Verdict.FAILED, "early")


@pytest.mark.parametrize("mischief", [{"kind": "late", "delay": "300ms"}, {"kind": "slow", "factor": 60, "period": 5}])
def test_a_late_answer_is_told_from_none(tmp_path: Path, mischief: dict[str, Any]) -> None:
    far = meter("mag6000", values={"flow_rate": "1"}, mischief=[mischief])
    with bus(tmp_path / "bus", far) as line:
        found = findings(on_port(line, far, limit_s=0.2), "frame.answers", "timing.answer-delay")
    assert found["frame.answers"].verdict is Verdict.PASSED
    assert (found["timing.answer-delay"].verdict, found["timing.answer-delay"].reason) == (Verdict.FAILED, "late")


def test_a_dead_meter_is_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LATE_S", 0.2)
    far = meter(mischief=[{"kind": "dead"}])
    with bus(tmp_path / "bus", far) as line:
        tested = on_port(line, far, limit_s=0.2)
        outcomes = run(tested)
    assert [each.case.id for each in outcomes if each.finding.verdict is Verdict.FAILED] == ["frame.answers"]
    assert len(tested.samples()) == 3


@contextmanager
def typist(far: SimulatedMeter, *, character_s: float, pause_s: float) -> Iterator[str]:
    """A meter on a pseudo-terminal that sends each character for itself, and pauses in the middle of a frame."""
    master, slave = os.openpty()
    tty.setraw(slave)
    stop = threading.Event()
    driver = DRIVERS["modbus"]()

    def serve() -> None:
        while not stop.is_set():
            if not select.select([master], [], [], 0.05)[0]:
                continue
            reply = driver.answer(os.read(master, 256), {far.address: far.image.memory()})
            time.sleep(0.1)
            for place in range(len(reply)):
                time.sleep(character_s + (pause_s if place == 4 else 0))
                os.write(master, reply[place : place + 1])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        thread.join(5)
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize(("pause_s", "verdict"), [(0.0, Verdict.PASSED), (0.06, Verdict.FAILED)])
def test_a_pause_within_an_answer_is_found(pause_s: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_GAP_CHARACTERS", 40)
    far = meter("orno-we-504")
    with typist(far, character_s=10 / 600, pause_s=pause_s) as path:
        wire = SerialWire(path, baud=600, parity="none", stop_bits=1)
        tested = Session(wire=wire, framing_name="rtu", where=SERIAL_PORT, profile=far.profile, address="7")
        tested.asks = (tested.probe,)
        found = findings(tested, "timing.character-gaps")["timing.character-gaps"]
        wire.close()
    assert found.verdict is verdict


# --- the command


class Balanced(HTMLParser):
    """Every tag is closed, nothing is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += [] if tag in VOID else [tag]
        self.fetched += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@contextmanager
def on_lan(*meters: SimulatedMeter) -> Iterator[str]:
    settings = SimulatedLineSettings(name="lan", tcp=("127.0.0.1", 0), latency_s=0.0)
    with SimulatedLine(settings, meters) as line:
        yield f"127.0.0.1:{line.port}"


def command(*words: object, watch: str = "0") -> int:
    return cli.main(["conformance", "meter", *map(str, words), "--watch", watch])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_good_meter_gets_its_reports(lang: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, junit = tmp_path / "report.html", tmp_path / "report.xml"
    with on_lan(meter("mag6000", address="1", values=FLOWING)) as place:
        status = command(
            place, "--profile", "mag6000", "--address", "1", "--html", html, "--junit", junit, "--lang", lang
        )
    out, err = capsys.readouterr()
    assert status == 0
    messages = Messages(lang)
    assert messages.text("conformance.result.passed") in out
    first, *progress = err.splitlines()
    assert place in first
    assert re.search(r"[0-9]+ (s|秒)", first)
    assert len(progress) == len([line for line in progress if line.startswith("[")]) > 20
    page = Balanced()
    page.feed(html.read_text(encoding="utf-8"))
    assert page.open == []
    assert page.fetched == []
    assert "@page { size: A4;" in html.read_text(encoding="utf-8")
    assert messages.text("conformance.page.title") in page.text
    assert packaged("mag6000").title[lang] in page.text
    suite = ET.parse(junit).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    cases = suite.findall("testcase")
    assert len(cases) == int(suite.get("tests", "0")) == len(progress)
    assert all((case.get("name") or "").split()[0] in page.text for case in cases)


def test_a_failure_names_its_clause_in_every_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, junit = tmp_path / "report.html", tmp_path / "report.xml"
    clause = "Modbus messaging on TCP/IP V1.0b, 4.4.2.5"
    far = meter("mag6000", address="1", mischief=[{"kind": "wrong_address"}])
    with on_lan(far) as place:
        words = (place, "--profile", "mag6000", "--address", "1", "--html", html, "--junit", junit, "--json")
        assert command(*words, "--lang", "en") == 1
    result = json.loads(capsys.readouterr().out)
    (wrong,) = [case for case in result["cases"] if case["verdict"] == "failed"]
    assert (wrong["id"], wrong["arguments"]["got"]) == ("frame.address", 2)
    assert f"{wrong['clause']['document']}, {wrong['clause']['number']}" == clause
    assert wrong["evidence"][0]["received_hex"][12:14] == "02"
    assert (result["passed"], result["counts"]["failed"]) == (False, 1)
    (failure,) = ET.parse(junit).getroot().iter("failure")
    assert (failure.get("message") or "").startswith(clause)
    assert "> 00 01 00 00" in (failure.text or "")
    assert clause in html.read_text(encoding="utf-8")


def test_what_differs_fails_only_when_told_to_be_strict(tmp_path: Path) -> None:
    far = meter("l-mag", address="1", mischief=[{"kind": "all_ones", "quantity": "volume_forward"}])
    junit = tmp_path / "report.xml"
    with on_lan(far) as place:
        words = (place, "--profile", "l-mag", "--address", "1", "--junit", junit)
        assert command(*words) == 0
        assert list(ET.parse(junit).getroot().iter("failure")) == []
        assert command(*words, "--strict") == 1
    (failure,) = ET.parse(junit).getroot().iter("failure")
    assert failure.get("type") == "no-value"


def test_a_profile_may_be_a_file_of_the_maker(tmp_path: Path) -> None:
    text = packaged("mag6000").text.replace("profile: mag6000", "profile: my-meter", 1)
    (tmp_path / "my-meter.yaml").write_text(text, encoding="utf-8")
    with on_lan(meter("mag6000", address="1")) as place:
        assert command(place, "--profile", tmp_path / "my-meter.yaml", "--address", "1") == 0


@pytest.mark.parametrize(
    "words",
    [
        ("127.0.0.1:9", "--profile", "no-such-meter", "--address", "1"),
        ("127.0.0.1:9", "--profile", "no-such-file.yaml", "--address", "1"),
        ("127.0.0.1:9", "--profile", "tuf2000", "--address", "300"),
        ("127.0.0.1:99999", "--profile", "tuf2000", "--address", "1"),
        ("/dev/ttyS0", "--profile", "tuf2000", "--address", "1", "--framing", "tcp"),
        ("/dev/ttyS0", "--profile", "tuf2000", "--address", "0"),
        ("/dev/ttyS0", "--profile", "tuf2000", "--address", "1", "--baud", "5"),
        ("127.0.0.1:9", "--profile", "tuf2000", "--address", "1", "--timeout", "0"),
        ("127.0.0.1:9", "--profile", "dlt645-2007", "--address", "000000000012", "--framing", "tcp"),
        ("127.0.0.1:9", "--profile", "dlt645-2007", "--address", "AAAAAAAAAAAA"),
        ("127.0.0.1:9", "--profile", "tuf2000", "--address", "1", "--html", "/no/such/directory/report.html"),
        ("127.0.0.1:9", "--profile", "tuf2000", "--address", "1", "--html", "/tmp"),
    ],
)
def test_wrong_input_is_said_before_anything_is_opened(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*words) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.strip().splitlines())) == ("", 1)


def test_a_port_that_is_not_there_is_the_fields_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path / "nothing", "--profile", "tuf2000", "--address", "1") == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_meter_that_hangs_up_for_good_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    with on_lan(meter("mag6000", address="1")) as place:
        pass
    assert command(place, "--profile", "mag6000", "--address", "1") == 1


# --- words


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_test_reason_and_rule_has_words(lang: str) -> None:
    messages = Messages(lang)
    for case in (case for cases in CASES.values() for case in cases):
        assert messages.has(f"conformance.case.{case.id}.title"), case.id
        assert messages.has(f"conformance.case.{case.id}.does"), case.id
        assert case.clause.is_standard or messages.has(f"conformance.rule.{case.clause.document}")
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "simulators/conformance").glob("*.py"))
    reasons = set(re.findall(r'\b(?:passed|failed|differs|undecided)\(\s*"([a-z-]+)"', sources))
    assert len(reasons) > 50
    assert {reason for reason in reasons if not messages.has(f"conformance.reason.{reason}")} == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_lists_every_test_with_its_clause_and_every_option(lang: str) -> None:
    text = (ROOT / "docs" / "vendors" / f"conformance.{lang}.md").read_text(encoding="utf-8")
    rows: dict[str, str] = {}
    for row in (row for row in text.splitlines() if row.startswith("| `")):
        rows[row.split("`")[1]] = rows.get(row.split("`")[1], "") + row
    for case in (case for cases in CASES.values() for case in cases):
        number = case.clause.number.replace("{function}", "")
        assert all(part.strip() in rows[case.id] for part in number.split(",")), case.id
    source = (ROOT / "simulators" / "conformance_cli.py").read_text(encoding="utf-8")
    for option in re.findall(r'add_argument\("(--[a-z-]+)"', source):
        assert option in text, option
