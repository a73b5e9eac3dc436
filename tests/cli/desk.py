"""A site at which things are entered, and what the tests of `qushui enter` look at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.store.book_reader import BookReader

Say = Callable[..., tuple[int, str, str]]

AGENT = """station: {{id: pumphouse-12, timezone: Asia/Shanghai}}
store: {{path: {state}/qushui.db, free_disk: 1MB}}
clock: {{trust: host}}
lines:
  rs485-1: {{port: {state}/nowhere, baud: 9600}}
meters:
  main-flow: {{line: rs485-1, profile: tuf2000, address: "1", poll: 60s}}
  pump-kwh: {{line: rs485-1, profile: dlt645-2007-single, address: "000000000012", poll: 60s}}
  old-well: {{manual: [volume_forward]}}
intakes:
  well-3: {{code: "430281W0007", water: {{meter: main-flow, digits: 6}}}}
  well-4: {{code: "430281W0008", water: {{meter: old-well}}}}
"""
READING = ("enter", "reading", "old-well", "volume_forward")
REPLACEMENT = ("enter", "replacement", "pump-kwh", "--quantity", "energy_import")


def days_ago(days: int, hour: int = 8) -> str:
    day = SystemClock("host").now() - timedelta(days=days)
    return f"{day:%Y-%m-%d} {hour:02}:00"


def ms_of(text: str) -> int:
    return round(datetime.fromisoformat(f"{text}:00+08:00").timestamp() * 1000)


def ledger(here: Path) -> list[Any]:
    with closing(BookReader(here / "state" / "qushui.db")) as book:
        return book.ledger()


def round_at(here: Path, meter: str, at_ms: int) -> Any:
    with closing(BookReader(here / "state" / "qushui.db")) as book:
        return book.at(meter, at_ms)
