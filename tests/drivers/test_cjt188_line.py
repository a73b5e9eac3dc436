"""CJ/T 188 from end to end: `qushui-sim meters` on a pseudo-terminal at 2400 8E1, the real poller on the other side."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from agent import config
from agent.clock import SystemClock
from agent.poll import Poller
from agent.wiring import make_line, make_meters
from drivers.registry import DRIVERS
from tests.agent.line.bus import Sink
from tests.fakes import KeptFaults, QuietLog

COLD, HOT, WRONG = "00000805000001", "00001234567893", "00000805000002"


@contextmanager
def simulated(directory: Path, meters: str) -> Iterator[Path]:
    """The command itself serves `meters` on the pseudo-terminal it makes at the path given."""
    path = directory / "bus"
    file = directory / "meters.yaml"
    file.write_text(f"lines: {{bus: {{pty: {path}, strict: true}}}}\nmeters:\n{meters}", encoding="utf-8")
    command = [sys.executable, "-m", "simulators", "meters", str(file), "--lang", "en"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if path.exists():
                    break
                assert process.poll() is None, line
            yield path
        finally:
            process.terminate()
            process.communicate(timeout=10)


@contextmanager
def polled(directory: Path, port: Path, meters: str) -> Iterator[tuple[Sink, KeptFaults]]:
    file = directory / "agent.yaml"
    text = f"station: {{id: t}}\nlines: {{bus: {{port: {port}, timeout: 1s}}}}\nmeters:\n{meters}"
    file.write_text(text, encoding="utf-8")
    settings = config.load(file, drivers=DRIVERS, uplink_settings={})
    sink, faults, clock, stop = Sink(), KeptFaults(), SystemClock("host"), threading.Event()
    line = settings.lines["bus"]
    poller = Poller(
        "bus",
        line=make_line(line, clock=clock),
        meters=make_meters(settings, line),
        sink=sink,
        clock=clock,
        faults=faults,
        log=QuietLog(),
    )
    thread = threading.Thread(target=poller.run, args=(stop, lambda: None), daemon=True)
    thread.start()
    try:
        yield sink, faults
    finally:
        stop.set()
        poller.nudge()
        thread.join(10)


def test_simulated_water_meters_are_polled_at_2400_baud(tmp_path: Path) -> None:
    shown = '{volume_forward: "123456.78", status: [valve_closed, battery_low]}'
    far = f"""
  cold: {{line: bus, profile: cjt188-cold-2018, address: "{COLD}", values: {shown}}}
  hot: {{line: bus, profile: cjt188-hot-2004, address: "{HOT}", values: {{volume_forward: "2000000.5"}}}}
"""
    near = f"""
  cold: {{line: bus, profile: cjt188-cold-2018, address: "{COLD}", poll: 1s}}
  hot: {{line: bus, profile: cjt188-hot-2004, address: "{HOT}", poll: 1s}}
"""
    with simulated(tmp_path, far) as port, polled(tmp_path, port, near) as (sink, faults):
        sink.reached(lambda: len(sink.of("cold")) >= 3 and len(sink.of("hot")) >= 3)
        cold, hot = sink.of("cold"), sink.of("hot")
    assert {found.values for found in cold} == {(Decimal("123456.78"), frozenset({"valve_closed", "battery_low"}))}
    assert {found.values for found in hot} == {(Decimal("2000000.5"), frozenset())}  # counted in 10 m3
    assert not any(found.quality for found in cold + hot)
    assert faults.edges == []


REASONS = {
    "all_ones": "NOT_AVAILABLE",
    "not_bcd": "NOT_BCD",
    "wrong_crc": "BAD_CHECKSUM",
    "wrong_address": "WRONG_ADDRESS",
    "wrong_function": "MALFORMED",
    "exception": "REFUSED",
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_meter_that_has_no_sound_total_gives_a_reason_and_no_number(kind: str, tmp_path: Path) -> None:
    values = '{volume_forward: "12.34"}'
    far = f"""
  cold: {{line: bus, profile: cjt188-cold-2004, address: "{COLD}", values: {values}, mischief: [{{kind: {kind}}}]}}
"""
    near = f'\n  cold: {{line: bus, profile: cjt188-water, address: "{COLD}", poll: 1s}}\n'
    with simulated(tmp_path, far) as port, polled(tmp_path, port, near) as (sink, _):
        sink.reached(lambda: len(sink.rounds) >= 1)
        (first, *_) = sink.rounds
    assert first.values[0] is None
    assert first.quality["volume_forward"] == (REASONS[kind],)


def test_another_address_on_the_line_answers_nothing(tmp_path: Path) -> None:
    far = f'\n  cold: {{line: bus, profile: cjt188-cold-2004, address: "{COLD}"}}\n'
    near = f'\n  cold: {{line: bus, profile: cjt188-cold-2004, address: "{WRONG}", poll: 1s}}\n'
    with simulated(tmp_path, far) as port, polled(tmp_path, port, near) as (sink, _):
        sink.reached(lambda: len(sink.rounds) >= 1)
    assert sink.rounds[0].quality["volume_forward"] == ("NO_REPLY",)
