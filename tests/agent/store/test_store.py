import contextlib
import os
import select
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.faults import FaultCode
from agent.store import database
from agent.store.database import SchemaTooNewError, StoreHeldError, _statements
from agent.store.pace import HOLD_S
from agent.store.reader import Reader
from agent.store.waiting import BOUND
from tests.agent.store.conftest import DAY_S, LAYOUT, Site, fill, layout_of, round_of
from tests.fakes import START_MS, FakeClock


def test_a_round_is_never_counted_before_it_is_on_disk(site):
    store = site.open()
    reader = site.reader()
    number = store.append(round_of(1))
    assert number == 1
    assert store.committed == 0
    assert reader.committed() == 0
    assert reader.rounds(1, 10, limit=10) == []
    assert store.commit()
    assert store.committed == 1
    assert reader.committed() == 1


def test_a_round_comes_back_as_it_was_with_its_raw_reply(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    store.append(round_of(123, boot_ms=5_000, quality={"flow_rate": ("OUT_OF_RANGE", "NEGATIVE_DELTA")}))
    store.append(round_of(124, boot_ms=65_000))
    store.commit()
    reader = site.reader()
    first, second = reader.rounds(1, 2, limit=10)
    assert first.layout == LAYOUT
    assert first.texts == ("1.23", "-1.5")
    assert first.quality == {"flow_rate": ("OUT_OF_RANGE", "NEGATIVE_DELTA")}
    assert first.at_ms == START_MS + 5_000
    assert second.quality is None
    assert reader.raw(1) == ((123).to_bytes(4),)
    assert first.id == f"{reader.epoch}-1"
    assert len(reader.epoch) == 8
    int(reader.epoch, 16)


def test_numbers_go_on_after_a_restart_and_committed_rounds_survive_a_kill(site):
    store = site.open()
    fill(store, 30)
    store.append(round_of(31))  # waits only: a kill takes it, and its number is free again
    site.kill()
    store = site.open()
    assert store.committed == 30
    assert store.append(round_of(31)) == 31
    store.commit()
    assert [(each.number, each.texts[0]) for each in site.rounds()] == [(n, f"{n / 100:.2f}") for n in range(1, 32)]


def test_a_number_is_not_given_twice_even_when_every_row_was_deleted(site):
    store = site.open(keep_s=0)
    store.date_boot(START_MS, "host")
    fill(store, 1000)
    site.clock.advance(5000)
    store.append(round_of(1001))
    store.commit()
    assert site.numbers() == [1001]
    store.close()
    site.sql("DELETE FROM round")
    store = site.open()
    assert store.append(round_of(1)) == 1002


def test_a_clean_stop_commits_what_waits(site):
    store = site.open()
    store.append(round_of(1))
    store.keep_cursor("cloud", ((1, None),))
    store.close()
    assert site.numbers() == [1]
    assert site.reader().cursor("cloud") == ((1, None),)


def test_the_stores_thread_commits_the_last_rounds_when_it_is_stopped(site):
    store = site.open()
    stop = threading.Event()
    fill(store, 1)
    store.append(round_of(2))
    stop.set()
    store.run(stop, lambda: None)
    assert store.committed == 2


# when to commit


def holds_for(store, clock):
    """Seconds the store's thread would wait now for company."""
    before_s = clock.monotonic()
    store._pace.hold(threading.Event())
    return clock.monotonic() - before_s


def test_the_first_round_after_a_start_waits_for_nobody(site):
    store = site.open()
    store.begin_poll("rs485-1")
    store.append(round_of(1))
    assert holds_for(store, site.clock) == 0


def test_rounds_are_committed_when_the_lines_pause(site):
    store = site.open()
    fill(store, 1)
    store.begin_poll("rs485-1")
    store.append(round_of(2))
    store.end_poll("rs485-1")
    assert 0 < holds_for(store, site.clock) < 0.05


def test_a_busy_line_delays_the_commit_by_a_second_at_most(site):
    store = site.open()
    fill(store, 1)
    store.begin_poll("rs485-1")
    store.append(round_of(2))
    assert holds_for(store, site.clock) == pytest.approx(HOLD_S, abs=0.02)


def test_half_a_queue_is_committed_without_waiting(site):
    store = site.open()
    fill(store, 1)
    store.begin_poll("lan")
    for number in range(2, 2 + BOUND // 2):
        store.append(round_of(number))
    assert holds_for(store, site.clock) == 0


def test_a_line_never_waits_for_the_disk_until_the_queue_is_full(site, monkeypatch):
    store = site.open()
    fill(store, 1)
    disk, is_writing = threading.Event(), threading.Event()
    write = store._writer.write

    def slow(*arguments, **keywords):
        is_writing.set()
        assert disk.wait(30)
        write(*arguments, **keywords)

    monkeypatch.setattr(store._writer, "write", slow)
    store.append(round_of(2))
    committing = threading.Thread(target=store.commit)
    committing.start()
    assert is_writing.wait(30)
    for number in range(3, 3 + BOUND):  # none of these may wait: the fsync is still under way
        assert store.append(round_of(number)) == number
    assert store.committed == 1
    assert not store.faults.open()

    beats = []
    waiting = threading.Thread(
        target=store.append, args=(round_of(0),), kwargs={"beat": lambda: beats.append(1) or disk.set()}
    )
    waiting.start()
    committing.join(30)
    store.commit()
    waiting.join(30)
    store.commit()
    assert store.committed == 3 + BOUND
    assert beats
    assert site.events("fault.raised")[0]["code"] == FaultCode.STORE_SLOW
    assert store.faults.open()
    site.clock.advance(11)
    fill(store, 1)
    assert not store.faults.open()


# what rides along


def test_a_cursor_rides_on_a_commit_at_most_once_a_second(site):
    store = site.open()
    fill(store, 1)
    reader = site.reader()
    written = []
    for number in range(2, 12):
        store.append(round_of(number))
        store.keep_cursor("cloud", ((number, None),))
        store.commit()
        site.clock.advance(0.3)
        written.append(reader.cursor("cloud"))
    assert len(set(written) - {None}) == 3  # ten commits in three seconds


def test_what_only_rides_along_is_written_alone_after_a_quiet_second(site):
    store = site.open()
    fill(store, 1)
    store.keep_cursor("cloud", ((2, None),))
    assert not store._is_due()
    site.clock.advance(HOLD_S + 0.1)
    assert store._is_due()
    store.commit()
    assert site.reader().cursor("cloud") == ((2, None),)
    assert not store._is_due()


def test_a_new_uplink_begins_with_the_next_round(site):
    store = site.open()
    fill(store, 5)
    assert store.begin_cursor("cloud") == ((6, None),)
    fill(store, 3)
    site.kill()  # the row that says who waits came with the first round it waits for
    assert site.open().begin_cursor("cloud") == ((6, None),)


def test_an_uplink_may_begin_at_a_date(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 50)  # one a second
    assert store.begin_cursor("cloud", since_ms=START_MS + 20_000) == ((20, None),)
    assert store.begin_cursor("late", since_ms=START_MS + 999_000) == ((51, None),)
    assert store.begin_cursor("cloud", since_ms=START_MS) == ((20, None),)  # it has begun already


def test_a_removed_uplinks_queue_waits_until_it_is_dropped(site):
    store = site.open()
    store.begin_cursor("old")
    fill(store, 10)
    store.park("old", 3, "payload format invalid")
    store.close()
    store = site.open()
    reader = site.reader()
    assert reader.uplinks() == ("old",)
    assert store.drop("old") == 10
    store.flush()
    assert reader.cursor("old") is None
    assert reader.parked("old") == []
    with pytest.raises(KeyError):
        store.drop("old")


def test_a_parked_round_can_be_put_back_while_its_uplink_runs(site):
    store = site.open()
    owed = store.begin_cursor("cloud")
    fill(store, 10)
    for number in (3, 4, 7):
        store.park("cloud", number, "packet too large")
    owed = store.keep_cursor("cloud", ((9, None),))
    assert owed == ((9, None),)
    assert store.retry_parked("cloud", 4) == 1
    with pytest.raises(KeyError):
        store.retry_parked("cloud", 8)
    assert store.keep_cursor("cloud", ((10, None),)) == ((4, 4), (10, None))
    assert store.keep_cursor("cloud", ((10, None),)) == ((10, None),)  # delivered meanwhile
    assert store.retry_parked("cloud") == 2
    store.flush()
    reader = site.reader()
    assert reader.cursor("cloud") == ((3, 3), (7, 7), (10, None))
    assert reader.parked("cloud") == []


def test_parked_rounds_are_listed_with_their_reason_after_a_restart(site):
    store = site.open()
    store.begin_cursor("cloud")
    fill(store, 3)
    store.park("cloud", 2, "topic name invalid")
    store.close()
    store = site.open()
    assert [tuple(each) for each in site.reader().parked("cloud")] == [(2, "topic name invalid")]
    store.begin_cursor("cloud")
    assert store.retry_parked("cloud", 2) == 1
    assert store.keep_cursor("cloud", ((4, None),)) == ((2, 2), (4, None))


def test_a_commit_wakes_who_subscribed(site):
    store = site.open()
    descriptor = store.subscribe()
    assert not select.select([descriptor], [], [], 0)[0]
    fill(store, 1)
    assert select.select([descriptor], [], [], 0)[0]
    assert os.eventfd_read(descriptor) == 1


def test_a_reader_is_never_shown_more_than_its_limit(site):
    store = site.open()
    fill(store, 25)
    reader = site.reader()
    assert [each.number for each in reader.rounds(5, 20, limit=4)] == [5, 6, 7, 8]
    assert [each.number for each in reader.rounds(19, 20, limit=4)] == [19, 20]


def test_what_concerns_an_uplink_and_what_has_no_date_can_be_counted(site):
    store = site.open(keep_s=DAY_S)
    fill(store, 1000)
    store.begin_cursor("late")
    fill(store, 500)
    reader = site.reader()
    assert reader.due("late") == 500
    assert reader.undated(1, 1500) == 1500
    store.date_boot(START_MS, "host")
    site.clock.advance(10 * DAY_S)
    fill(store, 1)
    fill(store, 1)
    assert reader.undated(1, 1500) == 0
    assert reader.counts().rounds == 502
    assert reader.due("late") == 502
    assert reader.due("unknown") == 0


def test_counting_needs_no_scan(site):
    store = site.open()
    fill(store, 25)
    counts = site.reader().counts()
    assert (counts.rounds, counts.first, counts.last, counts.evicted) == (25, 1, 25, 0)
    assert store.snapshot()["rounds"] == 25


def test_a_reader_says_when_there_is_no_store_yet(site):
    with pytest.raises(FileNotFoundError):
        site.reader().committed()


@contextlib.contextmanager
def without_the_right_to_write(directory):
    """As a technician who is not the service's user; root gives its rights up meanwhile."""
    directory.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        directory.chmod(0o755)


def test_a_person_who_may_not_write_can_read_beside_the_service_and_after_its_stop():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        site = Site(Path(name))
        fill(site.open(), 10)
        with without_the_right_to_write(site.path.parent):
            assert site.reader().committed() == 10
        site.close()
        with without_the_right_to_write(site.path.parent):
            assert site.reader().committed() == 10
        site.close()


# the last counters


def test_the_last_good_counters_are_known_after_a_clean_stop(site):
    store = site.open()
    fill(store, 20)
    store.close()
    assert site.open().last_values("main-flow") == {"volume_forward": "0.20"}


def test_the_last_good_counters_are_known_after_a_kill(site):
    store = site.open()
    kwh = layout_of("pump-kwh", ("energy_import", "power"))
    fill(store, 20)
    fill(store, 1, layout=kwh)
    store.append(round_of(22, quality={"volume_forward": ("NEGATIVE_DELTA",)}))
    store.append(round_of(23, quality={"flow_rate": ("OUT_OF_RANGE",)}))
    store.append(round_of(24, quality={"volume_forward": ("OUT_OF_RANGE",)}))
    store.commit()
    site.kill()
    store = site.open()
    assert store.last_values("main-flow") == {"volume_forward": "0.23"}
    assert store.last_values("pump-kwh") == {"energy_import": "0.21"}
    assert store.last_values("unknown") == {}


def test_a_meter_that_has_been_silent_for_long_keeps_its_last_counter(site):
    store = site.open()
    fill(store, 1, layout=layout_of("silent"))
    fill(store, 10_500, commit=100)
    fill(store, 10_500, commit=100)
    site.kill()
    assert site.open().last_values("silent") == {"volume_forward": "0.01"}


# the file


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


def test_many_lines_at_once_get_numbers_without_gaps_and_each_its_own_order(site):
    store = site.open(clock=SystemClock("host"))
    stop = threading.Event()
    worker = threading.Thread(target=store.run, args=(stop, lambda: None))
    worker.start()
    given: dict[str, list[int]] = {f"meter-{line}": [] for line in range(8)}

    def poll(meter):
        layout = layout_of(meter)
        for number in range(200):
            store.begin_poll(meter)
            given[meter].append(store.append(round_of(number, layout=layout)))
            store.end_poll(meter)

    lines = [threading.Thread(target=poll, args=(meter,)) for meter in given]
    for line in lines:
        line.start()
    for line in lines:
        line.join(60)
    stop.set()
    worker.join(60)
    assert sorted(number for numbers in given.values() for number in numbers) == list(range(1, 1601))
    rounds = site.rounds()
    assert store.committed == len(rounds) == 1600
    for meter, numbers in given.items():
        mine = [each for each in rounds if each.layout.meter == meter]
        assert [each.number for each in mine] == numbers
        assert [each.texts[0] for each in mine] == [f"{number / 100:.2f}" for number in range(200)]


def test_a_file_that_the_first_start_is_still_making_is_as_good_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "qushui.db"
    with contextlib.closing(sqlite3.connect(path)) as making:
        making.execute("PRAGMA journal_mode = WAL")
    with pytest.raises(FileNotFoundError):
        Reader(path).committed()
