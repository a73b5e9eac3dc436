import pytest

from agent.faults import FaultCode
from agent.store import reserve
from agent.store.cursors import subtract
from tests.agent.store.conftest import DAY_S, fill, round_of
from tests.fakes import START_MS, FakeClock


def old_site(site, count, **settings):
    """A store with `count` rounds, one each second, ten days ago."""
    store = site.open(**settings)
    store.date_boot(START_MS, "host")
    fill(store, count)
    site.clock.advance(10 * DAY_S)
    return store


def test_rows_that_everybody_has_go_by_age_in_blocks(site):
    store = old_site(site, 2500, keep_s=DAY_S)
    for _ in range(5):
        store.append(round_of(0, boot_ms=site.clock.boot_ms()))
        store.commit()
    assert site.numbers()[0] == 2001  # two whole blocks; the rest is not worth its pages yet
    counts = site.reader().counts()
    assert counts.rounds == len(site.numbers()) == store.snapshot()["rounds"]
    assert not store.faults.open()


def test_young_rows_stay(site):
    store = old_site(site, 2500, keep_s=11 * DAY_S)
    fill(store, 10)
    assert site.numbers()[0] == 1


def test_a_date_that_somebody_typed_wrong_makes_nothing_old_before_a_day_is_over(site):
    store = old_site(site, 2500, keep_s=20 * DAY_S)
    year_ms = 365 * DAY_S * 1000
    for step_ms, wait_s in ((year_ms, DAY_S - 60), (-year_ms, 10 * 60), (year_ms, DAY_S - 60)):
        site.clock.offset_ms += step_ms
        fill(store, 5)
        site.clock.advance(wait_s)
        fill(store, 5)
        assert site.numbers()[0] == 1
    site.clock.advance(120)
    fill(store, 5)
    assert site.numbers()[0] > 1


def test_a_row_that_one_platform_waits_for_stays_whatever_its_age(site):
    store = site.open(keep_s=DAY_S)
    store.date_boot(START_MS, "host")
    owed = store.begin_cursor("province")
    store.begin_cursor("cloud")
    fill(store, 4000)
    store.keep_cursor("cloud", ((4001, None),))
    store.keep_cursor("province", subtract(owed, 501, 3000))
    site.clock.advance(10 * DAY_S)
    for _ in range(5):
        fill(store, 1)
    kept = site.numbers()
    assert set(range(1, 501)) <= set(kept)
    assert set(range(3001, 4001)) <= set(kept)
    assert not set(range(501, 2501)) & set(kept)


def test_a_parked_round_stays_until_somebody_decides(site):
    store = site.open(keep_s=DAY_S)
    store.date_boot(START_MS, "host")
    store.begin_cursor("cloud")
    fill(store, 3000)
    store.park("cloud", 7, "packet too large")
    store.keep_cursor("cloud", ((3001, None),))
    site.clock.advance(10 * DAY_S)
    for _ in range(5):
        fill(store, 1)
    assert site.numbers()[:2] == [7, 3001]


def test_a_removed_uplinks_rows_stay_until_its_queue_is_dropped(site):
    store = site.open(keep_s=DAY_S)
    store.date_boot(START_MS, "host")
    store.begin_cursor("old")
    fill(store, 2000)
    site.clock.advance(10 * DAY_S)
    fill(store, 5)
    assert site.numbers()[0] == 1
    store.drop("old")
    site.clock.advance(61)
    for _ in range(3):
        fill(store, 1)
    assert site.numbers()[0] == 2001


def test_nothing_goes_by_age_while_nobody_knows_the_date(site):
    clock = FakeClock(synced=False)
    store = site.open(clock=clock, keep_s=DAY_S)
    fill(store, 2500)
    clock.advance(10 * DAY_S)
    fill(store, 5)
    assert site.numbers()[0] == 1


def test_rounds_of_a_boot_without_date_go_when_later_ones_are_old(site):
    store = site.open(clock=FakeClock(synced=False), keep_s=DAY_S)
    fill(store, 1500)
    store.close()
    clock = FakeClock()
    clock.boot_id = "00000000-0000-4000-8000-000000000002"
    store = site.open(clock=clock, keep_s=DAY_S)
    store.date_boot(START_MS, "ntp")
    fill(store, 1500)
    clock.advance(10 * DAY_S)
    for _ in range(5):
        store.append(round_of(0, boot_ms=clock.boot_ms()))
        store.commit()
    assert site.numbers()[0] == 2501  # whole seals go: 1…1000, 1001…1500 with 1501…2500; the rest is less than a block


def test_the_oldest_settled_rows_go_when_the_file_is_too_large(site):
    store = site.open(max_bytes=200_000)
    fill(store, 20_000)
    size = site.reader().counts()
    assert size.rounds < 10_000
    assert site.numbers()[-1] == 20_000
    assert site.sql("PRAGMA page_count")[0][0] * 1024 < 400_000
    assert size.evicted == 0


def test_rows_that_a_platform_waits_for_stay_even_when_the_file_is_too_large(site):
    store = site.open(max_bytes=200_000)
    store.begin_cursor("cloud")
    fill(store, 10_000)
    assert len(site.numbers()) == 10_000


def test_at_the_disk_floor_unsent_rows_go_oldest_first_and_are_counted(site, monkeypatch):
    store = site.open(free_bytes=500 << 20)
    free = [600 << 20]
    monkeypatch.setattr(store._retention.reserve, "free_bytes", lambda: free[0])
    store.begin_cursor("cloud")
    fill(store, 40_000)
    store.keep_cursor("cloud", ((1, None),))
    assert not store.faults.open()

    free[0] = 400 << 20
    before = site.sql("PRAGMA page_count")[0][0]
    fill(store, 20_000)
    kept = site.numbers()
    assert kept == list(range(kept[0], 60_001))
    assert 15_000 < kept[0] < 25_000
    counts = site.reader().counts()
    assert counts.evicted == kept[0] - 1
    assert counts.rounds == len(kept)
    assert site.sql("PRAGMA page_count")[0][0] < before * 1.1  # it goes on in the room it has
    faults = {fault.code: fault.evidence for fault in store.faults.open()}
    assert set(faults) == {FaultCode.STORE_FULL, FaultCode.STORE_EVICTED}
    assert faults[FaultCode.STORE_EVICTED]["rounds"] == str(counts.evicted)
    assert store.keep_cursor("cloud", ((1, None),)) == ((kept[0], None),)

    free[0] = 600 << 20
    fill(store, 1)
    assert not store.faults.open()
    store.close()
    store = site.open()
    assert store.begin_cursor("cloud") == ((kept[0], None),)
    assert store.snapshot()["evicted"] == counts.evicted


def test_settled_rows_go_before_unsent_ones_at_the_floor(site, monkeypatch):
    store = site.open(free_bytes=500 << 20)
    monkeypatch.setattr(store._retention.reserve, "free_bytes", lambda: 400 << 20)
    store.begin_cursor("cloud")
    fill(store, 30_000)
    assert site.reader().counts().evicted == 0  # so small a file may grow, or it would always be empty on such a disk
    settled = store.keep_cursor("cloud", ((1, 1000), (20_001, None)))
    fill(store, 15_000)
    assert store.keep_cursor("cloud", settled) == settled
    assert set(range(1, 1001)) <= set(site.numbers())
    assert len(site.numbers()) < 40_000
    assert site.reader().counts().evicted == 0


def commit_in_the_end(store):
    for _ in range(20):
        if store.commit():
            return
        store._clock.advance(1)
    raise AssertionError(store.faults.open())


def test_a_full_disk_takes_the_oldest_block_and_keeps_every_new_round(site):
    store = site.open()
    store.begin_cursor("cloud")
    fill(store, 3000)
    connection = store._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")  # SQLite then says SQLITE_FULL, as it does for ENOSPC
    for number in range(3001, 6001):
        store.append(round_of(number))
        if number % 100 == 0:
            commit_in_the_end(store)
    kept = site.numbers()
    assert kept == list(range(kept[0], 6001))
    assert site.reader().counts().evicted == kept[0] - 1 > 0
    assert len(kept) >= 2000
    assert FaultCode.STORE_FULL in {keys["code"] for keys in site.events("fault.raised")}


def test_a_few_settled_rows_do_not_keep_a_full_disk_full(site):
    store = site.open()
    store.begin_cursor("cloud")
    fill(store, 3000)
    store.keep_cursor("cloud", ((1, 10), (12, 20), (23, None)))
    connection = store._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    for number in range(3001, 4001):
        store.append(round_of(number))
        if number % 500 == 0:
            commit_in_the_end(store)
    assert site.numbers()[-1] == 4000
    assert site.reader().counts().evicted >= 500


def test_the_reserve_is_there_and_given_back_when_the_disk_is_full(site):
    store = site.open()
    reserve = site.path.with_name("qushui.db.reserve")
    assert reserve.stat().st_blocks > 0
    connection = store._writer._connection
    connection.execute("PRAGMA max_page_count=1")
    fill(store, 500, commit=1000)
    assert store._kept is not None
    assert not reserve.exists()
    connection.execute("PRAGMA max_page_count=1000000")
    assert store.commit()
    assert site.numbers() == list(range(1, 501))


@pytest.mark.parametrize("free_bytes", [0, 4 << 10])
def test_no_reserve_is_made_where_there_is_no_room_for_it(site, monkeypatch, free_bytes):
    monkeypatch.setattr(reserve.Reserve, "free_bytes", lambda _: free_bytes)
    site.open()
    assert not site.path.with_name("qushui.db.reserve").exists()
