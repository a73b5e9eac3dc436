from hypothesis import given
from hypothesis import strategies as st

from agent.store.dates import Boot, Dates, Era
from tests.agent.store.conftest import fill, round_of
from tests.fakes import START_MS, FakeClock

NEXT_BOOT = "00000000-0000-4000-8000-000000000002"
LATER_MS = START_MS + 86_400_000


def next_boot(*, synced: bool = True) -> FakeClock:
    clock = FakeClock(synced=synced)
    clock.boot_id = NEXT_BOOT
    return clock


def test_a_boot_is_dated_late_and_all_of_its_rounds_get_their_date(site):
    store = site.open(clock=FakeClock(synced=False))
    fill(store, 3)
    before = site.rounds()
    assert [each.at_ms for each in before] == [None, None, None]
    assert before[0].slot_ms is None
    store.date_boot(START_MS, "ntp")
    store.commit()
    after = site.rounds()
    assert [each.at_ms for each in after] == [START_MS + 1000 * number for number in (1, 2, 3)]
    assert [each.id for each in after] == [each.id for each in before]


def test_a_reader_learns_of_a_late_date_without_opening_again(site):
    store = site.open()
    reader = site.reader()
    fill(store, 1)
    assert reader.rounds(1, 1, limit=1)[0].at_ms is None
    store.date_boot(START_MS, "manual")
    store.commit()
    assert reader.rounds(1, 1, limit=1)[0].at_ms == START_MS + 1000


def test_a_step_of_the_clock_dates_only_what_follows(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 2)
    store.append(round_of(3))  # numbered before the step, not yet committed
    store.date_boot(START_MS + 7_200_000, "host", step=True)
    fill(store, 1)
    at = [each.at_ms - START_MS - 1000 * each.number for each in site.rounds()]
    assert at == [0, 0, 0, 7_200_000]


def test_a_boot_that_was_never_dated_stays_without_date_and_keeps_its_order(site):
    store = site.open(clock=FakeClock(synced=False))
    fill(store, 2)
    store.close()
    store = site.open(clock=next_boot())
    store.date_boot(LATER_MS, "ntp")
    fill(store, 2)
    assert [each.at_ms for each in site.rounds()] == [None, None, LATER_MS + 3000, LATER_MS + 4000]


def test_a_restart_within_a_boot_keeps_the_dates_and_saying_them_again_adds_no_row(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 2)
    store.close()
    store = site.open()
    store.date_boot(START_MS + 3, "host")  # rounding
    fill(store, 2)
    assert [each.at_ms for each in site.rounds()] == [START_MS + 1000 * number for number in (1, 2, 3, 4)]
    assert len(site.sql("SELECT id FROM era")) == 1
    assert len(site.sql("SELECT id FROM boot")) == 1


def test_a_clock_that_was_set_while_the_agent_was_down_begins_an_era(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 2)
    store.close()
    store = site.open()
    store.date_boot(START_MS + 60_000, "host")
    fill(store, 1)
    assert [each.at_ms - START_MS for each in site.rounds()] == [1000, 2000, 63_000]


def test_a_boot_dated_late_after_a_restart_dates_the_rounds_of_both_runs(site):
    for _ in range(2):
        store = site.open(clock=FakeClock(synced=False))
        fill(store, 2)
        store.close()
    store = site.open()
    store.date_boot(START_MS, "manual")
    store.commit()
    assert [each.at_ms for each in site.rounds()] == [START_MS + 1000 * number for number in (1, 2, 3, 4)]


def test_a_starting_boot_that_gave_no_round_does_not_disturb_the_next(site):
    store = site.open(clock=FakeClock(synced=False))
    store.close()
    store = site.open(clock=next_boot())
    store.date_boot(LATER_MS, "ntp")
    fill(store, 1)
    assert [each.at_ms for each in site.rounds()] == [LATER_MS + 1000]


boots = st.lists(st.tuples(st.integers(1, 30), st.sampled_from("abc")), max_size=6)
eras = st.lists(st.tuples(st.integers(1, 30), st.sampled_from("abc"), st.integers(0, 5)), max_size=8)


@given(boots, eras, st.integers(1, 35))
def test_the_date_is_that_of_the_newest_row_that_begins_at_or_before_the_number(boot_rows, era_rows, number):
    dates = Dates([Boot(*row) for row in boot_rows], [Era(*row, "host") for row in era_rows])
    offset_ms, until = dates.spell(number)

    mine = [(first, place, boot) for place, (first, boot) in enumerate(boot_rows) if first <= number]
    boot = max(mine)[2] if mine else None
    fitting = [(first, place, ms) for place, (first, of, ms) in enumerate(era_rows) if of == boot and first <= number]
    assert offset_ms == (max(fitting)[2] if fitting else None)
    for other in range(number, until or number + 5):
        assert dates.spell(other)[0] == offset_ms
