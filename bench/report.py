"""Rows of the quarterly report: ten years of 20 intakes behind it, its time and memory in a process of its own.

With FULL=1 everything that ten years leave behind is written: a closing an hour and intake, with a state at each
midnight and a body as long as an account's, and 21 million rounds of five minutes (some minutes and 4 GB). Else the
years before the last have closings at midnight only, and no rounds: what a report reads is the same. SQLite itself
makes the rows, since only their number and size matter here.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from agent.model import Layout, Round
from agent.store.store import Store
from bench.figures import Bench, Figure
from tests.fakes import FakeClock, QuietLog

INTAKES, YEARS = 20, 10
HOUR_MS, STEP_MS = 3_600_000, 300_000
BEGIN_MS = int(datetime(2015, 12, 31, 16, tzinfo=UTC).timestamp() * 1000)  # 2016-01-01 in Shanghai
END_MS = int(datetime(2025, 12, 31, 16, tzinfo=UTC).timestamp() * 1000)
QUARTER = "2025Q3"
_SUMS = ("own", "drift", "model", "meter", "ct", "volumes", "energies", "metered", "used")
_STATE_BYTES = 2500  # what an account remembers

# The figures of hour H of an intake: 2 m³ an hour, 1 kWh a hour.
_CLOSINGS = """
WITH RECURSIVE hour(h) AS (SELECT 1 UNION ALL SELECT h + 1 FROM hour WHERE h < :hours)
INSERT INTO closing SELECT :intake, :begin + h * 3600000, 1, h * 12 * :intakes,
  replace(replace(replace(:body, '#V', 2 * h || '.000000'), '#E', h || '.000000'), '#N', 12 * h),
  CASE WHEN h % 24 = 0 THEN :state END FROM hour WHERE h % 24 = 0 OR h > :hourly
"""
_ROUNDS = """
WITH RECURSIVE step(s) AS (SELECT :first UNION ALL SELECT s + 1 FROM step WHERE s < :last)
INSERT INTO round SELECT s, :layout + s % :intakes, (s / :intakes) * 300000, x'1234D5678F', NULL,
  x'09020404447a4d9acdee' FROM step
"""


def quarter(bench: Bench) -> list[Figure]:
    """Writes the database, then makes the report of one quarter from it."""
    directory = bench.site("report")
    began_s = time.monotonic()
    rounds = _write(directory, is_full=bench.full)
    wrote_s = time.monotonic() - began_s
    size_mb = (directory / "qushui.db").stat().st_size / 1e6
    files, took_s, peak_mb = _measured(directory)
    _, idle_s, idle_mb = _measured(directory, "--help")
    more = {"written_s": wrote_s, "database_mb": size_mb, "rounds": rounds, "files": files,
            "help_s": idle_s, "help_mb": idle_mb}  # fmt: skip
    behind = f"{INTAKES} intakes, {YEARS} years, {rounds} rounds, {size_mb:.0f} MB"
    return [
        Figure(name="report-time", title="quarterly report: CSV, XLSX, vouchers", unit="s", target="≤ 10",
               qushui=took_s, note=behind, more=more),
        Figure(name="report-memory", title="the same: largest resident memory", unit="MB", target="≤ 150",
               qushui=peak_mb, note=f"the command without any work: {idle_mb:.0f} MB"),
    ]  # fmt: skip


def _write(directory: Path, *, is_full: bool) -> int:
    """The station's database and configuration; gives how many rounds it holds."""
    path = directory / "qushui.db"
    store = Store(path, clock=FakeClock(boot_s=0.0, offset_ms=BEGIN_MS), log=QuietLog(), keep_s=10**10,
                  max_bytes=1 << 40, free_bytes=0)  # fmt: skip
    store.open()
    store.date_boot(BEGIN_MS, "host")
    for place in range(INTAKES):
        store.append(Round(layout=_layout(place), boot_ms=0, values=(None,), quality={}, raw=(b"",)))
    store.commit(every=True)
    store.close()
    (directory / "agent.yaml").write_text(_config(path), encoding="utf-8")
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        hours = (END_MS - BEGIN_MS) // HOUR_MS
        common = {"begin": BEGIN_MS, "hours": hours, "hourly": 0 if is_full else hours - 366 * 24, "intakes": INTAKES,
                  "state": "s" * _STATE_BYTES}  # fmt: skip
        for place in range(INTAKES):
            given = {"intake": f"well-{place}", "body": _body(place)}
            connection.execute(_CLOSINGS, {**common, **given})
        total = (END_MS - BEGIN_MS) // STEP_MS * INTAKES if is_full else 0
        if total:
            (layout,) = connection.execute("SELECT min(id) FROM layout").fetchone()
            given = {"first": INTAKES + 1, "last": total, "layout": layout, "intakes": INTAKES}
            connection.execute(_ROUNDS, given)
        connection.execute("COMMIT")
    connection.close()
    return max(INTAKES, total)


def _layout(place: int) -> Layout:
    return Layout(
        meter=f"flow-{place}", profile="tuf2000", version="0123abcd", protocol="modbus", address="1",
        quantities=("volume_forward",), flags=(), period_ms=STEP_MS, requests=(b"\x01\x03\x00\x08\x00\x04\xc5\xcb",),
    )  # fmt: skip


def _config(path: Path) -> str:
    meters = "".join(
        f'  flow-{place}: {{line: bus-{place}, profile: tuf2000, address: "1", poll: 5m}}\n' for place in range(INTAKES)
    )
    lines = "".join(f'  bus-{place}: {{tcp: "127.0.0.1:{5000 + place}"}}\n' for place in range(INTAKES))
    intakes = "".join(
        f'  well-{place}: {{code: "43028100{place:02}", permit: {{number: D{place}, annual_m3: 20000}}, '
        f"water: {{meter: flow-{place}}}}}\n"
        for place in range(INTAKES)
    )
    head = "station: {id: bench, name: bench, timezone: Asia/Shanghai}\nclock: {trust: host}\n"
    return f"{head}store: {{path: {path}}}\nlines:\n{lines}meters:\n{meters}intakes:\n{intakes}"


def _body(place: int) -> str:
    """A closing's text with #V, #E and #N for its volume, energy and counts."""
    end = {"number": 1, "id": "9f3c2a71-184467", "at_ms": BEGIN_MS, "volume": "#V"}
    shown = {"id": "9f3c2a71-184467", "at_ms": BEGIN_MS, "register": "#V"}
    tally = {group: {f"flow-{place}#0": "#E"} for group in _SUMS} | {"steps": {f"flow-{place}#0": "0.000408248"}}
    body = {
        "form": 1, "before": end, "after": end,
        "settled": {"volume": "#V", "method": "read", "offset_ms": 0, "bracket_ms": 0, "doubt": "0.000000"},
        "registers": {f"flow-{place}": {"before": shown, "after": shown}},
        "tally": tally,
        "counts": {"expected": 0, "good": 0, "runs": 0, "run_h": "#E", "swaps": 0, "rollovers": 0, "gaps": 0,
                   "flags": {"GAP": 1}, "qc": {"1": 0}},
    }  # fmt: skip
    text = json.dumps(body, separators=(",", ":"), sort_keys=True)
    for name in ("expected", "good"):
        text = text.replace(f'"{name}":0', f'"{name}":#N')
    return text.replace('"1":0', '"1":#N')


def _measured(directory: Path, *words: str) -> tuple[int, float, float]:
    """Files, seconds and peak MB of `qushui report quarter` in a process of its own."""
    out = directory / "out"
    command = [sys.executable, "-m", "agent.cli", "report", "quarter", QUARTER, "-c", str(directory / "agent.yaml"),
               "--out", str(out), *words]  # fmt: skip
    began_s = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    took_s = time.monotonic() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    complaint = process.stderr.read().decode() if process.stderr else ""
    if process.returncode:
        raise RuntimeError(f"qushui report ended with {process.returncode}: {complaint}")
    return len(list(out.iterdir())) if out.exists() else 0, took_s, usage.ru_maxrss / 1024
