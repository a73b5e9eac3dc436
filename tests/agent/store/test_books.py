"""Water accounts in the store: rounds in, readings of intakes out, with the same commit."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal

import pytest

from agent.faults import FaultCode
from agent.intakes import account
from agent.model import INTAKE, StoredRound
from agent.store.book import KINDS
from agent.store.reader import Reader
from tests.agent.store.accounts import HOUR_MS, CountingAccount, counting
from tests.agent.store.conftest import LAYOUT, fill, layout_of, round_of
from tests.fakes import BOOT_ID, START_MS, FakeClock


def keep(store, *intakes) -> None:
    store.keep_books(intakes or (counting(),), fault_of=lambda rule, quantity: FaultCode.METER_OUT_OF_RANGE)


def opened(site, clock=None, **settings):
    """A store with an intake on `main-flow` in a boot that has its date."""
    store = site.open(clock, **settings)
    store.date_boot(START_MS, "host")
    keep(store)
    return store


def derived(site, quantity: str = "volume_withdrawn") -> list[StoredRound]:
    return [each for each in site.rounds() if each.layout.protocol == INTAKE and quantity in each.layout.quantities]


def totals(site) -> list[str | None]:
    return [each.texts[0] for each in derived(site)]


def test_what_follows_from_a_round_is_stored_with_it(site):
    store = opened(site)
    for number in (1, 3, 4):
        store.append(round_of(number))
    store.commit()
    assert site.numbers() == [1, 2, 3, 4, 5, 6]
    assert totals(site) == ["0", "0.02", "0.03"]
    first = derived(site)[0]
    assert first.number == 4
    assert first.at_ms == START_MS + 1000
    assert first.layout.meter == "well-3"
    assert first.layout.address == "W-3"
    assert first.layout.requests == (b"",)
    assert first.quality == {"volume_withdrawn": ("HELD",)}
    assert json.loads(first.proof)["to"] == f"{site.reader().epoch}-1"
    assert store.committed == 6


def test_rounds_of_other_meters_cost_nothing_and_change_nothing(site):
    store = opened(site)
    store.append(round_of(1, layout=layout_of("pump-kwh")))
    store.commit()
    assert site.numbers() == [1]
    assert not derived(site)


def test_without_intakes_no_round_is_looked_at(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 10)
    assert site.numbers() == list(range(1, 11))
    assert not site.path.with_name("qushui.db.totals").exists()
    assert not store._books.is_behind


def test_an_uplink_owes_the_readings_of_an_intake_like_any_other(site):
    store = opened(site)
    store.begin_cursor("cloud")
    fill(store, 2)
    store.keep_cursor("cloud", ((3, None),))
    store.commit(every=True)
    assert site.reader().cursor("cloud") == ((3, None),)
    assert [each.number for each in derived(site)] == [3, 4]


def test_a_refused_commit_is_repeated_without_stepping_the_account_twice(site, monkeypatch):
    store = opened(site)
    fill(store, 2)
    write = store._writer.write
    monkeypatch.setattr(store._writer, "write", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "I/O error")))
    store.append(round_of(7))
    assert not store.commit()
    monkeypatch.setattr(store._writer, "write", write)
    assert store.commit()
    assert totals(site) == ["0", "0.01", "0.06"]
    assert len(derived(site)) == 3


def test_rounds_that_come_while_accounts_are_stepped_are_heard_with_the_next_commit(site, monkeypatch):
    store = opened(site)
    fill(store, 1)
    hear = CountingAccount.hear

    def meanwhile(self, heard):
        if heard.number == 3:
            store.append(round_of(9))
        return hear(self, heard)

    monkeypatch.setattr(CountingAccount, "hear", meanwhile)
    store.append(round_of(5))
    store.commit()
    assert [(each.number, each.layout.protocol) for each in site.rounds()][2:] == [
        (3, "modbus"),
        (4, "modbus"),
        (5, INTAKE),
    ]
    assert store._is_due()
    store.commit()
    assert totals(site) == ["0", "0.04", "0.08"]
    assert not store._is_due()


@pytest.mark.parametrize("stop", ["kill", "clean stop"])
def test_after_a_restart_totals_go_on_to_the_last_digit_and_nothing_is_told_twice(site, stop):
    store = opened(site)
    fill(store, 5)
    store.append(round_of(8))
    store.commit()
    before = [each.id for each in site.rounds()]
    site.kill() if stop == "kill" else site.close()
    store = opened(site)
    store.commit()
    assert [each.id for each in site.rounds()] == before
    store.append(round_of(11))
    store.commit()
    assert totals(site)[-1] == "0.10"
    assert len(derived(site)) == 7


def test_what_a_kill_kept_from_being_derived_is_derived_after_it(site, monkeypatch):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 4)
    site.kill()
    store = opened(site)  # an intake that was configured later: everything stored is its past
    store.commit()
    assert totals(site) == ["0", "0.01", "0.02", "0.03"]
    assert [each.at_ms for each in derived(site)] == [START_MS + 1000 * number for number in range(1, 5)]


def test_a_boot_without_a_date_waits_and_is_caught_up_with_when_it_gets_one(site):
    store = site.open()
    keep(store)
    fill(store, 3)
    assert not derived(site)
    assert not store._is_due()
    store.date_boot(START_MS, "manual")
    store.commit()
    store.commit()
    assert totals(site) == ["0", "0.01", "0.02"]
    store.append(round_of(4))
    store.commit()
    assert totals(site)[-1] == "0.03"


def test_rounds_of_a_boot_that_never_got_a_date_are_passed_over(site):
    store = site.open()
    keep(store)
    fill(store, 3)
    site.close()
    clock = FakeClock()
    clock.boot_id = BOOT_ID.replace("1", "2")
    store = opened(site, clock)
    store.append(round_of(10))
    store.append(round_of(12))
    store.commit()
    assert totals(site) == ["0", "0.02"]


def test_catching_up_takes_a_bounded_piece_with_each_commit(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 1200)
    keep(store)
    commits = 0
    while store._is_due():
        store.commit()
        commits += 1
        assert commits < 10
    assert commits == 3
    assert len(derived(site)) == 1200
    assert totals(site)[-1] == "11.99"


def test_an_account_that_raises_costs_no_round_and_goes_on_after_the_next_start(site, monkeypatch):
    store = opened(site)
    fill(store, 2)
    store.append(round_of(66_666))
    store.append(round_of(66_700))
    store.commit()
    assert [each.texts[0] for each in site.rounds() if each.layout == LAYOUT][-2:] == ["666.66", "667.00"]
    (fault,) = store.faults.open()
    assert (fault.code, fault.place) == (FaultCode.INTAKE_STOPPED, "intake/well-3")
    assert store.accounts()["well-3"]["state"] == "stopped"
    assert len(derived(site)) == 2
    hear = CountingAccount.hear
    mended = {"volume_forward": Decimal(3)}
    monkeypatch.setattr(
        CountingAccount,
        "hear",
        lambda self, heard: hear(self, heard._replace(values=mended) if heard.number == 5 else heard),
    )
    keep(store)
    store.commit()
    assert totals(site) == ["0", "0.01", "2.99", "666.99"]
    assert not store.faults.open()


def test_an_account_that_could_not_be_read_is_read_with_the_next_commit(site, monkeypatch):
    store = opened(site)
    fill(store, 2)
    site.kill()
    store = opened(site)
    query = Reader.query
    refused = iter((True, True, False))

    def failing(self, sql, parameters):
        if "FROM account" in sql and next(refused, False):
            raise sqlite3.OperationalError("disk I/O error")
        return query(self, sql, parameters)

    monkeypatch.setattr(Reader, "query", failing)
    store.append(round_of(5))
    for _ in range(4):
        store.commit()
    assert totals(site) == ["0", "0.01", "0.04"]
    assert not store.faults.open()
    assert len(site.events("books.not_read")) == 2


def test_a_fault_of_the_books_themselves_costs_no_round(site, monkeypatch):
    store = opened(site)
    monkeypatch.setattr(store._books, "_hear_live", lambda *_: 1 / 0)
    store.append(round_of(1))
    store.commit()
    assert site.numbers() == [1]
    assert {fault.code for fault in store.faults.open()} == {FaultCode.INTAKE_STOPPED}


def test_a_finding_is_an_event_and_a_fault_until_it_ends(site):
    store = opened(site)
    fill(store, 1)
    store.append(round_of(100_000))
    store.commit()
    assert [fault.place for fault in store.faults.open()] == ["meter/main-flow"]
    assert site.sql("SELECT rule, ended_ms, first FROM event") == [("R3", None, 3)]
    site.kill()
    store = opened(site)
    store.commit()
    assert [fault.count for fault in store.faults.open()] == [1]
    store.append(round_of(200))
    store.commit()
    assert not store.faults.open()
    assert site.sql("SELECT ended_ms FROM event") == [(START_MS + 200_000,)]


def test_accounts_are_told_every_kind_that_they_hear():
    assert set(KINDS) == account.KINDS


def test_closings_are_rows_and_their_readings_rounds(site):
    store = opened(site)
    store.append(round_of(1))
    store.append(round_of(2, boot_ms=1000 + HOUR_MS))
    store.commit()
    hour_ms = START_MS // HOUR_MS * HOUR_MS + HOUR_MS
    assert site.sql("SELECT intake, at_ms, revision, number FROM closing") == [("well-3", hour_ms, 1, 1)]
    (closing,) = derived(site, "volume_hour")
    assert closing.at_ms == hour_ms
