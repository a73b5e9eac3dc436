"""`qushui clock broadcast` on a pseudo-terminal with simulated DL/T 645 meters, alone and through a running agent."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent import broadcasting
from agent.cli.main import main
from agent.clock import SystemClock
from agent.config import load
from agent.control import ControlError
from agent.uplinks.registry import settings_models
from drivers.dlt645 import BROADCAST, Dlt645Driver
from drivers.dlt645_values import moment
from drivers.dlt645_wire import Candidate, address_bytes, found
from drivers.registry import DRIVERS
from simulators.meters.pty_port import PtyPort
from tests.fakes import FakeClock
from tests.system.processes import Daemon, until

METER = "000000000012"
MEMORY = {METER: {"00010000": bytes.fromhex("56341200")}}  # 1234.56 kWh
ZONE = ZoneInfo("Asia/Shanghai")


class Bus:
    """The meters on the other end: they answer reads, and keep what they hear by broadcast."""

    def __init__(self, path: Path) -> None:
        self.heard: list[tuple[datetime, Candidate]] = []
        self.asked = 0
        self._port = PtyPort(path)
        self._driver = Dlt645Driver()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        head = b""
        while not self._stop.is_set():
            if not select.select([self._port], [], [], 0.05)[0]:
                continue
            head += self._port.read()
            size = self._driver.request_size(head)
            if size is None or len(head) < size:
                continue
            request, head = head[:size], head[size:]
            frame = found(request)
            assert frame is not None
            if frame.address == address_bytes(BROADCAST):
                self.heard.append((datetime.now(ZONE).replace(tzinfo=None), frame))
                continue
            self.asked += 1
            self._port.write(self._driver.answer(request, MEMORY))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._port.close()


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    bus = Bus(tmp_path / "bus")
    yield bus
    bus.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    path = tmp_path / "agent.yaml"
    path.write_text(
        "station: {id: a, timezone: Asia/Shanghai}\n"
        f"store: {{path: {tmp_path}/state/qushui.db, free_disk: 1MB}}\n"
        "clock: {trust: host}\n"
        f"lines:\n  bus: {{port: {tmp_path}/bus, baud: 9600, parity: even}}\n"
        f"  other: {{port: {tmp_path}/other, baud: 9600}}\n"
        f'meters:\n  pump: {{line: bus, profile: dlt645-2007-single, address: "{METER}", poll: 1s,'
        " quantities: [energy_import]}\n"
        '  flow: {line: other, profile: tuf2000, address: "1", poll: 60s}\n',
        encoding="utf-8",
    )
    return path


def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps a test that happens to run around midnight out of the refusal."""
    monkeypatch.setattr(broadcasting, "MIDNIGHT_MINUTES", 0)


def is_right(at: datetime, frame: Candidate) -> bool:
    sent = moment(frame.data)
    assert sent is not None
    return frame.control == 0x08 and abs(sent - at) <= timedelta(seconds=1.5)


def test_without_yes_nothing_is_sent_and_it_says_to_whom(
    bus: Bus, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["clock", "broadcast", "bus", "-c", str(config), "--lang", "en"]) == 1
    said = capsys.readouterr().err
    assert "pump" in said
    assert "--yes" in said
    assert "once a day" in " ".join(said.split())
    assert bus.heard == []


def test_one_frame_with_the_local_time_goes_to_all_and_nobody_answers(
    bus: Bus, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    noon(monkeypatch)
    assert main(["clock", "broadcast", "bus", "-c", str(config), "--yes", "--lang", "zh"]) == 0
    until(lambda: len(bus.heard) == 1, 5, "the frame is heard")
    assert is_right(*bus.heard[0])
    assert "pump" in capsys.readouterr().out


def test_a_line_without_such_meters_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clock", "broadcast", "other", "-c", str(config), "--yes", "--lang", "en"]) == 1
    assert "no DL/T 645 meter" in capsys.readouterr().err
    assert main(["clock", "broadcast", "bsu", "-c", str(config), "--yes", "--lang", "en"]) == 2
    assert "bus other" in capsys.readouterr().err
    assert main(["clock", "broadcast", "-c", str(config), "--yes"]) == 2


def test_a_clock_that_nobody_trusts_is_not_handed_on(
    bus: Bus, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemClock, "synced", False)
    assert main(["clock", "broadcast", "bus", "-c", str(config), "--yes", "--lang", "en"]) == 1
    assert "clock set" in capsys.readouterr().err
    assert bus.heard == []


@pytest.mark.parametrize(("at", "is_refused"), [("23:55:30", True), ("00:04:30", True), ("00:05:30", False)])
def test_around_midnight_meters_take_no_time(config: Path, at: str, is_refused: bool) -> None:
    loaded = load(config, drivers=DRIVERS, uplink_settings=settings_models())
    now = datetime.fromisoformat(f"2026-11-21T{at}+08:00")
    clock = FakeClock(offset_ms=round(now.timestamp() * 1000) - 100_000)
    if is_refused:
        with pytest.raises(ControlError, match="NEAR_MIDNIGHT"):
            broadcasting.checked_now(loaded, clock)
    else:
        assert broadcasting.checked_now(loaded, clock) == now


def test_a_running_agent_sends_it_between_its_own_polls_and_goes_on(
    bus: Bus, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = Daemon(tmp_path, config, tmp_path / "state" / "qushui.db")
    try:
        daemon.ready()
        until(lambda: bus.asked >= 1, 10, "the meter is polled")
        try:
            status = main(["clock", "broadcast", "bus", "-c", str(config), "--yes", "--lang", "en"])
        finally:
            said = capsys.readouterr()
        if "midnight" in said.err:  # the agent refuses, and rightly
            assert status == 1
            return
        assert status == 0, said.err
        until(lambda: len(bus.heard) == 1, 5, "the frame is heard")
        assert is_right(*bus.heard[0])
        before = bus.asked
        until(lambda: bus.asked >= before + 2, 10, "polling goes on")
        assert ("METER-NO-REPLY", "meter/pump") not in daemon.faults()
    finally:
        assert daemon.stop() == 0
