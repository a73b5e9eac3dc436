"""The ledger: what was declared stays, in the order it was declared, whatever happens to the file."""

from __future__ import annotations

from agent.store.book_reader import BookReader
from agent.store.ledger import canonical
from tests.agent.store.conftest import fill
from tests.agent.store.test_salvage import pages_of, spoil
from tests.fakes import START_MS


def rows(site) -> list[tuple[int, str, str, int | None]]:
    return [each[:4] for each in BookReader(site.path).ledger()]


def test_a_declaration_is_on_disk_after_a_flush_and_says_when_it_was_made(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    site.clock.advance(5)
    number = store.declare("replacement", "main-flow", START_MS, {"new_initial": "0", "old_final": "12.5"}, "li")
    assert store.flush()
    site.kill()
    (row,) = BookReader(site.path).ledger()
    assert row.id == number == 1
    assert row.body == {"old_final": "12.5", "new_initial": "0"}
    assert (row.kind, row.subject, row.at_ms, row.who) == ("replacement", "main-flow", START_MS, "li")
    assert row.entered_ms == START_MS + site.clock.boot_ms()


def test_a_declaration_of_an_undated_boot_gets_its_date_later(site):
    store = site.open()
    store.declare("acknowledgement", "meter/main-flow", None, {"reason": "flushed"}, "li")
    store.flush()
    assert BookReader(site.path).ledger()[0].entered_ms is None
    store.date_boot(START_MS, "manual")
    store.flush()
    assert BookReader(site.path).ledger()[0].entered_ms == START_MS + site.clock.boot_ms()


def test_after_a_replacement_what_the_old_register_showed_is_no_measure_even_after_a_kill(site):
    store = site.open()
    fill(store, 20)
    store.declare("replacement", "main-flow", None, {"quantity": "volume_forward", "new_initial": "0"}, "li")
    assert store.last_values("main-flow") == {}
    assert store.flush()
    site.kill()
    assert site.open().last_values("main-flow") == {}


def test_declarations_are_found_by_kind_and_subject(site):
    store = site.open()
    for kind, subject in (("coefficient", "W3"), ("coefficient", "W7"), ("decision", "W3")):
        store.declare(kind, subject, None, {}, "li")
    store.flush()
    book = BookReader(site.path)
    assert [row.id for row in book.ledger("coefficient")] == [1, 2]
    assert [row.id for row in book.ledger(subject="W3")] == [1, 3]
    assert [row.id for row in book.ledger("coefficient", "W7")] == [2]


def test_numbers_go_on_after_a_restart(site):
    store = site.open()
    store.declare("decision", "main-flow", None, {}, "li")
    site.close()
    store = site.open()
    assert store.declare("decision", "main-flow", None, {}, "li") == 2


def test_the_same_content_is_the_same_text():
    assert canonical({"b": 1, "a": {"d": "水", "c": None}}) == '{"a":{"c":null,"d":"水"},"b":1}'


def test_declarations_survive_a_broken_file(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    for number in range(30):
        store.declare("coefficient", f"W{number}", START_MS, {"volume": "1.5" * 20}, "li")
    fill(store, 2000)
    site.close()
    before = rows(site)
    spoil(site.path, 1, 1)
    store = site.open()
    store.declare("coefficient", "W30", START_MS, {}, "li")
    store.flush()
    assert rows(site)[:30] == before
    assert rows(site)[30][2] == "W30"


def test_declarations_of_this_process_survive_the_loss_of_the_whole_file(site):
    store = site.open()
    store.declare("coefficient", "W3", START_MS, {}, "li")
    fill(store, 100)
    store._writer.close()
    spoil(site.path, 1, pages_of(site.path))
    site.path.with_name("qushui.db-wal").unlink(missing_ok=True)
    store.suspect()
    fill(store, 1)
    assert [row[2] for row in rows(site)] == ["W3"]
