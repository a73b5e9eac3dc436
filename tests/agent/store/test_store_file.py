"""The file itself: who holds it, its versions, its migrations."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from agent.store import database
from agent.store.database import SchemaTooNewError, StoreHeldError, _statements
from agent.store.reader import Reader
from tests.agent.store.conftest import fill, layout_of, round_of
from tests.fakes import FakeClock


def test_a_second_process_is_told_who_holds_the_store(site):
    site.open()
    with pytest.raises(StoreHeldError) as raised:
        site.open()
    assert raised.value.holder.startswith(f"{os.getpid()} ")


def test_a_file_of_a_newer_version_is_left_alone(site):
    store = site.open()
    fill(store, 1)
    store.close()
    ((known,),) = site.sql("PRAGMA user_version")
    site.sql("PRAGMA user_version=9999")
    with pytest.raises(SchemaTooNewError):
        site.open()
    site.sql(f"PRAGMA user_version={known}")
    assert site.open().committed == 1


def test_a_migration_is_applied_once_and_whole(site, monkeypatch, tmp_path):
    store = site.open()
    fill(store, 3)
    store.close()
    better = tmp_path / "9001-better.sql"
    better.write_text("CREATE TABLE better (a INTEGER) STRICT;\nINSERT INTO better VALUES (1); -- one; two\n")
    known = list(database._migrations())
    monkeypatch.setattr(database, "_migrations", lambda: iter([better, *known]))
    site.open().close()
    site.open().close()
    assert site.sql("SELECT a FROM better") == [(1,)]
    assert site.sql("PRAGMA user_version") == [(9001,)]
    broken = tmp_path / "9002-broken.sql"
    broken.write_text("CREATE TABLE half (a INTEGER) STRICT;\nINSERT INTO nowhere VALUES (1);\n")
    monkeypatch.setattr(database, "_migrations", lambda: iter([broken, better, *known]))
    with pytest.raises(Exception, match="nowhere"):
        site.open()
    assert site.sql("SELECT name FROM sqlite_master WHERE name = 'half'") == []
    assert site.sql("PRAGMA user_version") == [(9001,)]
    assert site.numbers() == [1, 2, 3]


def test_a_semicolon_in_a_comment_ends_no_statement():
    script = "-- a; b\nCREATE TABLE a (x INTEGER); -- c; d\nCREATE TABLE b (y INTEGER -- e;\n);\n"
    assert len(list(_statements(script))) == 2


def test_layouts_are_stored_once_whatever_the_number_of_restarts(site):
    for _ in range(3):
        store = site.open()
        fill(store, 2)
        fill(store, 2, layout=layout_of("other"))
        store.close()
    assert len(site.sql("SELECT id FROM layout")) == 2
    assert {each.layout.meter for each in site.rounds()} == {"main-flow", "other"}


def test_the_store_opens_without_reading_its_rows(site):
    clock = FakeClock()
    store = site.open(clock=clock)
    fill(store, 3000)
    store.close()
    store = site.open(clock=clock)
    seen = []
    store._writer._connection.set_trace_callback(seen.append)
    store.append(round_of(1))
    store.commit()
    assert not [each for each in seen if each.startswith("SELECT") and "count(*)" in each]


def test_a_file_that_the_first_start_is_still_making_is_as_good_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "qushui.db"
    with contextlib.closing(sqlite3.connect(path)) as making:
        making.execute("PRAGMA journal_mode = WAL")
    with pytest.raises(FileNotFoundError):
        Reader(path).committed()
