"""Runs qushui, or the naive script, against the same simulated station and takes the figures of one run."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from tests.system.processes import Meters, Process, Served
from tests.system.station import TWENTY, Site

NAIVE = Path(__file__).with_name("naive.py")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used between two looks."""

    seconds: float
    cpu_s: float
    written_bytes: int
    resident_mb: float


class Watch:
    """Two looks at a process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._began = time.monotonic(), process.cpu_s(), process.written_bytes()

    def usage(self) -> Usage:
        at_s, cpu_s, written = self._began
        process = self._process
        return Usage(
            time.monotonic() - at_s, process.cpu_s() - cpu_s, process.written_bytes() - written, process.resident_mb()
        )


def naive(
    site: Site, period_s: float, *, runs: Sequence[tuple[int, int]] | None = None, port: int | None = None
) -> Process:
    """The naive script on the same meters; `runs` are its reads (first, count) where the profile has gaps."""
    meters = []
    for name, meter in site.meters.items():
        line = site.lines[meter["line"]]
        registers = site.registers[meter["profile"]]
        meters.append(
            [name, line.get("port") or line["tcp"], int(meter["address"]), list(runs or [(0, len(registers))])]
        )
    path = site.directory / "naive.json"
    path.write_text(json.dumps(meters), encoding="utf-8")
    argv: list[str | Path] = [sys.executable, NAIVE, str(port or site.broker_port), "9600", str(period_s), path]
    return site.keep(Process("naive", argv, site.directory))


@contextmanager
def simulated(site: Site) -> Iterator[Meters]:
    """Meters, for one run: a fresh log each time."""
    site.write()
    meters = site.start_meters()
    try:
        yield meters
    finally:
        meters.stop()


def settle(process: Process, seconds: float) -> None:
    """Lets a measurement run; fails when what is measured ends."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if not process.running:
            raise RuntimeError(f"{process.name} ended with {process.child.returncode}:\n{process.text()[-3000:]}")
        time.sleep(min(left, 0.2))


def rate(served: Sequence[Served], since_s: float, until_s: float) -> float:
    """Answers per second between the first and the last one in the window."""
    times = [one.at_s for one in served if since_s <= one.at_s <= until_s]
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 2 else 0.0


def longest_pause_s(served: Sequence[Served], since_s: float, until_s: float) -> float:
    """The longest time without an answered request in the window."""
    times = [since_s, *(one.at_s for one in served if since_s <= one.at_s <= until_s), until_s]
    return max(later - earlier for earlier, later in pairwise(times))


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest-rank percentile; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def middle(values: Sequence[float]) -> float:
    return median(values) if values else math.nan


def lan(directory: Path, meters: int, *, poll: str, values: int, ports: Sequence[int] = ()) -> Site:
    """Meters on TCP lines of their own, served by `qushui-sim` or, on `ports`, by somebody else."""
    site = Site(directory, poll=poll)
    site.profile("bench", {quantity: register for register, quantity in enumerate(TWENTY[:values])})
    for index in range(meters):
        site.tcp(f"lan-{index + 1}", port=ports[index] if ports else None)
        site.meter(f"meter-{index + 1}", f"lan-{index + 1}", "bench", values=dict.fromkeys(TWENTY[:values], "1"))
    return site
