"""Declarations that count from earlier, other settings, lost and damaged databases: what accounts do then."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from agent.faults import FaultCode
from agent.store.books import SAVE_EVERY_S
from tests.agent.store.accounts import HOUR_MS, counting
from tests.agent.store.conftest import fill, layout_of, round_of
from tests.agent.store.test_books import derived, keep, opened, totals
from tests.agent.store.test_salvage import pages_of, spoil
from tests.fakes import START_MS

DAY_MS = 24 * HOUR_MS
MIDNIGHT_MS = START_MS - (START_MS + 8 * HOUR_MS) % DAY_MS + DAY_MS  # the first one after the start, in Shanghai


def hourly(store, hours: int, *, first: int = 1) -> None:
    """A round each hour; the register gains a cubic metre with each."""
    for number in range(first, first + hours):
        store.append(round_of(100 * number, boot_ms=HOUR_MS * number))
        store.commit()


def settle(store) -> None:
    for _ in range(20):
        store.commit()
        if not store._is_due():
            return
    raise AssertionError("it does not come to an end")


def factor(store, at_ms: int, by: str) -> int:
    return store.declare("coefficient", "W3", at_ms, {"factor": by}, "li")


def closings(site, revision: int) -> list[tuple[int, str]]:
    rows = site.sql(f"SELECT at_ms, body FROM closing WHERE revision = {revision} ORDER BY at_ms")
    return [(at_ms, json.loads(body)["total"]) for at_ms, body in rows]


def test_a_declaration_counts_from_its_time_on(site):
    store = opened(site)
    hourly(store, 3)
    factor(store, START_MS + 4 * HOUR_MS, "10")
    hourly(store, 3, first=4)
    assert totals(site) == ["0", "1.00", "2.00", "12.00", "22.00", "32.00"]
    assert not closings(site, 2)


def test_a_declaration_that_comes_late_leads_to_the_totals_it_would_have_led_to(site):
    store = opened(site)
    hourly(store, 40)
    before = len(derived(site))
    factor(store, START_MS + 36 * HOUR_MS, "10")
    settle(store)
    assert len(derived(site)) == before, "a reading that was told is not told again"
    hourly(store, 1, first=41)
    assert totals(site)[-1] == "94.00"  # 35 cubic metres alone, then ten for each of the last six
    revised = closings(site, 2)
    assert [total for _, total in revised[-4:]] == ["44.00", "54.00", "64.00", "74.00"]
    marked = [each for each in derived(site, "volume_hour") if each.quality]
    assert [each.texts[0] for each in marked] == ["44.00", "54.00", "64.00", "74.00"]
    assert {each.quality["volume_hour"] for each in marked} == {("REVISED",)}
    assert len(site.events("account.went_back")) == 1


@pytest.mark.parametrize("stop", ["kill", "clean stop"])
def test_a_restart_on_the_way_back_changes_nothing(site, stop):
    store = opened(site)
    for number in range(1, 1300):
        store.append(round_of(100 * number, boot_ms=60_000 * number))
        if number % 100 == 0:
            store.commit()
    store.commit()
    factor(store, START_MS + 60_000, "2")
    store.commit()
    assert store.accounts()["well-3"]["state"] == "behind"
    site.kill() if stop == "kill" else site.close()
    store = opened(site)
    settle(store)
    store.append(round_of(130_000, boot_ms=60_000 * 1300))
    store.commit()
    assert totals(site)[-1] == "2598.00"
    assert len(derived(site)) == 1300


def test_two_late_declarations_at_once_go_back_to_the_earlier_one(site):
    store = opened(site)
    hourly(store, 60)
    factor(store, START_MS + 58 * HOUR_MS, "10")
    factor(store, START_MS + 6 * HOUR_MS, "2")
    settle(store)
    hourly(store, 1, first=61)
    # rounds 2…5 count once, 6…57 twice, 58…61 ten times
    assert totals(site)[-1] == str(Decimal(4 + 2 * 52 + 10 * 4).quantize(Decimal("0.01")))


def test_what_a_declaration_disproves_is_no_event_any_more(site):
    store = opened(site)
    hourly(store, 30)
    store.append(round_of(100_000, boot_ms=31 * HOUR_MS))
    store.commit()
    assert len(site.sql("SELECT * FROM event")) == 1
    factor(store, START_MS + 2 * HOUR_MS, "2")
    settle(store)
    assert [row[0] for row in site.sql("SELECT began_ms FROM event")] == [START_MS + 31 * HOUR_MS]
    assert [fault.code for fault in store.faults.open()] == [FaultCode.METER_OUT_OF_RANGE]


def test_a_declaration_from_before_what_is_stored_is_refused_and_logged(site):
    store = opened(site, max_bytes=60_000)
    for number in range(1, 3000):
        store.append(round_of(number))
        if number % 100 == 0:
            store.commit()
            settle(store)
    assert site.reader().counts().first > 1
    row = factor(store, START_MS + 1000, "2")
    settle(store)
    assert site.events("declaration.refused") == [{"intake": "well-3", "id": row, "kind": "coefficient"}]
    assert store.accounts()["well-3"]["state"] == "live"


def test_other_settings_go_on_from_where_the_account_is(site):
    store = opened(site)
    fill(store, 3)
    keep(store, counting(version="ffffffff", meters=("main-flow", "second")))
    store.append(round_of(5))
    store.append(round_of(7, layout=layout_of("second")))
    store.commit()
    assert totals(site) == ["0", "0.01", "0.02", "0.04", "0.06"]
    assert [each.layout.version for each in derived(site)][-2:] == ["ffffffff"] * 2


def test_an_intake_that_comes_back_goes_on_from_where_it_was(site):
    store = opened(site)
    fill(store, 3)
    store.keep_books((), fault_of=lambda *_: None)
    fill(store, 3)
    assert store.accounts() == {}
    keep(store)
    settle(store)
    assert totals(site)[-1] == "0.08"


def test_the_account_is_kept_each_hour_in_the_database_and_beside_it(site):
    store = opened(site)
    fill(store, 3)
    beside = site.path.with_name("qushui.db.totals")
    assert not beside.exists()
    site.clock.advance(SAVE_EVERY_S)
    store.append(round_of(4))
    store.commit()
    kept = json.loads(beside.read_text())
    assert kept["number"] == store.committed
    assert kept["intakes"]["well-3"]["number"] == store.committed
    assert site.sql("SELECT intake, number, state FROM account") == [("well-3", 8, kept["intakes"]["well-3"]["state"])]


def lose(site, how: str) -> None:
    match how:
        case "deleted":
            for suffix in ("", "-wal", "-shm"):
                site.path.with_name(f"qushui.db{suffix}").unlink(missing_ok=True)
        case "damaged":
            spoil(site.path, 1, pages_of(site.path))
        case "an old copy":
            site.path.write_bytes((site.path.parent / "old").read_bytes())


@pytest.mark.parametrize("how", ["deleted", "damaged", "an old copy"])
def test_a_lost_database_does_not_cost_the_total(site, how):
    store = opened(site)
    fill(store, 10)
    site.close()
    (site.path.parent / "old").write_bytes(site.path.read_bytes())
    store = opened(site)
    for number in range(11, 21):
        store.append(round_of(number))
    store.commit()
    top = store.committed
    site.close()
    lose(site, how)
    store = opened(site)
    number = store.append(round_of(50))
    settle(store)
    assert number > top, "a number is never given twice"
    assert totals(site)[-1] == "0.49"
    counts = site.reader().counts()
    assert counts.rounds == len(site.rounds())


def test_a_damage_while_running_costs_the_account_nothing(site):
    store = opened(site)
    fill(store, 300)
    site.clock.advance(SAVE_EVERY_S)
    fill(store, 1)
    store._writer.close()
    spoil(site.path, 1, pages_of(site.path))
    site.path.with_name("qushui.db-wal").unlink(missing_ok=True)
    store.suspect()
    store.append(round_of(900))
    settle(store)
    assert totals(site)[-1] == "8.99"
    site.kill()
    store = opened(site)
    store.append(round_of(1000))
    settle(store)
    assert totals(site)[-1] == "9.99"


def test_the_same_rounds_give_the_same_totals_with_restarts_between_any_two(site, tmp_path):
    store = opened(site)
    factor(store, START_MS + 7 * HOUR_MS, "3")
    hourly(store, 30)
    whole = totals(site)
    site.close()
    for each in tmp_path.glob("qushui.db*"):
        each.unlink()
    for number in range(1, 31):
        store = opened(site)
        if number == 1:
            factor(store, START_MS + 7 * HOUR_MS, "3")
        store.append(round_of(100 * number, boot_ms=HOUR_MS * number))
        store.commit()
        site.kill() if number % 2 else site.close()
    assert totals(site) == whole
