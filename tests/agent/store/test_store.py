"""Rounds: numbered, committed in time, never counted before they are on disk."""

import threading

import pytest

from agent.clock import SystemClock
from agent.faults import FaultCode
from agent.store.pace import HOLD_S
from agent.store.waiting import BOUND
from tests.agent.store.conftest import DAY_S, LAYOUT, fill, layout_of, round_of
from tests.fakes import START_MS


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
    site.clock.advance(DAY_S)
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
