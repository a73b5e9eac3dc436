"""A store in a directory of its own, with time moved by hand, and rounds to put into it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from agent.model import Layout, QualityMap, Round, StoredRound, Value
from agent.store.reader import Reader
from agent.store.store import Store
from tests.fakes import FakeClock, QuietLog

DAY_S = 86_400
ROOMY = {"keep_s": 800 * DAY_S, "max_bytes": 4 << 30, "free_bytes": 0}


def layout_of(meter: str = "main-flow", quantities: tuple[str, ...] = ("volume_forward", "flow_rate")) -> Layout:
    return Layout(
        meter=meter,
        profile="tuf2000",
        version="0123abcd",
        protocol="modbus",
        address="1",
        quantities=quantities,
        flags=(),
        period_ms=60_000,
        requests=(b"\x01\x03\x00\x08\x00\x04\xc5\xcb",),
    )


LAYOUT = layout_of()


def round_of(number: int, *, layout: Layout = LAYOUT, boot_ms: int | None = None, quality: QualityMap | None = None):
    values: tuple[Value, ...] = (Decimal(number).scaleb(-2), Decimal("-1.5"))[: len(layout.quantities)]
    return Round(
        layout=layout,
        boot_ms=1000 * number if boot_ms is None else boot_ms,
        values=values,
        quality=quality or {},
        raw=(number.to_bytes(4),),
    )


class Site:
    """One database file and the stores and readers that a test opens on it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "qushui.db"
        self.clock = FakeClock()
        self.log = QuietLog()
        self._stores: list[Store] = []
        self._readers: list[Reader] = []

    def open(self, clock: FakeClock | None = None, **settings: float) -> Store:
        store = Store(self.path, clock=clock or self.clock, log=self.log, **{**ROOMY, **settings})
        store.open()
        self._stores.append(store)
        return store

    def kill(self) -> None:
        """Leaves the files as they are on disk now, as `kill -9` would; the store of before is gone."""
        copy = self.path.parent / "copy"
        copy.mkdir()
        there = [suffix for suffix in ("", "-wal", ".totals") if Path(f"{self.path}{suffix}").exists()]
        for suffix in there:
            shutil.copy(f"{self.path}{suffix}", copy)
        self.close()
        Path(f"{self.path}.totals").unlink(missing_ok=True)
        for suffix in there:
            shutil.copy(copy / f"{self.path.name}{suffix}", f"{self.path}{suffix}")
        shutil.rmtree(copy)

    def reader(self, on_damage: Callable[[], None] | None = None) -> Reader:
        reader = Reader(self.path, on_damage=on_damage)
        self._readers.append(reader)
        return reader

    def rounds(self) -> list[StoredRound]:
        return self.reader().rounds(1, 1 << 40, limit=1 << 30)

    def numbers(self) -> list[int]:
        return [each.number for each in self.rounds()]

    def sql(self, query: str) -> list[tuple]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def events(self, name: str) -> list[dict[str, object]]:
        return [keys for event, keys in self.log.events if event == name]

    def close(self) -> None:
        for each in (*self._readers, *self._stores):
            each.close()
        self._stores.clear()
        self._readers.clear()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def fill(store: Store, count: int, *, layout: Layout = LAYOUT, commit: int = 500) -> None:
    """Appends and commits rounds, whose first value is their number in hundredths."""
    for _ in range(count):
        number = store._waiting.next
        store.append(round_of(number, layout=layout))
        if number % commit == 0:
            store.commit()
    store.commit()
