"""`qushui-sim platform sl651|szy206` as people use it: console, script, archive; the server under bad treatment."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any

import pytest

from agent.messages import LANGUAGES, Messages
from simulators.platforms.centre import showing
from simulators.platforms.centre.archive import Archive, Violation
from simulators.platforms.centre.cli import _Printer
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.server import CentreServer
from tests.agent.uplinks.sl651_frames import REPORT, up
from tests.simulators.far_station import DIALOGUES, SL651_STATION, FarStation, content

CHINA = timezone(timedelta(hours=8))
PATIENCE_S = 20.0


def a_report(serial: int = 7, *, volume: int = 123) -> bytes:
    now = datetime.now(CHINA)
    header = f"{serial:04X} {now:%y%m%d%H%M%S}"
    observed = f"F1F1 {SL651_STATION} 49 F0F0 {now:%y%m%d%H%M}"
    return up("32", observed, f"FF2B30 {volume:012d}", "38121265", header=header)


def said(connection: socket.socket, size: int) -> bytes:
    """So many bytes of the centre, or as many as come in time."""
    connection.settimeout(PATIENCE_S)
    data = b""
    while len(data) < size and (piece := connection.recv(size - len(data))):
        data += piece
    return data


class Running:
    """The command in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self._in, self._out = process, process.stdin, process.stdout
        self.lines: list[str] = []
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(self._out,), daemon=True)
        self._reader.start()

    def _read(self, out: IO[str]) -> None:
        for line in out:
            with self._came:
                self.lines.append(line.rstrip("\n"))
                self._came.notify_all()

    def tell(self, line: str) -> None:
        self._in.write(line + "\n")
        self._in.flush()

    def line(self, pattern: str) -> str:
        """The first line that the pattern is found in, waiting for it."""

        def matching() -> str | None:
            return next((line for line in self.lines if re.search(pattern, line)), None)

        with self._came:
            assert self._came.wait_for(matching, PATIENCE_S), (pattern, self.lines)
            return matching() or ""

    def ended(self) -> int:
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return status


@contextmanager
def running(*arguments: str) -> Iterator[tuple[Running, int]]:
    command = [sys.executable, "-m", "simulators", "platform", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            centre = Running(process)
            opened = re.search(r"\b(\d{4,5})\b", centre.line("127.0.0.1").replace("127.0.0.1", ""))
            assert opened is not None
            yield centre, int(opened[1])
        finally:
            if process.poll() is None:
                process.kill()


def test_a_person_at_the_console_sees_what_comes_and_says_what_happens(tmp_path: Path):
    store = tmp_path / "centre.sqlite"
    with running("sl651", "--lang", "en", "--store", str(store)) as (centre, port):
        with socket.create_connection(("127.0.0.1", port)) as station:
            station.sendall(a_report(1))
            assert len(said(station, 25)) == 25
            assert "FF2B=123" in centre.line("no. 1 of")
            centre.tell("ack nonsense")
            centre.line("order not carried out: ack")
            centre.tell("ack never")
            centre.tell("37")
            assert said(station, 25)[10:11] == b"\x37"
            centre.tell(f"@{SL651_STATION} raw 7E7E")
            assert said(station, 2) == b"\x7e\x7e"
            station.sendall(a_report(2, volume=124))
            centre.line("no. 2 of")
            for line in ("stations", "last 1", "answers", "violations", "report", "help"):
                centre.tell(line)
            assert json.loads(centre.line('"report.made"'))["reports"] == 2
            centre.line("ack PLAN")
            centre.tell("close")
            assert said(station, 1) == b""
        centre.tell("stop")
        assert centre.ended() == 0
        report = json.loads(centre.lines[-1])
        assert (report["reports"], report["acknowledged"], report["orders"], report["failed"]) == (2, 1, 1, 0)
    shown = subprocess.run(
        [sys.executable, "-m", "simulators", "platform", "sl651", "--show", str(store), "--lang", "en"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert SL651_STATION in shown
    assert "FF2B=124" in shown
    assert "37" in shown


def test_an_archive_is_shown_in_both_languages_with_the_bytes_of_each_finding(tmp_path: Path):
    bad = a_report(2)[:-1] + b"\0"
    with CentreServer("sl651", store=tmp_path / "centre.sqlite") as centre, far_station_of(centre) as station:
        station.sendall(up("2F") + bad)
        assert centre.wait(centre.violations, PATIENCE_S)
    for lang in LANGUAGES:
        archive = Archive(tmp_path / "centre.sqlite", is_read_only=True)
        shown = "\n".join(showing.whole(archive, Messages(lang)))
        archive.close()
        assert "simulated_centre" not in shown
        assert bad.hex() in shown.replace(" ", "").replace("\n", "").lower()


@pytest.mark.parametrize(("lang", "named"), [("zh", "，事实表 §18："), ("en", " fact sheet §18: ")])
def test_a_rule_without_a_public_clause_is_named_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str, named: str
):
    def clock_off() -> list[Violation]:
        return [each for each in centre.violations() if each.code == "clock_off"]

    long_ago = up("32", REPORT, "38121265", header="0007 250102080555")
    printer = _Printer(Messages(lang, width=400), is_json=False, is_quiet=False)
    with CentreServer("sl651", store=tmp_path / "centre.sqlite") as centre, far_station_of(centre) as station:
        station.sendall(up("2F") + long_ago)
        assert centre.wait(clock_off, PATIENCE_S)
        found = clock_off()
    assert named in "\n".join(showing.violations(found, printer.messages))
    one = found[0]  # the link test's time is off, too
    printer.show({"event": "violation.found", **{name: getattr(one, name) for name in
                  ("station", "code", "clause", "arguments", "is_failed", "hex")}})  # fmt: skip
    assert named in capsys.readouterr().out


@contextmanager
def far_station_of(centre: CentreServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", centre.port)) as station:
        yield station


def test_a_reader_that_went_away_ends_a_command_quietly(tmp_path: Path):
    Archive(tmp_path / "centre.sqlite").close()
    command = [sys.executable, "-m", "simulators", "platform", "sl651", "--show", str(tmp_path / "centre.sqlite")]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_events_come_as_json_and_a_broken_rule_is_the_exit_status():
    with running("sl651", "--json", "--lang", "zh") as (centre, port):
        assert json.loads(centre.lines[0])["event"] == "platform.opened"
        with socket.create_connection(("127.0.0.1", port)) as station:
            station.sendall(a_report(0))
            wrong = json.loads(centre.line("violation.found"))
            assert (wrong["code"], wrong["clause"], wrong["is_failed"]) == ("serial_zero", "6.6.2.4", True)
        os.kill(centre.process.pid, signal.SIGINT)
        assert centre.ended() == 1
        assert json.loads(centre.lines[-1])["failed"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("sl651", "--ack", "nonsense"),
        ("sl651", "--password", "12"),
        ("szy206", "--ack", "previous-serial"),
        ("szy206", "--script", "/nowhere/script.yaml"),
        ("szy206", "--store", "/nowhere/centre.sqlite"),
        ("sl651", "--show", "/nowhere/centre.sqlite"),
        ("sl651", "--centre", "256"),
        ("szy206", "--timeout", "0"),
        ("szy206", "--password", "12g4"),
    ],
)
def test_what_cannot_start_says_why(arguments: tuple[str, ...]):
    command = [sys.executable, "-m", "simulators", "platform", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert ended.returncode == 2
    assert ended.stderr.strip()
    assert "Traceback" not in ended.stderr


# --- the server


def test_a_console_that_gets_other_bytes_than_text_goes_on():
    with running("szy206", "--lang", "en") as (centre, _port):
        os.write(centre.process.stdin.fileno() if centre.process.stdin else -1, b"\xff\xfe\n")
        centre.line("order not carried out")
        centre.tell("stop")
        assert centre.ended() == 0


def test_an_option_changes_while_a_link_stands():
    with CentreServer("sl651") as centre, socket.create_connection((centre.host, centre.port)) as station:
        for serial, (line, end) in enumerate([("end ESC", 0x1B), ("end EOT", 0x04)], 1):
            centre.set_up(line)
            station.sendall(a_report(serial))
            assert said(station, 25)[-3] == end
    with CentreServer("szy206") as centre, pytest.raises(OrderError, match="login"):
        centre.set_up("login loudly")


def test_an_archive_goes_on_where_it_ended(tmp_path: Path):
    store = tmp_path / "centre.sqlite"
    for copies in (1, 2):
        with (
            CentreServer("sl651", store=store) as centre,
            socket.create_connection((centre.host, centre.port)) as station,
        ):
            report = up("32", REPORT, "38121265")
            station.sendall(report)
            said(station, 25)
            centre.send("51")
            said(station, 25)
            assert [(each.copies, each.acks) for each in centre.received()] == [(copies, copies)]
            assert [each.number for each in centre.answers()] == list(range(1, copies + 1))
            looked_at = Archive(store, is_read_only=True)  # while the centre runs
            assert len(looked_at.reports()) == 1
            looked_at.close()


def test_a_second_connection_of_a_station_takes_the_place_of_the_first():
    with CentreServer("sl651") as centre:
        with socket.create_connection((centre.host, centre.port)) as first:
            first.sendall(a_report(1))
            said(first, 25)
            with socket.create_connection((centre.host, centre.port)) as second:
                second.sendall(a_report(2))
                said(second, 25)
                first.close()
                assert centre.wait(lambda: centre.report()["connections"] == 1, PATIENCE_S)
                assert centre.online() == [SL651_STATION]
                centre.send("37")
                assert said(second, 25)[10:11] == b"\x37"
        assert centre.wait(lambda: centre.online() == [], PATIENCE_S)
        assert centre.stations()[0]["connections"] == 2


def test_a_link_that_says_nothing_is_closed_and_others_are_not():
    with (
        CentreServer("sl651", idle_s=0.3) as centre,
        socket.create_connection((centre.host, centre.port)) as silent,
        socket.create_connection((centre.host, centre.port)) as dribbling,
        socket.create_connection((centre.host, centre.port)) as station,
    ):
        end_s = time.monotonic() + PATIENCE_S
        closed: set[socket.socket] = set()
        serial = 0
        while len(closed) < 2 and time.monotonic() < end_s:
            serial += 1
            station.sendall(a_report(serial))
            said(station, 25)
            for each in {silent, dribbling} - closed:
                each.setblocking(False)
                try:
                    if each is dribbling:
                        each.send(b"\x7e")
                    if each.recv(1) == b"":
                        closed.add(each)
                except BlockingIOError:
                    pass
                except ConnectionError:
                    closed.add(each)
            time.sleep(0.02)
        assert closed == {silent, dribbling}
        assert len(centre.received()) == serial


def test_a_station_that_takes_nothing_costs_a_bounded_amount_and_holds_nobody_up():
    with (
        CentreServer("sl651") as centre,
        socket.create_connection((centre.host, centre.port)) as deaf,
        socket.create_connection((centre.host, centre.port)) as station,
    ):
        deaf.sendall(up("2F"))
        assert centre.wait(centre.online, PATIENCE_S)
        for _ in range(200):
            try:
                centre.send_raw(bytes(65_536), SL651_STATION)
            except OrderError:  # it was closed
                break
        else:
            pytest.fail("it owes without bound")
        station.sendall(a_report(1))
        assert len(said(station, 25)) == 25


def test_late_answers_to_a_link_that_went_acknowledge_nothing():
    with CentreServer("sl651", ack="late:0.2") as centre:
        with socket.create_connection((centre.host, centre.port)) as station:
            station.sendall(a_report(1))
            assert centre.wait(centre.received, PATIENCE_S)
        time.sleep(0.3)
        assert centre.acknowledged() == []


def documented(events: Any) -> set[str]:
    return {event["event"] for event in events}


def test_everything_that_happens_is_told():
    events: list[dict[str, Any]] = []
    with CentreServer("szy206", ack="never,normal", emit=events.append) as centre:
        station = FarStation(centre.port, DIALOGUES["szy206"](), {1: content(1)})
        station.run(20)
        assert centre.wait(lambda: centre.online() == [], PATIENCE_S)
    assert documented(events) >= {
        "station.connected", "station.said", "report.received", "report.replied", "station.left",
    }  # fmt: skip
