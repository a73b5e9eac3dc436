"""What the store writes to disk and keeps on it: `python bench/store_bytes.py [DIRECTORY]`.

Counts what the kernel charges this process for dirtied pages (`write_bytes` of /proc/self/io, 4 kB granularity), so the
directory must be on a real disk, not on tmpfs. Time is simulated: a run takes seconds.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event
from zoneinfo import ZoneInfo

import structlog

from agent.bookkeeping import intake_of
from agent.intakes.settings import IntakeSettings, WaterSource
from agent.model import Layout, Round
from agent.rules.faults import fault_of
from agent.store import cursors
from agent.store.reader import Reader
from agent.store.store import Store

YEAR_S = 365 * 86_400
RAW_HEAD_BYTES = 5  # unit, function, count, check sum; then a register a value


class SimulatedClock:
    """Time that passes when told."""

    boot_id = "00000000-0000-4000-8000-000000000000"
    source = "host"
    synced = True
    offset_ms = 1_790_000_000_000

    def __init__(self) -> None:
        self.s = 1000.0

    def monotonic(self) -> float:
        return self.s

    def boot_ms(self, monotonic_s: float | None = None) -> int:
        return round((self.s if monotonic_s is None else monotonic_s) * 1000)

    def now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.boot_ms() + self.offset_ms)

    def wait(self, stop: Event, seconds: float) -> bool:
        self.s += seconds
        return stop.is_set()

    def pause(self, seconds: float) -> None:
        self.s += seconds


class Plant:
    """Meters whose totals grow and whose other values move."""

    def __init__(self, meters: int, values: int, period_s: float) -> None:
        self.random = random.Random(1)
        self.layouts = [
            Layout(
                meter=f"meter-{number:02}",
                profile="bench",
                version="01234567",
                protocol="modbus",
                address=str(number + 1),
                quantities=("volume_forward", *(f"q{each}" for each in range(values - 1))),
                flags=(),
                period_ms=round(period_s * 1000),
                requests=(bytes(8),),
            )
            for number in range(meters)
        ]
        self.totals = [Decimal(self.random.randrange(10**8)).scaleb(-2) for _ in self.layouts]

    def round_of(self, number: int, boot_ms: int) -> Round:
        layout = self.layouts[number]
        self.totals[number] += Decimal(self.random.randrange(500)).scaleb(-2)
        others = [Decimal(self.random.randrange(100, 50_000)).scaleb(-2) for _ in layout.quantities[1:]]
        raw = self.random.randbytes(RAW_HEAD_BYTES + 2 * len(layout.quantities))
        return Round(layout=layout, boot_ms=boot_ms, values=(self.totals[number], *others), quality={}, raw=(raw,))


def settings_of(layout: Layout) -> IntakeSettings:
    """An intake whose water is what this meter counts."""
    return IntakeSettings(
        name=f"intake-{layout.meter}",
        code="4302810001",
        title=layout.meter,
        zone=ZoneInfo("Asia/Shanghai"),
        water=(WaterSource(meter=layout.meter, step_m3=Decimal("0.01")),),
    ).hearing({layout.meter: layout.period_ms})


def written() -> int:
    """Bytes this process dirtied so far."""
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise RuntimeError("no write_bytes in /proc/self/io")


def live(
    directory: Path, *, meters: int, values: int, commits: int, period_s: float, keep_s: float, intakes: int = 0
) -> dict[str, float]:
    """Commits of one round of each meter every `period_s`, a cursor with each, purge after `keep_s`.

    The first `intakes` meters each measure the water of an intake.
    """
    clock = SimulatedClock()
    path = directory / f"live-{meters}-{values}-{keep_s}-{intakes}.db"
    store = Store(path, clock=clock, log=structlog.get_logger(), keep_s=keep_s, max_bytes=1 << 40, free_bytes=0)
    plant = Plant(meters, values, period_s)
    store.open()
    store.date_boot(clock.offset_ms, "host")
    owed = store.begin_cursor("cloud")
    if intakes:
        store.keep_books([intake_of(settings_of(layout)) for layout in plant.layouts[:intakes]], fault_of=fault_of)
    began_s = time.process_time()
    before = written()
    for _ in range(commits):
        clock.s += period_s
        for number in range(meters):
            store.append(plant.round_of(number, clock.boot_ms()))
        owed = store.keep_cursor("cloud", cursors.subtract(owed, 1, store.committed))
        store.commit()
    running = written() - before
    cpu_s = time.process_time() - began_s
    store.close()
    rows = meters * commits
    held = Reader(path).counts().rounds
    return {
        "rows": rows,
        "rows_kept": held,
        "cpu_ms_per_row": round(1000 * cpu_s / rows, 3),
        "bytes_per_row": round(running / rows, 1),
        "bytes_per_value": round(running / rows / values, 2),
        "bytes_per_value_with_last_checkpoint": round((written() - before) / rows / values, 2),
        "file_bytes_per_row_kept": round(path.stat().st_size / held, 1),
    }


def main() -> None:
    """Prints one JSON object."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else ".") as name:
        directory = Path(name)
        burst = live(directory, meters=50, values=20, commits=30, period_s=1, keep_s=YEAR_S)
        long_burst = live(directory, meters=50, values=20, commits=1000, period_s=1, keep_s=300)
        station = live(directory, meters=20, values=7, commits=3000, period_s=60, keep_s=86_400)
        archive = live(directory, meters=20, values=7, commits=3000, period_s=300, keep_s=YEAR_S)
        water = live(directory, meters=20, values=7, commits=1000, period_s=300, keep_s=YEAR_S, intakes=20)
    year_rows = 20 * YEAR_S // 300
    result = {
        "50 meters x 20 values each second, 30 s": burst,
        "the same, 1000 s, purge after 300 s": long_burst,
        "20 meters x 7 values each 60 s, purge after a day": station,
        "20 meters x 7 values each 300 s, kept": archive,
        "the same, 1000 times, each meter an intake's": water,
        "a year of it without intakes, MB": round(year_rows * archive["file_bytes_per_row_kept"] / 1e6),
        "took_s": round(time.monotonic() - started, 1),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
