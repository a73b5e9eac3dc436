"""The forwarder against a platform that refuses, is silent, or hangs up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.clock import SystemClock
from agent.faults import FaultCode
from agent.forward.forwarder import Forwarder
from agent.forward.lanes import Lanes
from agent.forward.session import Session
from agent.forward.window import MessageSize
from agent.model import Outcome
from agent.uplinks.contract import Batch, Limits, LinkError, Trouble
from agent.uplinks.mqtt.settings import MqttSettings
from tests.fakes import FakeClock, KeptFaults, QuietLog
from tests.forwarding import MemoryStore, ScriptedUplink, lost, until

SETTINGS = MqttSettings(type="mqtt", url="mqtt://127.0.0.1", reconnect_max="1s").options()


def accept(_batch: Batch) -> Outcome:
    return Outcome.ACCEPTED


def numbers(batch: Batch) -> list[int]:
    return [each.number for each in batch.rounds]


class Running:
    def __init__(self, store: MemoryStore, uplink: ScriptedUplink) -> None:
        self.store, self.uplink, self.faults, self.log = store, uplink, KeptFaults(), QuietLog()
        self.stop = threading.Event()
        self.forwarder = Forwarder(
            "cloud",
            uplink=uplink,
            reader_factory=lambda: store,
            store=store,
            clock=SystemClock("host"),
            log=self.log,
            faults=self.faults,
            settings=SETTINGS,
        )
        self.thread = threading.Thread(target=self.forwarder.run, args=(self.stop, lambda: None))

    def end(self) -> None:
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def running(store: MemoryStore, uplink: ScriptedUplink) -> Iterator[Running]:
    run = Running(store, uplink)
    run.thread.start()
    try:
        yield run
    finally:
        run.end()


def session(
    store: MemoryStore, uplink: ScriptedUplink, clock: FakeClock, lanes: Lanes | None = None
) -> tuple[Session, Lanes]:
    lanes = lanes or Lanes(store.kept, store.committed)
    lanes.connected(store.committed)
    made = Session(
        uplink=uplink,
        limits=uplink.limits,
        lanes=lanes,
        reader=store,
        store=store,
        clock=clock,
        message_size=MessageSize(),
        too_large=lambda number, detail: store.park("cloud", number, detail),
    )
    return made, lanes


def settle(made: Session) -> None:
    for receipt in made.pump():
        made.accepted(receipt.tag)


def test_every_committed_round_is_delivered_once_and_the_cursor_says_so():
    store, uplink = MemoryStore(), ScriptedUplink(accept)
    store.add(500)
    with running(store, uplink) as run:
        until(lambda: len(uplink.accepted) == 500, 5, "the backlog")
        store.add(20)
        until(lambda: len(uplink.accepted) == 520, 5, "live rounds")
        assert run.forwarder.snapshot()["state"] == "connected"
    assert sorted(uplink.accepted) == list(range(1, 521))
    assert store.kept == ((521, None),)
    assert uplink.farewells == 1


def test_a_stop_delivers_what_was_committed_last_before_it_says_goodbye():
    store, uplink = MemoryStore(), ScriptedUplink(accept)
    with running(store, uplink) as run:
        until(lambda: run.forwarder.snapshot()["state"] == "connected", 5, "connection")
        run.stop.set()
        store.add(3000)
    assert len(uplink.accepted) == 3000
    assert store.kept == ((3001, None),)


def test_live_rounds_overtake_a_backlog():
    store, uplink = MemoryStore(), ScriptedUplink(lambda _batch: None)
    store.add(10_000)
    made, _ = session(store, uplink, FakeClock())
    made.fill()
    under_way = len(uplink.sent)
    store.add(1)
    made.fill()
    assert numbers(uplink.sent[under_way]) == [10_001]
    assert len(uplink.sent) == under_way + 1, "the window is full of backlog, the live round is not counted in it"


def test_no_more_messages_are_under_way_than_the_platform_allows():
    uplink = ScriptedUplink(lambda _batch: None, limits=Limits(message_bytes=400, in_flight=3))
    store = MemoryStore()
    store.add(100)
    made, _ = session(store, uplink, FakeClock())
    made.fill()
    store.add(5)
    made.fill()
    assert uplink.most_in_flight == 3


def test_a_link_without_progress_for_five_seconds_is_given_up():
    clock, store, uplink = FakeClock(), MemoryStore(), ScriptedUplink(lambda _batch: None)
    store.add(10)
    made, _ = session(store, uplink, clock)
    made.fill()
    made.pump()
    clock.advance(4.9)
    made.pump()
    clock.advance(0.2)
    with pytest.raises(LinkError) as caught:
        made.pump()
    assert caught.value.trouble is Trouble.SILENT


def test_a_slow_link_is_not_given_up_while_bytes_leave():
    clock, store, uplink = FakeClock(), MemoryStore(), ScriptedUplink(lambda _batch: None)
    store.add(10)
    made, _ = session(store, uplink, clock)
    made.fill()
    for left in range(1900, 0, -100):
        uplink.waiting = left
        clock.advance(4.0)
        made.pump()


def test_an_idle_link_is_not_given_up():
    clock, store, uplink = FakeClock(), MemoryStore(), ScriptedUplink(accept)
    made, _ = session(store, uplink, clock)
    for _ in range(5):
        made.fill()
        made.pump()
        clock.advance(60)


def test_one_round_that_the_platform_rejects_is_parked_and_never_blocks_the_rest():
    uplink = ScriptedUplink(lambda batch: Outcome.REJECTED if 137 in numbers(batch) else Outcome.ACCEPTED)
    store = MemoryStore()
    store.add(300)
    with running(store, uplink) as run:
        until(lambda: len(uplink.accepted) == 299 and 137 in store.listed, 5, "all but one")
        assert (FaultCode.UPLINK_PARKED, "uplink/cloud") in run.faults.open
        assert run.forwarder.snapshot()["parked"] == 1
    assert sorted(uplink.accepted) == [number for number in range(1, 301) if number != 137]
    assert store.kept == ((301, None),)


def test_a_round_over_which_the_platform_hangs_up_is_found_and_parked():
    def judge(batch: Batch) -> Outcome | LinkError:
        return lost(Trouble.TOO_LARGE) if 7 in numbers(batch) else Outcome.ACCEPTED

    store, uplink = MemoryStore(), ScriptedUplink(judge)
    store.add(40)
    with running(store, uplink):
        until(lambda: len(set(uplink.accepted)) == 39 and 7 in store.listed, 20, "all but one")
    assert store.kept == ((41, None),)


def test_a_round_that_fits_into_no_message_is_parked():
    uplink = ScriptedUplink(accept, limits=Limits(message_bytes=100, in_flight=10))
    store = MemoryStore()
    store.add(3)
    with running(store, uplink):
        until(lambda: len(store.listed) == 3, 5, "parked")
    assert store.kept == ((4, None),)


def test_a_refusal_that_concerns_us_waits_with_a_fault_and_loses_nothing():
    is_closed = threading.Event()
    uplink = ScriptedUplink(lambda _batch: Outcome.RETRY if is_closed.is_set() else Outcome.ACCEPTED)
    store = MemoryStore()
    is_closed.set()
    store.add(50)
    with running(store, uplink) as run:
        place = (FaultCode.UPLINK_REFUSED, "uplink/cloud")
        until(lambda: place in run.faults.open, 5, "fault")
        assert run.forwarder.snapshot()["state"] == "refused"
        is_closed.clear()
        until(lambda: len(uplink.accepted) == 50, 5, "delivery")
        until(lambda: place not in run.faults.open, 5, "fault cleared")
        assert run.forwarder.snapshot()["state"] == "connected"
    assert not store.listed
    assert len(uplink.sent) < 30, "it must not hammer"


def test_a_stop_does_not_wait_for_a_platform_that_refuses():
    store, uplink = MemoryStore(), ScriptedUplink(lambda _batch: Outcome.RETRY)
    store.add(5)
    with running(store, uplink) as run:
        until(lambda: run.forwarder.snapshot()["state"] == "refused", 5, "refusal")
        run.stop.set()
        run.thread.join(3)
        assert not run.thread.is_alive()
    assert store.owed() == 5


def test_rounds_without_a_date_are_held_while_those_behind_them_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agent.forward.forwarder._HELD_S", 0.1)
    store, uplink = MemoryStore(), ScriptedUplink(accept)
    store.add(150, at_ms=None)
    store.add(30)
    with running(store, uplink):
        until(lambda: len(uplink.accepted) == 30, 5, "dated rounds")
        store.add(5, at_ms=None)
        store.add(5)
        until(lambda: len(uplink.accepted) == 35, 5, "live dated rounds")
        assert uplink.accepted == [*range(151, 181), *range(186, 191)]
        store.date(1, 150)
        store.date(181, 185)
        until(lambda: len(uplink.accepted) == 190, 5, "the rest, dated")
    assert sorted(uplink.accepted) == list(range(1, 191))


def test_undated_rounds_are_still_owed_after_a_restart():
    store, uplink = MemoryStore(), ScriptedUplink(accept)
    store.add(10, at_ms=None)
    store.add(10)
    with running(store, uplink):
        until(lambda: len(uplink.accepted) == 10, 5, "dated rounds")
    assert store.kept == ((1, 10), (21, None))


def test_rounds_given_up_at_the_disk_floor_are_no_longer_owed():
    store, uplink = MemoryStore(), ScriptedUplink(accept)
    store.add(100)
    for number in (*range(1, 31), *range(50, 60)):
        del store.rows[number]
    with running(store, uplink):
        until(lambda: store.kept == ((101, None),), 5, "nothing owed")
    assert len(uplink.accepted) == 60


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.REJECTED])
def test_what_is_sent_again_says_so_and_what_is_new_does_not(outcome: Outcome):
    first = threading.Event()

    def judge(_batch: Batch) -> Outcome:
        if first.is_set():
            return Outcome.ACCEPTED
        first.set()
        return outcome

    store, uplink = MemoryStore(), ScriptedUplink(judge)
    with running(store, uplink):
        until(lambda: uplink.opened == 1, 5, "connection")
        store.add(4)
        until(lambda: len(uplink.accepted) == 4, 5, "delivery")
        store.add(1)
        until(lambda: len(uplink.accepted) == 5, 5, "delivery")
    marks = [(numbers(batch), set(batch.resent)) for batch in uplink.sent]
    assert marks[0] == ([1, 2, 3, 4], {False})
    assert all(marks_of == {True} for found, marks_of in marks[1:] if found != [5])
    assert marks[-1] == ([5], {False})


def test_what_was_on_disk_when_the_agent_started_may_have_been_received_before():
    store, uplink = MemoryStore(), ScriptedUplink(accept)
    store.add(5)
    with running(store, uplink):
        until(lambda: len(uplink.accepted) == 5, 5, "backlog")
        store.add(2)
        until(lambda: len(uplink.accepted) == 7, 5, "live")
    assert [set(batch.resent) for batch in uplink.sent] == [{True}, {False}]


def test_a_platform_that_is_away_is_a_fault_until_it_is_back():
    store, uplink = MemoryStore(), ScriptedUplink(accept)
    uplink.refusals.extend(lost(Trouble.CONNECTION_REFUSED) for _ in range(3))
    store.add(1)
    with running(store, uplink) as run:
        until(lambda: len(uplink.accepted) == 1, 10, "delivery")
        assert not run.faults.open
    assert run.faults.times(FaultCode.UPLINK_DOWN) == 1


def test_a_platform_that_turns_us_away_is_another_fault_than_one_that_is_away():
    store, uplink = MemoryStore(), ScriptedUplink(accept)
    store.add(1)
    uplink.refusals.extend(lost(Trouble.BAD_CREDENTIALS) for _ in range(2))
    with running(store, uplink) as run:
        until(lambda: uplink.opened == 1, 10, "connection")
        until(lambda: not run.faults.open, 5, "cleared")
    assert run.faults.times(FaultCode.UPLINK_REFUSED) == 1
    assert run.faults.times(FaultCode.UPLINK_DOWN) == 0


def test_a_thread_that_was_restarted_goes_on_where_it_was():
    broken = threading.Event()

    def judge(_batch: Batch) -> Outcome:
        if not broken.is_set():
            broken.set()
            raise ValueError("a defect")
        return Outcome.ACCEPTED

    store, uplink = MemoryStore(), ScriptedUplink(judge)
    store.add(10)
    run = Running(store, uplink)
    with pytest.raises(ValueError, match="a defect"):
        run.forwarder.run(run.stop, lambda: None)
    run.thread.start()
    until(lambda: sorted(uplink.accepted) == list(range(1, 11)), 5, "delivery")
    run.end()


def test_messages_shrink_when_the_platform_hangs_up_without_a_word_and_are_not_parked():
    uplink = ScriptedUplink(lambda batch: lost() if len(batch.rounds) > 5 else Outcome.ACCEPTED)
    store = MemoryStore()
    store.add(200)
    with running(store, uplink):
        until(lambda: len(set(uplink.accepted)) == 200, 20, "delivery")
    assert not store.listed


def test_a_connection_that_is_closed_again_and_again_is_a_fault():
    store, uplink = MemoryStore(), ScriptedUplink(lambda _batch: lost())
    store.add(1)
    with running(store, uplink) as run:
        until(lambda: uplink.opened > 3, 10, "attempts")
        assert run.faults.open[FaultCode.UPLINK_DOWN, "uplink/cloud"]["trouble"] is Trouble.CLOSED
        assert run.faults.times(FaultCode.UPLINK_DOWN) == 1


def flaky(every: int) -> Callable[[Batch], Outcome | LinkError]:
    count = iter(range(10**9))
    return lambda _batch: lost() if next(count) % every == every - 1 else Outcome.ACCEPTED


def test_a_link_that_breaks_again_and_again_delivers_everything():
    store, uplink = MemoryStore(), ScriptedUplink(flaky(12))
    store.add(2000)
    with running(store, uplink):
        until(lambda: len(set(uplink.accepted)) == 2000, 20, "delivery")
    assert store.kept == ((2001, None),)
