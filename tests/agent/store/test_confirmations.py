"""What somebody compared with a display is never forgotten: kill, restart, a broken file."""

from __future__ import annotations

from agent.store.confirmations import Confirmation, settled_in
from tests.agent.store.conftest import Site, fill
from tests.fakes import START_MS

FOUND = Confirmation("main-flow", "tuf2000", "0123abcd", "volume_forward", "1234.5", "1234.567", "li")
OTHER = FOUND._replace(meter="pump-kwh", quantity="energy_import")
ROW = ("main-flow", "tuf2000", "0123abcd", "volume_forward", "1234.5", "1234.567", "li")


def test_a_confirmation_counts_at_once_and_for_its_meter_and_version_only(site: Site) -> None:
    store = site.open()
    store.confirmations.add(FOUND)
    assert store.confirmations.settled("main-flow", "0123abcd") == {"volume_forward"}
    assert store.confirmations.settled("main-flow", "ffffffff") == frozenset()
    assert store.confirmations.settled("pump-kwh", "0123abcd") == frozenset()


def test_a_flushed_confirmation_survives_a_kill(site: Site) -> None:
    store = site.open()
    store.date_boot(START_MS, "host")
    store.confirmations.add(FOUND)
    assert store.flush()
    site.kill()
    assert settled_in(site.path, "main-flow", "0123abcd") == {"volume_forward"}
    store = site.open()
    assert store.confirmations.settled("main-flow", "0123abcd") == {"volume_forward"}
    store.confirmations.add(OTHER)
    store.close()
    rows = site.sql("SELECT * FROM confirmation ORDER BY id")
    assert [row[0] for row in rows] == [1, 2]
    assert rows[0][1:8] == ROW
    assert rows[0][9] == site.clock.boot_id


def test_a_confirmation_rides_on_the_next_commit_and_is_written_once(site: Site) -> None:
    store = site.open()
    store.confirmations.add(FOUND)
    fill(store, 3)
    assert not store.confirmations.has_news()
    assert site.sql("SELECT count(*) FROM confirmation") == [(1,)]
    store.confirmations.add(FOUND)  # the same once more is another row: what happened is kept
    store.close()
    assert site.sql("SELECT count(*) FROM confirmation") == [(2,)]


def test_a_broken_file_is_salvaged_with_its_confirmations(site: Site) -> None:
    store = site.open()
    store.confirmations.add(FOUND)
    fill(store, 300)
    store.close()
    with site.path.open("r+b") as file:  # the head of the file: SQLite opens none of it
        file.write(bytes(1024))
    store = site.open()
    assert store.confirmations.settled("main-flow", "0123abcd") == {"volume_forward"}
    assert len(site.numbers()) == 300


def test_where_there_is_no_store_nothing_is_confirmed(site: Site) -> None:
    assert settled_in(site.path, "main-flow", "0123abcd") == frozenset()
    site.path.write_bytes(b"no database at all" * 100)
    assert settled_in(site.path, "main-flow", "0123abcd") == frozenset()
