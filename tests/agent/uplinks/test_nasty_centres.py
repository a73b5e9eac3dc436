"""Centres that answer as no centre should, over sockets: what counts as delivered is what the centre really took.

The centre is `raw_centre`, made from the sheets: it notes a report in its own table in the moment in which it answers
as the sheet says. At the end each report of the station is acknowledged, and stands in that table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.store.outbox_reader import OutboxReader
from tests.agent.uplinks.raw_centre import Answers, RawCentre, Sl651, Szy206
from tests.stepped import CHINA, SteppedClock, SteppedStation

SECTIONS = {
    Sl651: '  far: {{type: sl651, host: 127.0.0.1, port: {port}, station: "3301060001", password: "1234", '
    "jitter: 0ms, backlog: 6000, packet: 64, reconnect_max: 1s, intakes: {{1: well-3}}{more}}}\n",
    Szy206: '  far: {{type: szy206, host: 127.0.0.1, port: {port}, station: "4302810007", password: "0000", '
    "jitter: 0ms, backlog: 6000, reconnect_max: 1s, intakes: {{1: well-3}}{more}}}\n",
}
START = datetime(2026, 11, 20, 7, 40, tzinfo=CHINA)
TIMED, REPORT, KEEPALIVE, LINK = 0x32, 0xC0, 0x2F, 0x02


class Table:
    """The centre's own table: reports by serial number (SL 651) or time tag (SZY206), each with how often it came."""

    def __init__(self, protocol: type[Sl651 | Szy206], nasty: Callable[[bytes, int], Answers | None]) -> None:
        """`nasty` answers the n-th copy of a report; None: as the sheet says, and the report is taken."""
        self.protocol = protocol
        self.nasty = nasty
        self.copies: dict[bytes, int] = {}
        self.taken: dict[bytes, bytes] = {}

    def __call__(self, frame: bytes, centre: RawCentre) -> Answers:
        key = self.key(frame)
        if key is None:
            return () if self.protocol is Sl651 else self._linked(frame)
        self.copies[key] = self.copies.get(key, 0) + 1
        answers = self.nasty(frame, self.copies[key])
        if answers is None:
            self.taken[key] = self.body(frame)
            return [self.protocol.ack(frame)]
        return answers

    def key(self, frame: bytes) -> bytes | None:
        if self.protocol is Sl651:
            return frame[14:16] if frame[10] == TIMED else None
        return frame[-7:-2] if frame[9] == REPORT else None

    def body(self, frame: bytes) -> bytes:
        """What a report says, without what may differ between its copies: send time, FCB."""
        return frame[22:-3] if self.protocol is Sl651 else frame[9:-2]

    def took(self, frame: bytes) -> None:
        key = self.key(frame)
        assert key is not None
        self.taken[key] = self.body(frame)

    @staticmethod
    def _linked(frame: bytes) -> Answers:
        return [Szy206.down(frame, LINK, frame[10:11])] if frame[9] == LINK and frame[10] == 0xF0 else ()


@contextmanager
def played(
    directory: Path,
    patch: pytest.MonkeyPatch,
    table: Table,
    clock: SteppedClock,
    more: str = "",
) -> Iterator[tuple[SteppedStation, RawCentre]]:
    with RawCentre(table.protocol, table) as centre:
        uplinks = SECTIONS[table.protocol].format(port=centre.port, more=more)
        with SteppedStation(directory, uplinks, clock=clock, poll="10m", patch=patch) as station:
            yield station, centre


def hours(station: SteppedStation, clock: SteppedClock, count: int = 3) -> None:
    """So many hours of readings; what is not delivered at once follows."""
    for _ in range(6 * count):
        clock.advance(600)
        station.read()
        pause(station)


def pause(station: SteppedStation) -> None:
    """A moment of real time, for both sides' threads; less where nothing is owed."""
    end = time.monotonic() + 0.05
    while time.monotonic() < end and not station.is_quiet("far"):
        time.sleep(0.002)


def settled(station: SteppedStation, clock: SteppedClock, table: Table, least: int = 3) -> None:
    """Time goes on until everything is acknowledged; then the two tables say the same."""
    for _ in range(200):
        if station.is_quiet("far") and len(table.taken) >= least:
            break
        clock.advance(2)
        pause(station)
    assert station.is_quiet("far"), station.outgoing.snapshot()
    station.store.flush()
    reader = OutboxReader(Path(station.config.store.path))
    try:
        accepted = [row for row in reader.rows("far", state="accepted") if row.waiting.kind == "timed"]
        assert not reader.rows("far", state="parked")
    finally:
        reader.close()
    assert len(accepted) == len(table.taken) >= least, (table.copies, accepted)
    if table.protocol is Sl651:
        assert {row.waiting.serial.to_bytes(2, "big") for row in accepted} == set(table.taken)
    crashed = [keys for name, keys in station.log.events if name == "thread.restarted"]
    assert not crashed


# --- SL 651


def down(
    frame: bytes, function: int, payload: bytes = b"\0\0\x26\x11\x20\x08\0\0", end: int = 5, **other: bytes
) -> bytes:
    return Sl651.down(frame, payload, end, {"function": bytes([function]), **other})


def never_sent(frame: bytes) -> bytes:
    return Sl651.ack(frame, serial=(int.from_bytes(frame[14:16], "big") + 100).to_bytes(2, "big"))


NASTY_SL651: dict[str, Callable[[bytes, int], Answers | None]] = {
    "the serial number was never sent": lambda frame, n: [never_sent(frame)] if n < 3 else None,
    "the answer of another station": lambda f, n: [Sl651.ack(f, other={"station": b"\x33\1\6\0\2"})] if n < 3 else None,
    "a broadcast answer": lambda f, n: [Sl651.ack(f, other={"station": b"\x33\1\6\xff\xff"})] if n < 3 else None,
    "the answer of another centre": lambda f, n: [Sl651.ack(f, other={"centre": b"\2"})] if n < 3 else None,
    "another password": lambda f, n: [Sl651.ack(f, other={"password": b"\x43\x21"})] if n < 3 else None,
    "another function": lambda f, n: [Sl651.ack(f, other={"function": b"\x34"})] if n < 3 else None,
    "NAK": lambda f, n: [Sl651.ack(f, end=0x15)] if n < 3 else None,
    "ENQ": lambda f, n: [Sl651.ack(f, end=0x05)] if n < 3 else None,
    "ETX": lambda f, n: [Sl651.ack(f, end=0x03)] if n < 3 else None,
    "ETB": lambda f, n: [Sl651.ack(f, end=0x17)] if n < 3 else None,
    "its own report back": lambda f, n: [f] if n < 3 else None,
    "closed before the answer": lambda _, n: [None] if n < 2 else None,
    "closed in the middle of the answer": lambda f, n: [Sl651.ack(f)[:12], None] if n < 2 else None,
    "half an answer and then another one": lambda f, n: [Sl651.ack(f)[:12]] if n < 2 else None,
    "a hundred questions with a wrong password": lambda f, n: (
        [down(f, 0x37, password=b"\x99\x99") * 100] if n < 2 else None
    ),
    "the last bit is wrong": lambda f, n: [Sl651.ack(f)[:-1] + bytes([Sl651.ack(f)[-1] ^ 1])] if n < 3 else None,
}


@pytest.mark.parametrize("what", NASTY_SL651)
def test_no_wrong_answer_of_an_sl651_centre_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    clock, table = SteppedClock(START), Table(Sl651, NASTY_SL651[what])
    with played(tmp_path, monkeypatch, table, clock) as (station, _):
        hours(station, clock)
        settled(station, clock, table)


def taking(table: list[Table], does: Callable[[bytes], Answers]) -> Callable[[bytes, int], Answers]:
    """The report is taken, and answered as `does` says."""

    def nasty(frame: bytes, _copies: int) -> Answers:
        table[0].took(frame)
        return does(frame)

    return nasty


def singly(data: bytes) -> list[bytes | float | None]:
    return [part for at in range(len(data)) for part in (data[at : at + 1], 0.001)]


ODD_SL651: dict[str, Callable[[bytes], Answers]] = {
    "byte by byte": lambda f: singly(Sl651.ack(f)),
    "EOT": lambda f: [Sl651.ack(f, end=0x04)],
    "ACK": lambda f: [Sl651.ack(f, end=0x06)],
    "two answers glued to a question": lambda f: [Sl651.ack(f) * 2 + down(f, 0x37)],
    "a question first, glued": lambda f: [down(f, 0x45) + Sl651.ack(f)],
    "noise and half a frame before it": lambda f: [b"\x7e\x7e\x7e", Sl651.ack(f)],
    "closed with the answer": lambda f: [Sl651.ack(f), None],
    "of the last report once more, before its own": lambda f: [never_sent(f) + Sl651.ack(f)],
}


@pytest.mark.parametrize("what", ODD_SL651)
def test_a_right_answer_of_an_sl651_centre_counts_however_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    clock, tables = SteppedClock(START), list[Table]()
    tables.append(Table(Sl651, taking(tables, ODD_SL651[what])))
    with played(tmp_path, monkeypatch, tables[0], clock) as (station, _):
        hours(station, clock)
        settled(station, clock, tables[0])


def test_questions_between_the_packets_of_an_answer_are_answered_and_reports_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long history, a NAK for one packet, other questions, a NAK for a packet that is none; then the next slot."""
    clock, table = SteppedClock(START), Table(Sl651, lambda _frame, _copies: None)
    with played(tmp_path, monkeypatch, table, clock) as (station, centre):
        hours(station, clock, 2)
        (hello,) = [frame for frame in centre.frames if frame[10] == KEEPALIVE][:1]
        asked = bytes.fromhex("0000261120093000 26112006 26112009 04180000 05 2836".replace(" ", ""))
        centre.send(down(hello, 0x38, asked))
        station.until(lambda: packets(centre)[-1:] == [4], "the packets came")
        nak = [
            Sl651.down(hello, bytes([0, 0x40, at]) + bytes(8), 0x15, {"function": b"\x38"}, start=0x16) for at in (2, 9)
        ]
        centre.send(nak[0] + down(hello, 0x51) + nak[1] + down(hello, 0x45))
        station.until(lambda: {0x51, 0x45} <= {frame[10] for frame in centre.frames}, "both are answered")
        assert packets(centre) == [1, 2, 3, 4, 2]
        hours(station, clock, 1)
        settled(station, clock, table)


def packets(centre: RawCentre) -> list[int]:
    return [int.from_bytes(frame[14:17], "big") & 0xFFF for frame in centre.frames if frame[13] == 0x16]


@pytest.mark.parametrize("jump", [timedelta(hours=-3), timedelta(days=1), timedelta(days=-400)])
def test_a_clock_that_jumps_while_an_answer_is_waited_for_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    clock, table = SteppedClock(START), Table(Sl651, lambda _, n: [] if n < 3 else None)
    with played(tmp_path, monkeypatch, table, clock) as (station, centre):
        hours(station, clock, 1)
        station.until(lambda: bool(table.copies), "a report is on its way")
        clock.offset_ms += round(jump.total_seconds() * 1000)
        station.store.date_boot(clock.offset_ms, "host", step=True)
        clock.advance(25)
        station.until(lambda: max(table.copies.values()) >= 2, "it is repeated")
        reports = [frame for frame in centre.frames if frame[10] == TIMED]
        assert len({table.body(frame) for frame in reports if frame[14:16] == reports[0][14:16]}) == 1
        clock.advance(25)
        station.until(lambda: bool(table.taken), "it is taken")


def test_serial_numbers_go_from_65535_to_1_and_each_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, table = SteppedClock(START), Table(Sl651, lambda _frame, _copies: None)
    with played(tmp_path, monkeypatch, table, clock) as (station, _):
        while station.store.outbox.next_serial("far") != 65_533:
            pass
        hours(station, clock, 4)
        settled(station, clock, table, 4)
        assert list(table.taken) == [b"\xff\xfe", b"\xff\xff", b"\0\1", b"\0\2"]


# --- SZY206


NASTY_SZY206: dict[str, Callable[[bytes, int], Answers | None]] = {
    "another station": lambda f, n: [Szy206.ack(f, address=b"\x43\2\x81\0\x08")] if n < 3 else None,
    "a broadcast": lambda f, n: [Szy206.ack(f, address=b"\x43\2\x81\xff\xff")] if n < 3 else None,
    "another AFN": lambda f, n: [Szy206.ack(f, afn=0x81)] if n < 3 else None,
    "upwards": lambda f, n: [f] if n < 3 else None,
    "without its byte": lambda f, n: [Szy206.down(f, 0xC0)] if n < 3 else None,
    "with nine bytes": lambda f, n: [Szy206.down(f, 0xC0, bytes(9))] if n < 3 else None,
    "as a part": lambda f, n: [Szy206.down(f, 0xC0, b"\1", control=0x70, part=b"\1")] if n < 3 else None,
    "closed before": lambda _, n: [None] if n < 2 else None,
    "closed in the middle": lambda f, n: [Szy206.ack(f)[:7], None] if n < 2 else None,
    "half, then whole": lambda f, n: [Szy206.ack(f)[:7]] if n < 2 else None,
    "never, three times": lambda _, n: [] if n < 4 else None,
    "the last bit is wrong": lambda f, n: (
        [Szy206.ack(f)[:-2] + bytes([Szy206.ack(f)[-2] ^ 1, 0x16])] if n < 3 else None
    ),
    "a hundred orders with a wrong password": lambda f, n: (
        [Szy206.down(f, 0x12, b"\2\x99\x99\0\0\x08\x20\0") * 100] if n < 2 else None
    ),
}


@pytest.mark.parametrize("what", NASTY_SZY206)
def test_no_wrong_confirm_of_an_szy206_centre_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    clock, table = SteppedClock(START), Table(Szy206, NASTY_SZY206[what])
    with played(tmp_path, monkeypatch, table, clock) as (station, centre):
        hours(station, clock)
        settled(station, clock, table)
        counts: dict[bytes, list[int]] = {}
        for frame in centre.frames:
            if frame[9] == REPORT:
                counts.setdefault(frame[-7:-2], []).append(frame[3] >> 4 & 3)
        assert all(3 >= count >= 1 for each in counts.values() for count in each), "FCB falls from 3 to 1, never to 0"


ODD_SZY206: dict[str, Callable[[bytes], Answers]] = {
    "byte by byte": lambda f: singly(Szy206.ack(f)),
    "glued to a question": lambda f: [Szy206.ack(f) + Szy206.down(f, 0xB0, control=0x33)],
    "behind a question": lambda f: [Szy206.down(f, 0x51) + Szy206.ack(f)],
    "twice at once": lambda f: [Szy206.ack(f) * 2],
    "with a password": lambda f: [Szy206.down(f, 0xC0, b"\1\0\0")],
    "with the time of 206": lambda f: [Szy206.down(f, 0xC0, b"\1\0\0\x08\x20\0")],
    "mode 0": lambda f: [Szy206.down(f, 0xC0, b"\0")],
    "the frame count and kind it had": lambda f: [Szy206.down(f, 0xC0, b"\1", control=f[3] & 0x7F)],
    "behind a false start": lambda f: [b"\x68\xff\x68", Szy206.ack(f)],
    "closed with it": lambda f: [Szy206.ack(f), None],
}


@pytest.mark.parametrize("what", ODD_SZY206)
def test_a_right_confirm_of_an_szy206_centre_counts_however_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    clock, tables = SteppedClock(START), list[Table]()
    tables.append(Table(Szy206, taking(tables, ODD_SZY206[what])))
    with played(tmp_path, monkeypatch, tables[0], clock) as (station, _):
        hours(station, clock)
        settled(station, clock, tables[0])


def test_reports_of_a_month_that_is_over_are_parked_and_told_when_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 5-byte tag cannot date them (sheet, sections 2.6 and 9.4)."""
    clock = SteppedClock(datetime(2026, 11, 30, 20, 40, tzinfo=CHINA))
    deaf: list[Any] = [True]
    table = Table(Szy206, lambda _frame, _copies: [] if deaf else None)
    with played(tmp_path, monkeypatch, table, clock) as (station, centre):
        hours(station, clock, 5)  # until 1:40 of the first of December
        deaf.clear()
        for _ in range(60):
            clock.advance(5)
            pause(station)
        parked = [row.waiting.slot_ms for row in rows(station, "parked")]
        assert len(parked) == 3, "21:00 to 23:00"
        assert [key[3:4].hex() for key in table.taken] == ["01"] * 2
        ask = bytes([0x21]) + bytes.fromhex("21301126 23301126")
        centre.send(Szy206.down(centre.frames[0], 0xB1, ask, control=0x32))
        station.until(lambda: any(frame[9] == 0xB1 for frame in centre.frames), "the stored series is told")


def rows(station: SteppedStation, state: str) -> list[Any]:
    station.store.flush()
    reader = OutboxReader(Path(station.config.store.path))
    try:
        return reader.rows("far", state=state)
    finally:
        reader.close()
