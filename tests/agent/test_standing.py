"""How an intake stands that has not been read for long: its last reading, without a walk through all since."""

from __future__ import annotations

from agent.clock import date_of
from agent.standing import standings
from agent.store.book_reader import BookReader
from tests.agent.rules.plain import METERED
from tests.agent.store.accounts import HOUR_MS, counting
from tests.agent.store.conftest import Site, layout_of, round_of
from tests.fakes import START_MS


def test_the_last_reading_of_a_silent_intake_is_found_however_much_came_since(tmp_path):
    site = Site(tmp_path)
    store = site.open()
    store.date_boot(START_MS, "host")
    store.keep_books((counting(),), fault_of=lambda rule, quantity: None)
    book, steps = BookReader(site.path), []
    for number in range(4):
        store.append(round_of(number, boot_ms=number * HOUR_MS))
        store.commit()
    last_ms = START_MS + 3 * HOUR_MS
    for _ in range(2):
        for _ in range(15_000):
            site.clock.advance(60)
            store.append(round_of(1, layout=layout_of("other"), boot_ms=site.clock.boot_ms()))
            if store.snapshot()["waiting"] == 900:
                store.commit()
        store.commit()
        done: list[None] = []
        book.rounds.committed()
        book.rounds._connection.set_progress_handler(lambda done=done: done.append(None), 100)
        told = standings({"well-3": METERED}, {}, (), book, clock=site.clock)["well-3"]
        book.rounds._connection.set_progress_handler(None, 0)
        steps.append(len(done))
        assert told["at"] == date_of(last_ms).isoformat(timespec="milliseconds")
    assert steps[1] <= steps[0] + 100
    book.close()
    site.close()
