"""What this board can do, measured on the spot: disk, timers, a serial line, clock, space, serial ports.

Strategy: each measurement takes a few seconds at most and gives a `Finding`: numbers with their units, and a judgement
against the limits below. The serial line is our own line over a pseudo-terminal; a thread at its other end is the
meter, paced like a wire of 9600 baud, and measures the silence it is given.
"""

from __future__ import annotations

import os
import select
import statistics
import tempfile
import threading
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import serial.tools.list_ports

from agent.clock import Clock, kernel_is_synchronised
from agent.line.line import Line
from agent.line.patience import Delay
from agent.line.ports import SerialPort, WireSettings, lock_holder
from drivers.contract import Ask, Driver, WireCost

_SYNCS = 60
_SYNCS_MOST_S = 3.0
_SYNC_BYTES = 4096
_PAUSES = 200
_PAUSE_S = 0.002
_EXCHANGES = 40
_REGISTERS = 10
_TURNAROUND_S = 0.005
_WIRE = WireSettings(baud=9600)
_PARTS_PER_HUNDRED = 100

_SYNC_GOOD_MS, _SYNC_FAIR_MS = 50.0, 250.0  # cards sync in 5 to 200 ms; rounds are committed once a second
_TIMER_GOOD_MS, _TIMER_FAIR_MS = 1.0, 5.0  # a character at 9600 baud lasts 1 ms
_USE_GOOD, _USE_FAIR = 95.0, 90.0
_FREE_GOOD, _FREE_FAIR = 2 * 10**9, 5 * 10**8  # store.free_disk is 500 MB unless configured


class Judgement(StrEnum):
    """Whether a finding is as it should be."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one measurement gave; `values` are numbers and words by name, the unit at the name's end."""

    name: str
    judgement: Judgement
    values: dict[str, float | int | str | bool]


def measure_disk(directory: Path, clock: Clock) -> Finding:
    """How long a write of 4 kB takes until it is on the disk. Raises OSError when nothing can be written there."""
    took_ms: list[float] = []
    with tempfile.TemporaryFile(dir=directory) as file:
        end_s = clock.monotonic() + _SYNCS_MOST_S
        while len(took_ms) < _SYNCS and clock.monotonic() < end_s:
            began_s = clock.monotonic()
            os.pwrite(file.fileno(), b"\xa5" * _SYNC_BYTES, len(took_ms) * _SYNC_BYTES)
            os.fdatasync(file.fileno())
            took_ms.append((clock.monotonic() - began_s) * 1000)
    median_ms = statistics.median(took_ms)
    return Finding(
        name="disk",
        judgement=_at_most(median_ms, _SYNC_GOOD_MS, _SYNC_FAIR_MS),
        values={"path": str(directory), "median_ms": round(median_ms, 2), "p99_ms": round(_p99(took_ms), 2)},
    )


def measure_timer(clock: Clock) -> Finding:
    """How much later than asked a short pause ends."""
    late_ms: list[float] = []
    for _ in range(_PAUSES):
        began_s = clock.monotonic()
        clock.pause(_PAUSE_S)
        late_ms.append((clock.monotonic() - began_s - _PAUSE_S) * 1000)
    return Finding(
        name="timer",
        judgement=_at_most(_p99(late_ms), _TIMER_GOOD_MS, _TIMER_FAIR_MS),
        values={"median_ms": round(statistics.median(late_ms), 3), "p99_ms": round(_p99(late_ms), 3)},
    )


def measure_line(make_driver: Callable[..., Driver], clock: Clock) -> tuple[Finding, Finding]:
    """The silence kept between frames, and how much of the wire's time is used, at 9600 baud."""
    driver = make_driver(framing="rtu", cost=WireCost())
    items = [driver.item({"table": "holding", "register": at, "type": "u16"}) for at in range(_REGISTERS)]
    ask: Ask = driver.plan("1", [items], {})[0]
    master, slave = os.openpty()
    tty.setraw(slave)
    meter = _PacedMeter(master, driver, ask, clock)
    line = Line(SerialPort(os.ttyname(slave)), clock=clock)
    answering = threading.Thread(target=meter.run, name="selftest:meter", daemon=True)
    answering.start()
    try:
        line.open()
        delay = Delay()
        answered = sum(line.transact(ask.begin(at), _WIRE, delay).reply is not None for at in range(_EXCHANGES))
    finally:
        meter.stop.set()
        answering.join()
        line.close()
        os.close(slave)
        os.close(master)
    return _silence(meter), _use(meter, ask, answered)


def _silence(meter: _PacedMeter) -> Finding:
    due_ms = _WIRE.silence_s * 1000
    kept_ms = min(meter.silences_ms, default=0.0)
    return Finding(
        name="silence",
        judgement=Judgement.GOOD if kept_ms >= due_ms else Judgement.POOR,
        values={
            "due_ms": round(due_ms, 2),
            "least_ms": round(kept_ms, 2),
            "median_ms": round(statistics.median(meter.silences_ms or [0.0]), 2),
        },
    )


def _use(meter: _PacedMeter, ask: Ask, answered: int) -> Finding:
    shortest_s = (ask.request_size + ask.reply_size) * _WIRE.character_s + _TURNAROUND_S + _WIRE.silence_s
    took_s = statistics.mean(meter.cycles_s) if meter.cycles_s else float("inf")
    use = _PARTS_PER_HUNDRED * shortest_s / took_s
    judgement = Judgement.GOOD if use >= _USE_GOOD else Judgement.FAIR if use >= _USE_FAIR else Judgement.POOR
    return Finding(
        name="use",
        judgement=judgement if answered == _EXCHANGES else Judgement.POOR,
        values={"use_percent": round(use, 1), "asked": _EXCHANGES, "answered": answered},
    )


def look_at_clock(clock: Clock) -> Finding:
    """Whether this board knows the time by itself."""
    synchronised = kernel_is_synchronised()
    has_rtc = any(Path("/sys/class/rtc").glob("rtc*"))
    return Finding(
        name="clock",
        judgement=Judgement.GOOD if synchronised else Judgement.FAIR,  # not knowing it is the normal case
        values={"now": clock.now().isoformat(timespec="seconds"), "ntp": synchronised, "rtc": has_rtc},
    )


def look_at_space(directory: Path) -> Finding:
    """How much room there is for readings."""
    disk = os.statvfs(directory)
    free = disk.f_bavail * disk.f_frsize
    judgement = Judgement.GOOD if free >= _FREE_GOOD else Judgement.FAIR if free >= _FREE_FAIR else Judgement.POOR
    return Finding(name="space", judgement=judgement, values={"path": str(directory), "free_bytes": free})


def look_at_ports() -> list[Finding]:
    """The serial ports, who holds them, and whether this user may open them."""
    found = []
    for port in sorted(serial.tools.list_ports.comports()):
        may_open = os.access(port.device, os.R_OK | os.W_OK)
        timer_ms = _latency_timer_ms(port.device)
        is_slow = timer_ms > 1
        judgement = Judgement.POOR if not may_open else Judgement.FAIR if is_slow else Judgement.GOOD
        values: dict[str, float | int | str | bool] = {
            "port": stable_name(port.device),
            "device": port.device,
            "title": port.description or "",
            "may_open": may_open,
            "holder": lock_holder(port.device),
            "latency_timer_ms": timer_ms,
        }
        found.append(Finding(name="port", judgement=judgement, values=values))
    return found


def stable_name(device: str) -> str:
    """The name of a serial port that stays the same when adapters change sockets; `device` where it has none."""
    with suppress(OSError):
        for link in sorted(Path("/dev/serial/by-id").iterdir()):
            if link.resolve() == Path(device).resolve():
                return str(link)
    return device


class _PacedMeter:
    """A meter at the far end of a pseudo-terminal: takes and gives one character per character time."""

    def __init__(self, descriptor: int, driver: Driver, ask: Ask, clock: Clock) -> None:
        self._descriptor = descriptor
        self._reply = driver.answer(
            ask.begin(0).request, {"1": {"holding": {register: register for register in range(_REGISTERS)}}}
        )
        self._request_size = ask.request_size
        self._clock = clock
        self.stop = threading.Event()
        self.silences_ms: list[float] = []
        self.cycles_s: list[float] = []

    def run(self) -> None:
        """Answers until `stop`."""
        heard_s = quiet_s = 0.0
        received = 0
        while not self.stop.is_set():
            if not select.select([self._descriptor], [], [], 0.1)[0]:
                continue
            now_s = self._clock.monotonic()
            if not received and quiet_s:
                self.silences_ms.append((now_s - quiet_s) * 1000)
                self.cycles_s.append(now_s - heard_s)
            heard_s = heard_s if received else now_s
            received += len(os.read(self._descriptor, 256))
            if received < self._request_size:
                continue
            received = 0
            begin_s = heard_s + self._request_size * _WIRE.character_s + _TURNAROUND_S
            for at, byte in enumerate(self._reply, 1):
                self._clock.pause(begin_s + at * _WIRE.character_s - self._clock.monotonic())
                quiet_s = self._clock.monotonic()  # before the write: the line may answer it before we run again
                os.write(self._descriptor, bytes([byte]))


def _latency_timer_ms(device: str) -> int:
    """How long a USB adapter keeps received bytes back; 0 where it has no such timer."""
    timer = Path("/sys/bus/usb-serial/devices", Path(device).name, "latency_timer")
    try:
        return int(timer.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _at_most(value: float, good: float, fair: float) -> Judgement:
    return Judgement.GOOD if value <= good else Judgement.FAIR if value <= fair else Judgement.POOR


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[max(0, len(values) * 99 // 100 - 1)]
