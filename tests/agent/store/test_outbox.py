"""Reports on their way: on disk before they are sent, in the outbox until the platform's own word."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from agent.store.database import PAGE_BYTES
from agent.store.outbox import Composed, NewReport
from agent.store.outbox_reader import OutboxReader
from agent.store.store import Store
from tests.fakes import FakeClock, QuietLog

HOUR = 3_600_000


def opened(path: Path) -> Store:
    store = Store(path, clock=FakeClock(), log=QuietLog(), keep_s=1e8, max_bytes=1 << 32, free_bytes=0)
    store.open()
    return store


def reports(*slots: int) -> list[NewReport]:
    return [NewReport("timed", slot * HOUR, "", f'{{"slot":{slot}}}') for slot in slots]


def test_a_report_waits_only_when_it_is_on_disk(tmp_path: Path):
    store = opened(tmp_path / "q.db")
    store.outbox.add("province", reports(1), Composed(10, HOUR))
    assert store.outbox.waiting("province") == []
    assert store.flush()
    (row,) = store.outbox.waiting("province")
    assert (row.slot_ms, row.serial, row.tries) == (HOUR, 1, 0)
    assert OutboxReader(tmp_path / "q.db").body(row.tag) == '{"slot":1}'
    store.close()


def test_everything_is_there_again_after_a_restart_and_serial_numbers_are_not_given_twice(tmp_path: Path):
    store = opened(tmp_path / "q.db")
    store.outbox.add("province", reports(1, 2, 3), Composed(10, 3 * HOUR))
    store.flush()
    first, second, _ = store.outbox.waiting("province")
    store.outbox.sent(first.tag)
    store.outbox.accepted(first.tag, 5)
    store.outbox.sent(second.tag)
    store.close()
    store = opened(tmp_path / "q.db")
    assert [(row.slot_ms, row.serial, row.tries) for row in store.outbox.waiting("province")] == [
        (2 * HOUR, 2, 1),
        (3 * HOUR, 3, 0),
    ]
    assert store.outbox.composed("province") == Composed(10, 3 * HOUR)
    assert store.outbox.next_serial("province") > 3
    store.close()


def test_what_is_read_is_of_the_file_that_took_a_damaged_ones_place(tmp_path: Path):
    """From the file set aside a new report was none: it was forgotten instead of sent."""
    path = tmp_path / "q.db"
    store = opened(path)
    store.outbox.add("province", reports(1), Composed(10, HOUR))
    store.flush()
    (first,) = store.outbox.waiting("province")
    reader = OutboxReader(path)
    assert reader.body(first.tag) == '{"slot":1}'
    store._writer.replace("a test")
    store.outbox.add("province", reports(2), Composed(20, 2 * HOUR))
    store.flush()
    assert [reader.body(row.tag) for row in store.outbox.waiting("province")] == ['{"slot":1}', '{"slot":2}']
    reader.close()
    store.close()


def test_a_report_that_cannot_be_read_has_the_file_repaired(tmp_path: Path):
    path = tmp_path / "q.db"
    store = opened(path)
    for slot in range(1, 40):
        store.outbox.add("province", [NewReport("timed", slot * HOUR, "", f"report {slot} " * 500)], Composed(1, slot))
    store.close()
    store = opened(path)
    with path.open("r+b") as file:
        file.seek(file.read().index(b"report 20 ") // PAGE_BYTES * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
    told: list[str] = []
    reader = OutboxReader(path, on_damage=lambda: told.append("damage"))
    for row in store.outbox.waiting("province"):
        with contextlib.suppress(sqlite3.DatabaseError):
            reader.body(row.tag)
    assert told
    reader.close()
    store.close()


def test_composing_a_slot_twice_changes_nothing(tmp_path: Path):
    store = opened(tmp_path / "q.db")
    store.outbox.add("province", reports(1), Composed(10, HOUR))
    store.flush()
    (row,) = store.outbox.waiting("province")
    store.outbox.accepted(row.tag, 5)
    store.outbox.add("province", reports(1), Composed(10, HOUR))
    store.flush()
    (again,) = store.outbox.waiting("province")
    reader = OutboxReader(tmp_path / "q.db")
    assert reader.body(again.tag) is None  # there is no such row: the worker forgets it
    store.outbox.forget(again.tag)
    assert store.outbox.waiting("province") == []
    assert [each.state for each in reader.rows("province")] == ["accepted"]
    store.close()


def test_a_kill_before_the_commit_leaves_neither_the_report_nor_that_it_was_composed(tmp_path: Path):
    store = opened(tmp_path / "q.db")
    store.outbox.add("province", reports(1), Composed(10, HOUR))
    with sqlite3.connect(tmp_path / "q.db") as connection:
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM composing").fetchone() == (0,)
    store.close()


def test_rates_count_what_came_and_what_came_in_time(tmp_path: Path):
    store = opened(tmp_path / "q.db")
    store.outbox.add("province", reports(1, 2, 3, 4), Composed(10, 4 * HOUR))
    store.flush()
    one, two, three, _ = store.outbox.waiting("province")
    store.outbox.accepted(one.tag, HOUR + 60_000)
    store.outbox.accepted(two.tag, 9 * HOUR)
    store.outbox.parked(three.tag, "the time tag has no month")
    store.flush()
    reader = OutboxReader(tmp_path / "q.db")
    assert reader.rates("province", "timed", 0, 99 * HOUR, 600_000) == (4, 2, 1, 1)
    assert [each.reason for each in reader.rows("province", state="parked")] == ["the time tag has no month"]
    store.close()


def test_what_is_parked_is_known_before_it_is_on_disk_and_after_a_restart(tmp_path: Path):
    store = opened(tmp_path / "q.db")
    store.outbox.add("province", reports(1), Composed(10, HOUR))
    store.flush()
    (first,) = store.outbox.waiting("province")
    assert not store.outbox.has_parked("province")
    store.outbox.parked(first.tag, "no")
    statements = store.outbox.take()  # a commit is under way: nothing more to write, nothing on disk yet
    assert statements
    assert store.outbox.has_parked("province")
    assert not OutboxReader(tmp_path / "q.db").rows("province", state="parked")
    store.close()

    store = opened(tmp_path / "q.db")  # which had not been committed
    (first,) = store.outbox.waiting("province")
    store.outbox.parked(first.tag, "no")
    assert store.flush()
    store.close()
    store = opened(tmp_path / "q.db")
    assert store.outbox.has_parked("province")
    store.outbox.retry(first)
    assert not store.outbox.has_parked("province")
    store.close()


def test_a_parked_report_can_be_sent_again_and_a_removed_uplink_forgotten(tmp_path: Path):
    store = opened(tmp_path / "q.db")
    store.outbox.add("province", reports(1, 2), Composed(10, 2 * HOUR))
    store.flush()
    first, _ = store.outbox.waiting("province")
    store.outbox.parked(first.tag, "no")
    store.flush()
    (row,) = OutboxReader(tmp_path / "q.db").rows("province", state="parked")
    store.outbox.retry(row.waiting)
    store.flush()
    assert len(store.outbox.waiting("province")) == 2
    assert store.outbox.drop("province") == 2
    store.flush()
    assert OutboxReader(tmp_path / "q.db").uplinks() == ()
    store.close()


def test_acknowledged_reports_go_by_age_and_waiting_ones_never(tmp_path: Path):
    store = opened(tmp_path / "q.db")
    store.outbox.add("province", reports(1, 2), Composed(10, 2 * HOUR))
    store.flush()
    first, _ = store.outbox.waiting("province")
    store.outbox.accepted(first.tag, HOUR)
    store.outbox.purge(100 * HOUR)
    store.flush()
    assert [each.state for each in OutboxReader(tmp_path / "q.db").rows("province")] == ["waiting"]
    store.close()
