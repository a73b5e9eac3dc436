"""Closings against the sealed readings that told them, over a gap in which the hourly view and the boundary differ."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main
from agent.closings_check import _hash_in
from agent.model import Layout
from agent.store.packing import pack_raw
from agent.store.store import Store
from tests.bookkept import HOUR_MS, Books, ms

GAP = (ms("2026-07-01 09:20"), ms("2026-07-01 14:40"))
INSIDE_MS = ms("2026-07-01 11:00")  # 1 h 40 min behind the last reading, which is nearer than the next one


class Interrupted(Books):
    """A station that was without power for five hours."""

    def _round(self, store: Store, intake: str, form: Layout, at_ms: int) -> None:
        if not GAP[0] <= at_ms < GAP[1]:
            super()._round(store, intake, form, at_ms)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Books:
    directory = tmp_path_factory.mktemp("gap")
    return Interrupted(directory, first=date(2026, 7, 1), end=date(2026, 7, 2), is_accounted=True)


def body_in(path: Path, intake: str) -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT body FROM closing WHERE intake = ? AND at_ms = ?"
        body: dict[str, Any] = json.loads(connection.execute(query, (intake, INSIDE_MS)).fetchone()[0])
    return body


def verified(path: Path, capsys: pytest.CaptureFixture[str]) -> int:
    capsys.readouterr()
    return main(["verify", str(path), "--lang", "en"])


@pytest.mark.parametrize("intake", ["well-3", "canal-1"])
def test_a_gap_is_no_alteration(station: Books, capsys: pytest.CaptureFixture[str], intake: str) -> None:
    body = body_in(station.path, intake)
    assert body["settled"]["method"] == "nearest"
    assert body["view"] != body["settled"]["volume"]
    assert INSIDE_MS - GAP[0] <= 2 * HOUR_MS
    assert verified(station.path, capsys) == 0


@pytest.mark.parametrize("changed", ["energy", "tally", "counts", "registers", "method"])
def test_whatever_else_is_changed_in_a_closing_is_found(
    station: Books, capsys: pytest.CaptureFixture[str], tmp_path: Path, changed: str
) -> None:
    body = body_in(station.path, "well-3")
    match changed:
        case "energy":
            body["settled"]["energy"] = "1.000000"
        case "tally":
            body["tally"]["volumes"] = {"W7@5": "1"}
        case "counts":
            body["counts"]["good"] += 1
        case "registers":
            body["registers"]["pump-kwh"]["before"]["register"] = "1"
        case "method":
            body["settled"]["method"] = "read"
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(station.path)) as source, closing(sqlite3.connect(copy)) as connection:
        source.backup(connection)
        text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert text != json.dumps(body_in(station.path, "well-3"), sort_keys=True, separators=(",", ":"))
        connection.execute("UPDATE closing SET body = ? WHERE intake = ? AND at_ms = ?", (text, "well-3", INSIDE_MS))
        connection.commit()
    assert verified(copy, capsys) == 1
    assert "The closing of an hour is not what" in " ".join(capsys.readouterr().out.split())


def test_a_reading_from_before_closings_had_a_hash_names_none() -> None:
    assert _hash_in(pack_raw((b'{"form":1}', b"7"))) == ""
    assert _hash_in(pack_raw((b'{"closing":"ab"}', b"7"))) == "ab"
    assert _hash_in(pack_raw((b"[]", b"7"))) == _hash_in(pack_raw((b"", b"7"))) == ""


@pytest.mark.parametrize("place", ["settled", "view"])
def test_a_changed_volume_in_a_gap_is_found(
    station: Books, capsys: pytest.CaptureFixture[str], tmp_path: Path, place: str
) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(station.path)) as source, closing(sqlite3.connect(copy)) as connection:
        source.backup(connection)
        body = body_in(station.path, "canal-1")
        if place == "view":
            body["view"] = "1.000000"
        else:
            body["settled"]["volume"] = "1.000000"
        row = (json.dumps(body, sort_keys=True), "canal-1", INSIDE_MS)
        connection.execute("UPDATE closing SET body = ? WHERE intake = ? AND at_ms = ?", row)
        connection.commit()
    assert verified(copy, capsys) == 1
