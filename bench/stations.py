"""Rows of the simulated stations: two thousand of them on one simulated platform, each side a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple

from bench.figures import Bench, Figure
from tests.ports import free_port
from tests.system.processes import Process, listens, until

STATIONS, REPORTS = 2000, 3
EVERY_S, FULL_EVERY_S = 20.0, 60.0  # between two reports of a station; they are spread over it
BURST_SPREAD_S = 5.0
LONGEST_S = 600.0


class _Played(NamedTuple):
    """What the stations tell, and what the platform used."""

    told: dict[str, Any]
    platform_mb: float
    platform_cpu_s: float


def stations(bench: Bench) -> list[Figure]:
    """SL 651 spread over an interval as a province's stations are, then SZY206 as fast as each is acknowledged."""
    every_s = FULL_EVERY_S if bench.full else EVERY_S
    paced = _played(bench, "sl651", f"{every_s:g}s", every_s)
    pressed = _played(bench, "szy206", "0", BURST_SPREAD_S)
    calm, burst = paced.told, pressed.told
    lost = [STATIONS * REPORTS - each["acknowledged"] for each in (calm, burst)]
    burst_rate = burst["acknowledged"] * 3 / burst["seconds"]  # SZY206: a frame for each of three kinds of data
    return [
        Figure(name="stations-lost", title=f"{STATIONS} stations on one platform: reports lost", unit="", target="0",
               qushui=sum(lost), note=f"{REPORTS} reports of each station, SL 651 and SZY206"),
        Figure(name="stations-latency", title="the same, SL 651: 99 % acknowledged within", unit="ms", target="≤ 1000",
               qushui=calm["latency_ms"]["p99"], note=f"spread over {every_s:g} s, archive in SQLite",
               more={"p50": calm["latency_ms"]["p50"], "most": calm["latency_ms"]["most"]}),
        Figure(name="stations-rate", title="the same, SZY206 without pauses: frames confirmed", unit="1/s", target="",
               qushui=burst_rate,
               more={"p99_ms": burst["latency_ms"]["p99"], "platform_cpu_s": pressed.platform_cpu_s}),
        Figure(name="stations-memory", title="the platform: resident memory", unit="MB", target="≤ 200",
               qushui=paced.platform_mb,
               more={"cpu_s": paced.platform_cpu_s}),
    ]  # fmt: skip


def _played(bench: Bench, protocol: str, every: str, spread_s: float) -> _Played:
    """Both sides, until the stations are done."""
    directory, port = bench.site(f"stations-{protocol}"), free_port()
    command = [sys.executable, "-m", "simulators", "platform", protocol, "--port", str(port), "--quiet",
               "--store", str(directory / "kept.sqlite")]  # fmt: skip
    platform = Process("platform", command, directory, is_told=True)
    try:
        until(lambda: listens(port), 20, "the platform listens")
        words = [protocol, f"127.0.0.1:{port}", "--stations", str(STATIONS), "--reports", str(REPORTS),
                 "--every", every, "--spread", f"{spread_s:g}s", "--quiet"]  # fmt: skip
        argv = [sys.executable, "-m", "simulators", "station", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        if not done.stdout:
            raise RuntimeError(f"no counts: {done.stderr[-500:]}")
        told: dict[str, Any] = json.loads(done.stdout)
        return _Played(told, platform.resident_mb(), platform.cpu_s())
    finally:
        platform.stop()
