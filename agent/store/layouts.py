"""The layouts: each is stored once, and a round refers to it by its number."""

from __future__ import annotations

import sqlite3

from agent.model import Layout
from agent.store.packing import layout_of, layout_row
from agent.store.queues import Statement

_WRITE = "INSERT OR REPLACE INTO layout VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Layouts:
    """Numbers of layouts; used under the store's own lock."""

    def __init__(self) -> None:
        self._numbers: dict[Layout, int] = {}
        self._known: dict[int, Layout] = {}
        self._last = 0

    def load(self, connection: sqlite3.Connection) -> dict[int, Layout]:
        """Takes up what a file that was just opened knows, and gives it by number."""
        known = read(connection)
        self._numbers = {layout: number for number, layout in known.items()}
        self._known = dict(known)
        (self._last,) = connection.execute("SELECT ifnull(max(layout), 0) FROM seal").fetchone()  # lost ones too
        return known

    def number(self, layout: Layout, statements: list[Statement]) -> int:
        """The number of a layout; a new one adds its row to `statements`."""
        number = self._numbers.get(layout)
        if number is None:
            number = self._numbers[layout] = max(self._last, *self._numbers.values(), 0) + 1
            self._known[number] = layout
            statements.append((_WRITE, (number, *layout_row(layout))))
        return number

    def known(self, number: int) -> Layout:
        """The layout of a number that was given; from any thread."""
        return self._known[number]

    def restated(self) -> list[Statement]:
        """All rows once more, for a file that replaces a damaged one."""
        return [(_WRITE, (number, *layout_row(layout))) for layout, number in self._numbers.items()]


def read(connection: sqlite3.Connection) -> dict[int, Layout]:
    """All layouts of a file by their number."""
    return {row[0]: layout_of(row[1:]) for row in connection.execute("SELECT * FROM layout")}
