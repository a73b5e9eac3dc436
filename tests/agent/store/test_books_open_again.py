"""Hours that were closed and, with what was declared later, are not: nothing is reported of them until they close."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agent.closings_check import altered_closings
from agent.intakes.outcome import OPEN
from agent.model import INTAKE, StoredRound
from agent.revising import revised_hours, revision_of
from agent.store.book_reader import BookReader
from agent.store.reader import Reader
from tests.agent.intakes.rounds import START, STEP, coefficient, heard, replacement, withdrawal
from tests.agent.store.test_books_property import Station

HOUR_MS = 12 * STEP
CHANGED_MS = START + 3 * HOUR_MS + 7
ROUNDS = 30 * 12  # a midnight lies among them
TOO_HIGH = replacement(20, "pump-kwh", CHANGED_MS, None, "900000")
"""What the new meter showed, with a digit too many: whatever it shows later has fallen."""


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """A station that converts a kWh every five minutes; its hours are closed."""
    found = Station(tmp_path, is_dated=True)
    found.declare(coefficient(1))
    for number in range(ROUNDS):
        found.take(heard(number, "pump-kwh", START + number * STEP, energy_import=str(100 + number)))
    found.settle()
    return found


def closed(station: Station) -> dict[int, str]:
    """What a report would find: the settled totals by hour."""
    book = BookReader(station.site.path)
    found = {row.at_ms: row.body["settled"]["volume"] for row in book.closings("well-3", 0, 1 << 60)}
    book.close()
    return found


def told(station: Station, after: int) -> list[StoredRound]:
    """The readings of closed hours with numbers above `after`."""
    rounds = (each for each in station.site.rounds() if each.layout.protocol == INTAKE and each.number > after)
    return [each for each in rounds if "volume_hour" in each.layout.quantities]


def altered(station: Station) -> list[int]:
    reader = Reader(station.site.path)
    spells = reader.spells()
    reader.close()

    def spell(number: int) -> tuple[int | None, int | None]:
        return next((offset_ms, end) for begin, end, offset_ms in reversed(spells) if begin <= number)

    with closing(sqlite3.connect(station.site.path)) as connection:
        return [each.at_ms for each in altered_closings(connection, spell)]


def test_an_hour_that_no_longer_closes_has_no_volume_until_it_does(station: Station) -> None:
    before, last = closed(station), station.store.committed
    station.declare(TOO_HIGH)
    station.settle()
    left, gone = closed(station), sorted(at_ms for at_ms in before if at_ms > CHANGED_MS)
    assert gone
    assert left == {at_ms: total for at_ms, total in before.items() if at_ms <= CHANGED_MS}
    readings = told(station, last)
    assert [each.at_ms for each in readings] == gone
    assert all(set(each.texts) == {None} for each in readings)
    assert {reason for each in readings for reason in each.quality.values()} == {("REVISED",)}
    assert sum("volume_day" in each.layout.quantities for each in readings) == 1
    assert altered(station) == []

    station.declare(withdrawal(30, TOO_HIGH))
    station.settle()
    assert closed(station) == before
    assert altered(station) == []
    station.site.close()


def test_the_way_back_over_an_open_midnight_begins_before_it(station: Station) -> None:
    before = closed(station)
    station.declare(TOO_HIGH)
    station.settle()
    late = CHANGED_MS + 26 * HOUR_MS
    station.declare(replace(TOO_HIGH, id=21, at_ms=late))
    station.declare(withdrawal(30, TOO_HIGH))
    station.settle()
    assert closed(station) == {at_ms: total for at_ms, total in before.items() if at_ms <= late}
    station.site.close()


def test_after_a_kill_on_the_way_back_the_hours_are_open_again(station: Station) -> None:
    before = closed(station)
    station.declare(TOO_HIGH)
    station.restart(is_kill=True)
    station.settle()
    assert max(closed(station)) < CHANGED_MS < max(before)
    station.site.close()


def test_an_hour_that_somebody_closes_behind_our_back_is_found(station: Station) -> None:
    before = closed(station)
    station.declare(TOO_HIGH)
    station.settle()
    station.site.close()
    last = max(before)
    with closing(sqlite3.connect(station.site.path)) as connection, connection:
        connection.execute("DELETE FROM closing WHERE at_ms = ? AND body = ?", (last, OPEN))
    assert altered(station) == [last]


def test_a_reading_of_an_open_hour_leads_to_the_declaration_that_opened_it(station: Station) -> None:
    hour = max(closed(station))
    told_first = next(each for each in told(station, 0) if each.at_ms == hour)
    station.declare(TOO_HIGH)
    station.settle()
    book = BookReader(station.site.path)
    (row,) = revised_hours(book, told_first)
    revision = revision_of(book, "well-3", row)
    assert revision is not None
    assert [(each.kind, each.subject) for each in revision.because] == [("replacement", "pump-kwh")]
    assert revision.earlier == (Decimal(told_first.texts[0]),)
    book.close()
    station.site.close()
