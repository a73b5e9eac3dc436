"""`qushui report` of periods that have not begun, or that no data lie in."""

from __future__ import annotations

import sqlite3

import pytest

from agent.cli import report as verb
from agent.entering import Wrong
from tests.bookkept import Books
from tests.cli.test_report import books, kept, qushui
from tests.fakes import FakeClock

__all__ = ["books", "kept"]  # the fixtures


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        (("quarter", "2027Q1"), 2, ["2027-01-01", "2026-10-06", "qushui report quarter 2026Q4"]),
        (("monthly", "2026-11"), 2, ["2026-11-01", "2026-10-06", "qushui report monthly 2026-10"]),
        (("daily", "2026-10-07"), 2, ["2026-10-07", "2026-10-06", "qushui report daily 2026-10-06"]),
        (("quarter", "2026Q1"), 1, ["2026-06-28 01:00", "qushui report quarter 2026Q2"]),
        (("monthly", "2026-05"), 1, ["2026-06-28 01:00", "qushui report monthly 2026-06"]),
        (("daily", "2026-06-27"), 1, ["2026-06-28 01:00", "qushui report daily 2026-06-28"]),
        (("daily", "2026-10-05"), 1, ["2026-10-01 23:00", "2026-10-06", "qushui report daily 2026-10-01"]),
    ],
)
def test_a_period_without_figures_is_refused_with_the_date_that_explains_it_and_the_one_that_has_some(
    books: Books, words: tuple[str, ...], status: int, named: list[str], capsys
) -> None:
    none = books.path.with_name("none")
    assert qushui(books, *words, "--out", str(none)) == status
    said = capsys.readouterr()
    text = " ".join(said.err.split())
    assert said.out == ""
    assert [each for each in (words[1], *named) if each not in text] == []
    assert not none.exists()
    assert qushui(books, *named[-1].split()[2:]) < 2, "what the refusal advises is a period"


def test_a_quarter_that_has_not_begun_is_not_frozen_for_any_reason(books: Books) -> None:
    assert qushui(books, "quarter", "2027Q1", "--freeze", "--now", "--reason", "x", "--who", "Li Wei") == 2
    assert books.rows("SELECT 1 FROM ledger WHERE kind = 'frozen'") == []


def test_a_station_that_closed_no_hour_yet_says_so(books: Books, capsys) -> None:
    connection = sqlite3.connect(books.path)
    connection.execute("DELETE FROM closing")
    connection.commit()
    connection.close()
    assert qushui(books, "quarter", "2026Q3") == 1
    assert "no full hour was closed yet" in " ".join(capsys.readouterr().err.split())


def test_with_a_clock_that_nobody_set_the_data_say_which_periods_there_are(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody_knows(*_: object) -> int:
        raise Wrong("clock")

    monkeypatch.setattr(verb, "time_of", nobody_knows)
    monkeypatch.setattr(verb, "SystemClock", lambda _: FakeClock(offset_ms=0))
    assert qushui(books, "quarter", "2026Q3") == 0
