"""Reading the books: the newest revision of a closing, events in a time, single rounds by id and by time."""

from __future__ import annotations

import pytest

from agent.model import MANUAL, Layout
from agent.store.book_reader import BookReader
from agent.store.waiting import UndatedError
from tests.agent.store.accounts import HOUR_MS
from tests.agent.store.conftest import LAYOUT, fill, layout_of, round_of
from tests.agent.store.test_books import derived, opened
from tests.agent.store.test_books_back import MIDNIGHT_MS, factor, hourly, settle
from tests.fakes import START_MS, FakeClock

MANUALLY = Layout(
    meter="main-flow",
    profile=MANUAL,
    version="00000000",
    protocol=MANUAL,
    address="",
    quantities=("volume_forward",),
    flags=(),
    period_ms=86_400_000,
    requests=(b"",),
)


def test_of_a_closing_the_newest_revision_is_read(site):
    store = opened(site)
    hourly(store, 40)
    book = BookReader(site.path)
    before = book.closings("well-3", START_MS, START_MS + 40 * HOUR_MS)
    assert [row.at_ms for row in before] == sorted({row.at_ms for row in before})
    assert {row.revision for row in before} == {1}
    factor(store, START_MS + 36 * HOUR_MS, "10")
    settle(store)
    after = book.closings("well-3", START_MS, START_MS + 40 * HOUR_MS)
    assert [row.at_ms for row in after] == [row.at_ms for row in before]
    assert after[-1].revision == 2
    assert after[-1].body == {"total": "74.00"}
    assert book.closing("well-3", MIDNIGHT_MS).state is not None
    assert book.closing("well-3", MIDNIGHT_MS + 1) is None
    assert book.closings("well-4", START_MS, START_MS + 40 * HOUR_MS) == []


def test_an_event_is_found_while_any_of_it_lies_in_the_time_asked_for(site):
    store = opened(site)
    fill(store, 1)
    store.append(round_of(100_000, boot_ms=10_000))
    store.append(round_of(3, boot_ms=20_000))
    store.append(round_of(100_000, boot_ms=30_000))
    store.commit()
    book = BookReader(site.path)
    first, second = book.events("well-3")
    assert (first.began_ms, first.ended_ms, second.ended_ms) == (START_MS + 10_000, START_MS + 20_000, None)
    assert first.body == {"limit": "999"}
    assert (first.rule, first.subject, first.level, first.first, first.last) == ("R3", "meter/main-flow", 3, 3, 4)
    assert book.events("well-3", START_MS + 20_001) == [second]
    assert book.events("well-3", START_MS, START_MS + 30_000) == [first]
    assert book.events(open_only=True) == [second]
    assert book.events("well-4") == []


def test_a_round_is_found_by_its_id_and_by_no_other(site):
    store = opened(site)
    fill(store, 3)
    book = BookReader(site.path)
    epoch = site.reader().epoch
    assert book.find(f"{epoch}-2").texts == ("0.02", "-1.5")
    assert book.find(f"{epoch}-4").proof is not None
    for stranger in (f"{epoch}-99", "00000000-2", f"{epoch}-x", "", "-", f"{epoch}-²", f"{epoch}-" + "9" * 40):
        assert book.find(stranger) is None


def test_the_newest_round_at_or_before_a_time_is_found_in_a_long_history(site):
    store = opened(site)
    for number in range(1, 4001):
        store.append(round_of(number, layout=LAYOUT if number % 2 else layout_of("second")))
        if number % 500 == 0:
            store.commit()
    settle(store)
    book = BookReader(site.path)
    assert book.at("main-flow", START_MS + 1_001_400).texts[0] == "10.01"
    assert book.at("second", START_MS + 1_001_400).texts[0] == "10.00"
    assert book.at("main-flow", START_MS + 999) is None
    assert book.at("main-flow", START_MS + 10**9).texts[0] == "39.99"
    assert book.at("well-3", START_MS + 3_000_000).at_ms == START_MS + 2_999_000
    assert book.at("nobody", START_MS + 10**9) is None


def test_a_meter_that_fell_silent_is_still_found(site):
    store = opened(site)
    store.append(round_of(1, layout=layout_of("second")))
    fill(store, 12_000, commit=1000)
    book = BookReader(site.path)
    assert book.at("second", START_MS + 12_000_000).number == 1


def test_a_bound_in_time_spares_the_walk_back_to_a_meter_that_fell_silent(site):
    store = opened(site)
    store.append(round_of(1, layout=layout_of("second")))
    steps = []
    book = BookReader(site.path)
    for last_s in (10_000, 40_000):
        fill(store, last_s - store.committed, commit=1000)
        at_ms = START_MS + 1000 * last_s
        assert book.at("main-flow", at_ms, at_ms - 60_000).number == last_s
        done: list[None] = []
        book.rounds._connection.set_progress_handler(lambda done=done: done.append(None), 100)
        assert book.at("second", at_ms, at_ms - 60_000) is None
        book.rounds._connection.set_progress_handler(None, 0)
        steps.append(len(done))
    assert steps[1] <= steps[0] + 100
    assert book.at("main-flow", START_MS + 20_000_500, START_MS + 20_000_001) is None
    assert book.at("main-flow", START_MS + 20_000_500, START_MS + 20_000_000).number == 20_000
    book.close()


def test_what_was_entered_later_bears_the_time_it_was_read(site):
    store = opened(site)
    fill(store, 100)
    entered = round_of(5, layout=MANUALLY)
    store.append(entered, at_ms=START_MS + 50_500)
    store.append(round_of(101))
    store.commit()
    book = BookReader(site.path)
    assert book.at("main-flow", START_MS + 50_700).layout.protocol == MANUAL
    assert book.at("main-flow", START_MS + 51_000).number == 51
    assert derived(site)[-2].at_ms == START_MS + 50_500
    assert store.last_values("main-flow") == {"volume_forward": "1.01"}, "a person's reading is no baseline for polls"


def test_what_a_later_boot_entered_hides_nothing_that_is_newer(site):
    store = opened(site)
    fill(store, 100)
    store.commit()
    site.close()
    later = FakeClock(boot_s=0.0, offset_ms=START_MS + 10**9)
    later.boot_id = "another"
    store = site.open(later)
    store.date_boot(later.offset_ms, "host")
    store.append(round_of(1))
    store.append(round_of(5, layout=MANUALLY), at_ms=START_MS + 50_500)
    store.commit()
    book = BookReader(site.path)
    assert book.at("main-flow", START_MS + 80_000).number == 80
    assert book.at("main-flow", START_MS + 50_700).layout.protocol == MANUAL
    assert book.at("main-flow", START_MS + 2 * 10**9).at_ms == START_MS + 10**9 + 1000


def test_nothing_can_be_entered_for_a_time_while_nobody_knows_the_time(site):
    store = site.open()
    with pytest.raises(UndatedError):
        store.append(round_of(5, layout=MANUALLY), at_ms=START_MS)
    fill(store, 1)
    assert site.numbers() == [1]
