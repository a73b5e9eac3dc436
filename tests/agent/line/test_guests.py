"""Questions of others on a polled line: nobody's slot pays for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.line.guests import Guest, Guests
from agent.line.line import Transaction
from agent.line.ports import LineDownError, WireSettings
from drivers.modbus_search import is_whole_modbus, modbus_calls
from drivers.raw import RawAsk
from tests.agent.line.bus import Bus

WIRE = WireSettings(baud=115200)


def guest(address: int, wait_s: float = 0.1) -> Guest:
    (call,) = modbus_calls(framing="rtu", numbers=[address])
    ask = RawAsk(call.ask.begin(0).request, is_whole_modbus)
    return Guest(ask=ask, wire=WIRE, address=str(address), wait_s=wait_s)


class FakeLine:
    """A line on which nobody answers and each question takes its wait."""

    is_numbered = False
    timeout_s = 1.0
    busy_s = 0.0

    def next_number(self) -> int:
        return 1

    def transact(self, exchange: Any, wire: WireSettings, delay: Any, *, timeout_s: float) -> Transaction:
        self.busy_s += timeout_s
        return Transaction(reply=None, error=None, asked_s=100.0, at_s=100.0, received=b"")


def waiting(*guests: Guest) -> Guests:
    found = Guests(FakeLine())  # type: ignore[arg-type]
    for each in guests:
        found.invite(each)
    assert found.is_waiting
    return found


def test_a_guest_asks_in_a_pause_that_is_long_enough() -> None:
    guests = waiting(guest(9, 0.2))
    assert guests.may_ask(0.0, pause_s=0.5)
    assert guests.ask(pause_s=0.5) == ("9", 102.0)
    assert not guests.is_waiting


def test_nobody_due_is_kept_waiting_while_there_are_pauses() -> None:
    guests = waiting(guest(9, 0.2))
    assert not guests.may_ask(0.0, pause_s=0.0)
    assert not guests.may_ask(4.0, pause_s=-0.1)


def test_on_a_full_bus_guests_get_a_small_share() -> None:
    asked_s = 0.0
    guests = waiting(*(guest(9, 1.0) for _ in range(100)))
    now_s = 0.0
    while now_s < 600:
        if guests.is_waiting and guests.may_ask(now_s, pause_s=0.0):
            guests.ask(pause_s=0.0)
            asked_s += 1.0
        now_s += 0.1
    assert 0.03 * 600 < asked_s < 0.06 * 600


def test_a_guest_who_left_is_not_asked_for() -> None:
    gone = guest(9)
    gone.answer.cancel()
    guests = Guests(FakeLine())  # type: ignore[arg-type]
    guests.invite(gone)
    assert not guests.is_waiting


def test_guests_are_told_that_the_line_is_away() -> None:
    first, second = guest(1), guest(2)
    waiting(first, second).dismiss(LineDownError("gone"))
    for each in (first, second):
        with pytest.raises(LineDownError):
            each.answer.result(0)


def test_a_polled_bus_answers_guests_and_skips_no_slot(tmp_path: Path) -> None:
    with Bus(tmp_path, count=2, poll="500ms") as bus:
        bus.start()
        bus.sink.reached(lambda: len(bus.sink.rounds) >= 4)
        number, found = bus.poller.ask(guest(1, 0.2), 10.0)
        assert found.reply is not None
        assert number > 0
        for address in (40, 41):
            _, dead = bus.poller.ask(guest(address, 0.2), 10.0)
            assert dead.received == b""
        bus.sink.reached(lambda: len(bus.sink.rounds) >= 12)
        assert bus.poller.snapshot()["skipped"] == 0
        assert all(not found.quality for found in bus.sink.rounds)


def test_a_guest_on_a_line_that_is_away_is_refused(tmp_path: Path) -> None:
    bus = Bus(tmp_path)  # nobody opens the far end
    try:
        bus.start()
        with pytest.raises(LineDownError):
            bus.poller.ask(guest(1), 10.0)
    finally:
        bus.stop()
