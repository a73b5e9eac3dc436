"""What each uplink has yet to send, where it stands, and what was parked."""

import contextlib
import os
import select
import sqlite3
import tempfile
from pathlib import Path

import pytest

from agent.store.pace import HOLD_S
from tests.agent.store.conftest import DAY_S, Site, fill, round_of
from tests.fakes import START_MS


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


@pytest.mark.parametrize("number", [4, None])
def test_a_kill_right_after_a_parked_round_was_put_back_does_not_lose_it(site, number):
    """The list goes with any commit, the set once a second: between the two the round was owed to nobody."""
    store = site.open()
    store.begin_cursor("cloud")
    fill(store, 10)
    store.park("cloud", 4, "packet too large")
    store.keep_cursor("cloud", ((9, None),))
    store.flush()
    store.retry_parked("cloud", number)
    fill(store, 1)
    site.kill()
    store = site.open()
    assert store.begin_cursor("cloud") == ((4, 4), (9, None))


def test_a_parked_round_that_the_disk_floor_took_is_no_longer_listed_after_a_kill(site):
    """The rounds go with one commit, what is listed of them with the next."""
    store = site.open()
    store.begin_cursor("cloud")
    fill(store, 10)
    for number in (3, 7):
        store.park("cloud", number, "packet too large")
    store.close()
    with contextlib.closing(sqlite3.connect(site.path)) as connection:
        connection.execute("DELETE FROM round WHERE number <= 5")
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('deleted', '[[1, 5]]')")
        connection.commit()
    store = site.open()
    with pytest.raises(KeyError):
        store.retry_parked("cloud", 3)
    store.flush()
    assert [each.number for each in site.reader().parked("cloud")] == [7]


def test_what_a_platform_refused_counts_as_not_accepted(site):
    store = site.open()
    store.begin_cursor("cloud")
    store.begin_cursor("other")
    fill(store, 10)
    for number in (7, 3):
        store.park("cloud", number, "packet too large")
    store.park("other", 5, "packet too large")
    store.keep_cursor("cloud", ((8, None),))
    store.flush()
    assert site.reader().unaccepted("cloud") == ((3, 3), (7, None))
    assert site.reader().unaccepted("nobody") is None


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
