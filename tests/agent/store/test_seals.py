"""The chain: whatever is changed in a file after it was sealed is found, and its place named."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.store import seals
from agent.store.seals import COVERED, HOUR_MS
from agent.verification import Verdict, opened, verify
from tests.agent.store.auditor import audit
from tests.agent.store.conftest import DAY_S, Site, fill, round_of
from tests.fakes import START_MS, FakeClock

COEFFICIENT = {"model": "fixed", "tc": "3.21"}


def verdict_of(path: Path, **arguments) -> Verdict:
    """What the product says; the auditor's own program must say the same of the chain."""
    with opened(path) as connection:
        verdict = verify(connection, **arguments)
    if all(each.table in {"round", "boot", "era", "layout", "ledger"} and each.seal for each in verdict.breaks):
        assert bool(audit(path)) == bool([each for each in verdict.breaks if each.code != "KEPT"])
    return verdict


def sealed(site: Site, count: int = 2400) -> Path:
    """A closed file: rounds in five seals, some with reasons, declarations, two boots, two eras."""
    store = site.open()
    store.date_boot(START_MS, "host")
    store.declare("coefficient", "W7", START_MS, COEFFICIENT, "Li Wei")
    fill(store, count // 2)
    site.close()
    clock = FakeClock()
    clock.boot_id = "00000000-0000-4000-8000-000000000002"
    store = site.open(clock=clock)
    store.date_boot(START_MS + DAY_S * 1000, "ntp")
    for number in range(count // 2 + 1, count + 1):
        quality = {"flow_rate": ("OUT_OF_RANGE",)} if number % 7 == 0 else None
        store.append(round_of(number, quality=quality))
        if number % 500 == 0:
            store.commit()
    store.commit()
    store.declare("frozen", "2026Q3", None, {"report": {"volume": "1234.5"}, "sha256": "00"}, "Wang Fang")
    store.commit()
    site.close()
    return site.path


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    site = Site(tmp_path_factory.mktemp("whole"))
    path = sealed(site)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    connection.close()
    return path


def altered(whole: Path, *statements: tuple) -> Verdict:
    """The verdict on a copy after these statements."""
    path = whole.parent / "altered.db"
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as connection:
        for sql, *parameters in statements:
            assert connection.execute(sql, parameters).rowcount, sql
        connection.commit()
    return verdict_of(path)


def first_break(verdict: Verdict) -> tuple:
    found = verdict.breaks[0]
    return found.code, found.table, found.key


def test_a_file_that_nobody_touched_is_whole_and_all_of_it_is_sealed(whole):
    verdict = verdict_of(whole)
    assert verdict.is_whole
    assert (verdict.first, verdict.last, verdict.stored) == (1, 2400, 2400)
    assert (verdict.unsealed, verdict.unsealed_rows) == (0, 0)
    assert verdict.seals >= 4


def test_a_seal_is_cut_each_hour_of_rounds_and_each_thousand(site):
    store = site.open()
    fill(store, 2500)
    assert [row[1] - row[0] + 1 for row in site.sql("SELECT first, last FROM seal ORDER BY id")] == [1000, 1000]
    store.append(round_of(2501, boot_ms=2001 * 1000 + HOUR_MS))
    store.commit()
    assert site.sql("SELECT max(last) FROM seal") == [(2501,)]
    store.declare("decision", "main-flow", START_MS, {"reason": "wrapped"}, "Li Wei")
    store.commit()
    assert site.sql("SELECT max(ledger) FROM seal") == [(1,)]


def test_everything_is_sealed_at_a_clean_stop_and_after_a_kill_at_the_next_start(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 1300)
    site.kill()
    assert verdict_of(site.path).unsealed == 300
    assert verdict_of(site.path).is_whole
    store = site.open()
    fill(store, 5)
    store.close()
    verdict = verdict_of(site.path)
    assert verdict.is_whole
    assert (verdict.last, verdict.unsealed, verdict.unsealed_rows) == (1305, 0, 0)


def test_rounds_stored_before_there_was_a_chain_are_sealed_too(site):
    store = site.open()
    fill(store, 25_000)
    site.close()
    connection = sqlite3.connect(site.path)
    connection.execute("DELETE FROM seal")
    connection.execute("DELETE FROM round WHERE number BETWEEN 1 AND 500 OR number = 777")
    connection.execute("""INSERT OR REPLACE INTO meta VALUES ('deleted', '[[1,500],[777,777]]')""")
    connection.commit()
    connection.close()
    store = site.open()
    fill(store, 2)
    fill(store, 1)
    store.close()
    verdict = verdict_of(site.path)
    assert verdict.is_whole
    assert (verdict.first, verdict.last, verdict.unsealed) == (501, 25_003, 0)
    assert [(each.first, each.last) for each in verdict.deleted] == [(1, 500), (777, 777)]


def changed(value: object, place: int, column: str) -> object:
    """The value with one byte, or one bit of a number, changed."""
    match value:
        case None:
            return 1 if column == "at_ms" else "X:0"
        case int():
            return value ^ 1 << place % 40
        case bytes():
            at = place % max(1, len(value))
            return value[:at] + bytes([(value[at] if value else 0) ^ 1 << place % 8]) + value[at + 1 :]
    assert isinstance(value, str)
    at = place % max(1, len(value))
    other = chr(ord(value[at]) ^ 1 << place % 5) if value else "X"
    return value[:at] + other + value[at + 1 :]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_changed_byte_in_any_column_of_any_covered_row_is_found(whole, data):
    connection = sqlite3.connect(whole)
    table = data.draw(st.sampled_from(("round", "round", "round", "seal", *COVERED)))
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    rows = connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
    connection.close()
    row = data.draw(st.sampled_from(rows))
    at = data.draw(st.integers(0, len(columns) - 1))
    value = changed(row[at], data.draw(st.integers(0, 500)), columns[at])
    keys = {old[0] for old in rows}
    if at == 0 and value in keys:  # another row has that key
        return
    if table == "seal" and columns[at] == "note" and not row[at]:
        value = "{}"
    verdict = altered(whole, (f"UPDATE {table} SET {columns[at]} = ? WHERE {columns[0]} = ?", value, row[0]))
    behind = verdict.unsealed + verdict.unsealed_rows  # a row moved behind the last seal is missing where it was
    assert verdict.breaks, (table, columns[at], row, value, behind)
    if table == "round" and at:
        assert first_break(verdict) == ("CHANGED", "round", row[0])
    if table in {"boot", "era", "layout", "ledger"} and at:
        assert first_break(verdict) == ("CHANGED", table, row[0])


def test_a_round_that_is_gone_is_named_with_its_date(whole):
    verdict = altered(whole, ("DELETE FROM round WHERE number = 1234",))
    found = verdict.breaks[0]
    assert (found.code, found.key) == ("MISSING", 1234)
    assert found.round_id.endswith("-1234")
    assert found.at_ms == START_MS + DAY_S * 1000 + 1000 * 1233


def test_a_whole_seal_of_rounds_that_is_gone_is_missed(whole):
    assert first_break(altered(whole, ("DELETE FROM round WHERE number <= 1000",))) == ("MISSING", "round", 1)


def test_two_swapped_rounds_are_found(whole):
    verdict = altered(
        whole,
        ("UPDATE round SET number = 100000 WHERE number = 50",),
        ("UPDATE round SET number = 50 WHERE number = 60",),
        ("UPDATE round SET number = 60 WHERE number = 100000",),
    )
    assert [each.key for each in verdict.breaks] == [50, 60, seals_id(whole, 50)]


def seals_id(path: Path, number: int) -> int:
    connection = sqlite3.connect(path)
    seal = seals.seal_of(connection, number)
    connection.close()
    assert seal is not None
    return seal.id


@pytest.mark.parametrize(
    ("insert", "expected"),
    [
        ("INSERT INTO round SELECT -5, layout, boot_ms, body, quality, raw FROM round WHERE number = 7", "round"),
        ("INSERT INTO era SELECT -5, first + 3, boot_id, offset_ms + 1, source, 0 FROM era WHERE id = 1", "era"),
        ("INSERT INTO ledger SELECT 0, kind, subject, at_ms, body, who, round, boot, ms FROM ledger", "ledger"),
        ("INSERT INTO epoch VALUES (100, '00000000')", "epoch"),
    ],
)
def test_an_inserted_row_is_found(whole, insert, expected):
    sql = insert if "ledger" not in insert else insert + " WHERE id = 1"
    assert first_break(altered(whole, (sql,)))[:2] in {("ADDED", expected), ("CHANGED", expected)}


def test_a_row_behind_the_last_seal_is_counted_as_not_sealed(whole):
    verdict = altered(whole, ("INSERT INTO era SELECT 99, 5, boot_id, offset_ms + 1, source, 0 FROM era WHERE id = 1",))
    assert verdict.is_whole
    assert verdict.unsealed_rows == 1


def test_a_deleted_seal_is_found(whole):
    assert not altered(whole, ("DELETE FROM seal WHERE id = 2",)).is_whole


def test_a_round_changed_on_disk_before_its_seal_is_found(site):
    store = site.open()
    fill(store, 100)
    connection = store._writer._connection
    connection.execute("UPDATE round SET body = x'1f' WHERE number = 40")
    site.close()
    assert first_break(verdict_of(site.path)) == ("CHANGED", "round", 40)


# --- deleted by retention, lost by a broken file


def purged(site: Site, *, kept: tuple[int, int] | None = None) -> Path:
    store = site.open(keep_s=DAY_S)
    store.date_boot(START_MS, "host")
    store.begin_cursor("cloud")
    fill(store, 5000)
    store.park("cloud", 1500, "packet too large")
    store.keep_cursor("cloud", ((5001, None),))
    if kept is not None:
        store.keep(*kept, "frozen 2026Q3 well-3")
        store.flush()
    site.clock.advance(10 * DAY_S)
    for _ in range(8):
        fill(store, 1)
    site.close()
    return site.path


def test_a_purge_keeps_the_proof_and_what_rests_on_the_kept_rounds(site):
    path = purged(site, kept=(2100, 2102))
    numbers = site.numbers()
    assert numbers[:4] == [1500, 2100, 2101, 2102]
    assert numbers[4] > 4000
    verdict = verdict_of(path)
    assert verdict.is_whole
    assert [(each.first, each.last) for each in verdict.deleted][:3] == [
        (1, 1499),
        (1501, 2099),
        (2103, numbers[4] - 1),
    ]
    assert verdict.stored == len(numbers)
    assert dict(site.sql("SELECT seal, length(digests) FROM proof")) == {2: 32_000, 3: 32_000}
    assert site.sql("SELECT length(marks) FROM seal WHERE id = 4") == [(0,)]


@pytest.mark.parametrize("number", [1500, 2101, 5004])
def test_what_a_purge_left_is_still_proved(site, number):
    path = purged(site, kept=(2100, 2102))
    site.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE round SET boot_ms = boot_ms + 1 WHERE number = ?", (number,))
        connection.commit()
    assert first_break(verdict_of(path))[::2] in {("PROOF", 2), ("PROOF", 3), ("CHANGED", 5004)}


def test_a_kept_round_that_is_gone_is_found_though_the_file_says_it_was_purged(site):
    path = purged(site, kept=(2100, 2102))
    site.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM round WHERE number = 2101")
        connection.execute("UPDATE meta SET value = '[[1,1499],[1501,2099],[2101,2101],[2103,4000]]'")
        connection.commit()
    assert "KEPT" in {each.code for each in verdict_of(path).breaks}


def test_the_disk_floor_takes_no_kept_round(site, monkeypatch):
    store = site.open(free_bytes=500 << 20)
    monkeypatch.setattr(store._retention.reserve, "free_bytes", lambda: 400 << 20)
    store.begin_cursor("cloud")
    fill(store, 1000)
    store.keep(1, 10, "frozen 2026Q3 well-3")
    fill(store, 50_000)
    site.close()
    assert site.numbers()[:10] == list(range(1, 11))
    assert site.numbers()[10] > 1000
    assert verdict_of(site.path).is_whole


def test_salvage_says_what_it_cost_and_the_chain_goes_on(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    store.declare("coefficient", "W7", START_MS, COEFFICIENT, "Li Wei")
    fill(store, 6000)
    site.close()
    middle = site.path.stat().st_size // 1024 // 2
    with site.path.open("r+b") as file:
        file.seek(middle * 1024)
        file.write(bytes(12 * 1024))
    before = set(range(1, 6001))
    store = site.open()
    reader = site.reader(on_damage=store.suspect)
    try:
        reader.rounds(1, 6000, limit=6000)
    except sqlite3.DatabaseError:
        store.append(round_of(6001))
    assert store.commit()
    fill(store, 10)
    store.declare("decision", "main-flow", START_MS, {"reason": "wrapped"}, "Li Wei")
    store.commit()
    site.close()
    lost = before - set(site.numbers())
    assert lost
    verdict = verdict_of(site.path)
    assert not verdict.breaks
    assert not verdict.is_whole
    (salvage,) = verdict.salvages
    assert {number for first, last in salvage.lost for number in range(first, last + 1)} >= lost
    assert salvage.broken
    assert (verdict.unsealed, verdict.unsealed_rows) == (0, 0)
    site.close()
    survivor = next(number for number in range(min(lost) - 1, 0, -1) if number not in lost)
    with closing(sqlite3.connect(site.path)) as connection:
        connection.execute("UPDATE round SET boot_ms = 1 WHERE number = ?", (survivor,))
        connection.commit()
    assert verdict_of(site.path).breaks  # what survived in a seal with losses is proved from the salvage on
