"""Bytes that no centre should send: refused or closed by the stated rule, said once, no effect on other centres."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.report.content import Content, Kind, Sample
from agent.uplinks.dialogue import Acknowledged, Delivery, Dialogue, Moment, Unanswered
from agent.uplinks.sl651.dialogue import Sl651Dialogue
from agent.uplinks.sl651.options import WireOptions as Sl651
from agent.uplinks.szy206.dialogue import Szy206Dialogue
from agent.uplinks.szy206.options import WireOptions as Szy206
from simulators.platforms.centre.server import CentreServer
from tests.stepped import CHINA, SteppedClock, SteppedStation
from tests.system.station import BULK

NOW_MS = 1_795_219_200_000
REPORT = Content(kind=Kind.TIMED, slot_ms=NOW_MS, samples=(Sample(1, "flow_rate", "5", NOW_MS, "measured", "a-1"),))
FOREIGN = bytes.fromhex("7E7E3301060001011234370008")  # a head, the length of a report: the rest never comes
TWO = (
    '  good: {{type: szy206, host: 127.0.0.1, port: {good}, station: "4302810007", jitter: 0ms, '
    "intakes: {{1: well-3}}}}\n"
    '  bad: {{type: {kind}, host: 127.0.0.1, port: {bad}, station: "3301060001", jitter: 0ms, reconnect_max: 1s, '
    "intakes: {{1: well-3}}}}\n"
)


class Hostile:
    """Accepts, and does with each connection what it is told, until the end."""

    def __init__(self, does: Callable[[socket.socket, threading.Event], None]) -> None:
        self._does = does
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self._listener.settimeout(0.1)
        while not self._stop.is_set():
            with suppress(OSError):
                connected, _ = self._listener.accept()
                self.connections += 1
                with connected, suppress(OSError):
                    self._does(connected, self._stop)

    @contextmanager
    def running(self) -> Iterator[Hostile]:
        self._thread.start()
        yield self
        self._stop.set()
        self._thread.join(5)
        self._listener.close()


def garbage(connected: socket.socket, stop: threading.Event) -> None:
    """At line speed."""
    noise = random.Random(1).randbytes(1 << 20)
    while not stop.is_set():
        connected.sendall(noise)


def drip(connected: socket.socket, stop: threading.Event) -> None:
    """A byte now and then, which keeps an announced frame open for ever."""
    connected.sendall(FOREIGN)
    while not stop.wait(0.02):
        connected.sendall(b"\0")


def closes(connected: socket.socket, _: threading.Event) -> None:
    """Nothing else."""
    connected.close()


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
@pytest.mark.parametrize("does", [garbage, drip, closes])
def test_a_hostile_centre_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, does: Callable[[socket.socket, threading.Event], None]
) -> None:
    clock = SteppedClock(datetime(2026, 11, 20, 7, 40, tzinfo=CHINA))
    with Hostile(does).running() as bad, CentreServer("szy206", now=clock.local) as good:
        uplinks = TWO.format(good=good.port, bad=bad.port, kind=kind)
        with SteppedStation(tmp_path, uplinks, clock=clock, poll="10m", patch=monkeypatch) as station:
            station.until(lambda: bool(good.online()) and bad.connections > 0, "both are there")
            for _ in range(12):
                clock.advance(600)
                station.read()
                station.until(lambda: station.is_quiet("good"), "the good one gets everything")
            assert good.wait(lambda: good.report()["acknowledged"] == 2, 5)
            assert len(station.store.outbox.waiting("bad")) == 2, "nothing is lost, nothing is acknowledged"
            said = [keys for name, keys in station.log.events if name == "uplink.violated"]
            assert len(said) <= bad.connections, "once per connection"
            if does is garbage:
                before = bad.connections
                for _ in range(500):  # closed, and tried again
                    clock.advance(1)
                    with suppress(AssertionError):
                        station.until(lambda: bad.connections > before, "a new connection", within_s=0.02)
                        break
                assert bad.connections > before


# --- the dialogues alone


def sl651() -> Dialogue:
    numbers = iter(range(1, 1 << 30))
    return Sl651Dialogue(Sl651(station="3301060001", password="1234"), next_serial=lambda: next(numbers) % 65535 + 1)


def szy206() -> Dialogue:
    return Szy206Dialogue(Szy206(station="4302810007", wants_login_answer=False))


def in_the_air(make: Callable[[], Dialogue]) -> Dialogue:
    dialogue = make()
    dialogue.opened(Moment(0.0, NOW_MS))
    dialogue.send(Delivery(tag=7, serial=7, content=REPORT), Moment(0.0, NOW_MS))
    return dialogue


@pytest.mark.parametrize("make", [sl651, szy206])
def test_ten_million_bytes_of_noise_acknowledge_nothing_and_pile_up_nowhere(make: Callable[[], Dialogue]) -> None:
    chance = random.Random(651)
    heads = (b"\x7e\x7e\x33\x01\x06\x00\x01\x01\x12\x34\x32\x80\x08\x02", b"\x68\x0c\x68\x33\x43\x02\x81\x07\x00\xc0")
    dialogue = in_the_air(make)
    for at in range(0, 10_000_000 if BULK else 1_000_000, 4096):
        head = heads[chance.randrange(2)]
        data = chance.randbytes(chance.randrange(1, 4096 - len(head))) + head + chance.randbytes(16)
        step = dialogue.receive(data, Moment(at / 1e6, NOW_MS))
        assert not [each for each in step.happenings if isinstance(each, Acknowledged | Unanswered)]
        assert sum(map(len, step.data)) <= 65_536


@pytest.mark.parametrize("make", [sl651, szy206])
@settings(max_examples=5000 if BULK else 150, deadline=None)
@given(pieces=st.lists(st.binary(max_size=300), max_size=8), ticks=st.lists(st.floats(0, 100), max_size=8))
def test_whatever_comes_in_whatever_order_a_dialogue_goes_on(
    make: Callable[[], Dialogue], pieces: list[bytes], ticks: list[float]
) -> None:
    dialogue, now_s = in_the_air(make), 0.0
    for at, piece in enumerate(pieces):
        step = dialogue.receive(piece, Moment(now_s, NOW_MS if at % 2 else None))
        assert not [each for each in step.happenings if isinstance(each, Acknowledged)]
        now_s += ticks[at] if at < len(ticks) else 1.0
        if dialogue.deadline_s <= now_s:
            dialogue.tick(Moment(now_s, NOW_MS))
