"""Reads of parts, reads as long as allowed, and what the meter does after bytes that are no request."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.modbus import ModbusAsk
from drivers.modbus_item import BIT_TABLES
from drivers.modbus_plan import limits_of
from simulators.conformance.frames import Seen, read_pdu
from simulators.conformance.session import Sample, Session
from simulators.conformance.verdict import (
    APPLICATION,
    SERIAL,
    SERIAL_PORT,
    TCP,
    TCP_METER,
    Case,
    Clause,
    Finding,
    Heard,
    differs,
    failed,
    passed,
    undecided,
)

_REFUSED_PART = (2, 3)  # exceptions by which makers forbid to cut a value in two
_ILLEGAL_ADDRESS = 2
_MOST_BITS = 2000  # application protocol 6.1
_TRIES = 3  # changing values: the same words before and after
_PARTS = 8  # at most, of one read
_GARBAGE = bytes.fromhex("00 FF 55 AA 00 FF")  # no address, no function, no check sum of any meter
_TCP_GARBAGE = bytes.fromhex("55 55 55 55 55 55 55 01 01 01 01 01")  # another protocol, of no length that can be
_PATIENT_S = 0.1  # the pause a master makes after an error
_REPEATS = 3


def partial(session: Session) -> Finding:
    """Registers read in parts are those read together; a maker may forbid to cut a value (exception 2 or 3)."""
    step = 2 if session.probe.even else 1
    wide = [ask for ask in session.asks if ask.size > step and ask.table not in BIT_TABLES]
    if not session.good() or not wide:
        return undecided("no-frame" if not session.good() else "nothing-to-cut")
    ask = min(wide, key=lambda each: each.size)
    for _ in range(_TRIES):
        before = _registers(session.ask(ask))
        parts = [_part(session, ask, at, step) for at in range(0, min(ask.size, _PARTS * step), step)]
        after = _registers(session.ask(ask))
        finding = _compared(parts, before, after)
        if finding is not None:
            return finding
    return undecided("values-move")


def _registers(sample: Sample) -> bytes | None:
    """The data of a right answer."""
    data: bytes | None = None if sample.values is None else sample.seen.registers
    return data


def _compared(parts: Sequence[tuple[Heard, Seen | None]], before: bytes | None, after: bytes | None) -> Finding | None:
    """What the parts prove; None where the values moved between the whole reads before and after them."""
    refused = next((heard for heard, seen in parts if seen and seen.exception in _REFUSED_PART), None)
    if refused is not None:
        return differs("part-refused", [refused])
    broken = next((heard for heard, seen in parts if seen is None or seen.registers is None), None)
    if broken is not None:
        return failed("part-unanswered", [broken])
    if before is None or before != after:
        return None
    words = b"".join(seen.registers for _, seen in parts if seen is not None and seen.registers is not None)
    if words != before[: len(words)]:
        return failed("parts-differ", [heard for heard, _ in parts[:3]])
    return passed("parts-agree", [heard for heard, _ in parts[:2]], total=len(parts))


def _part(session: Session, ask: ModbusAsk, at: int, size: int) -> tuple[Heard, Seen | None]:
    frame = session.frame(read_pdu(ask.function, ask.start + at, size))
    return session.send(frame, size=session.framing.overhead + 2 + 2 * size)


def longest(session: Session) -> Finding:
    """The longest read the meter allows is answered, or refused because not all registers exist."""
    if not session.good():
        return undecided("no-frame")
    ask = session.probe
    most = _MOST_BITS if ask.table in BIT_TABLES else limits_of(session.profile.limits).max_registers
    most -= most % 2 if ask.even else 0
    start = min(ask.start, 0x10000 - most)
    data_size = (most + 7) // 8 if ask.table in BIT_TABLES else 2 * most
    frame = session.frame(read_pdu(ask.function, start, most))
    heard, seen = session.send(frame, size=session.framing.overhead + 2 + data_size)
    if seen is None:
        return failed("garbled" if heard.chunks else "unanswered", [heard], code=_ILLEGAL_ADDRESS)
    if seen.registers is not None and len(seen.registers) == data_size:
        return passed("longest-answered", [heard], count=most)
    if seen.exception == _ILLEGAL_ADDRESS:
        return passed("longest-not-mapped", [heard], count=most)
    return failed("longest-refused", [heard], count=most, got=seen.exception or "-")


def garbage(session: Session) -> Finding:
    """After bytes that are no request, and the silence, an ordinary read is answered."""
    return _recovers(session, _GARBAGE)


def truncated(session: Session) -> Finding:
    """After half a request, and the silence, an ordinary read is answered."""
    frame = session.probe_frame()
    return _recovers(session, frame[: len(frame) // 2])


def _recovers(session: Session, noise: bytes) -> Finding:
    """Passed when a read right after the silence is answered; a meter that needs a pause differs."""
    if not session.good():
        return undecided("no-frame")
    for _ in range(_REPEATS):  # a receiver on a busy machine may see both as one
        heard, _ = session.send(noise, wait_s=0.0)
        if heard.chunks:
            return failed("garbage-answered", [heard], clause=Clause(SERIAL, "2.4.2"))
        if session.is_alive():
            return passed("recovered", session.trace[-2:])
        session.settle()
    heard, _ = session.send(noise, wait_s=_PATIENT_S)
    if session.is_alive():
        return differs("recovered-late", session.trace[-2:], pause=f"{_PATIENT_S * 1000:.0f}")
    return failed("dead-after", session.trace[-2:])


def glued(session: Session) -> Finding:
    """Two requests without a silence are no frame, or two; the meter goes on."""
    if not session.good():
        return undecided("no-frame")
    ask = session.probe
    frame = session.probe_frame()
    heard, seen = session.send(frame + frame, wait_s=session.quiet_s, size=2 * ask.reply_size)
    session.settle()
    if not session.is_alive():
        return failed("dead-after", [heard, session.trace[-1]])
    if not heard.chunks:
        return passed("glued-dropped", [heard])
    if seen is None or seen.before:
        return differs("glued-garbled", [heard])
    return passed("glued-answered", [heard])


def split(session: Session) -> Finding:
    """A request that comes in two pieces is answered: TCP is a stream."""
    if not session.good():
        return undecided("no-frame")
    frame = session.probe_frame()
    first, _ = session.send(frame[:5], wait_s=0.05)
    second, seen = session.send(frame[5:], size=session.probe.reply_size)
    if seen is not None and seen.registers is not None:
        return passed("split-answered", [first, second])
    session.renew()
    return failed("split-lost", [first, second])


def pipelined(session: Session) -> Finding:
    """Two requests in one piece are both answered, or the second one with exception 6, busy."""
    if not session.good():
        return undecided("no-frame")
    frames = [session.probe_frame(), session.probe_frame()]
    heard, first = session.send(b"".join(frames), size=2 * session.probe.reply_size)
    answered = set()
    while first is not None and first.head is not None:
        answered.add(first.head[0])
        first = session.framing.found(first.after)
    asked = {int.from_bytes(frame[:2], "big") for frame in frames}
    if answered == asked:
        return passed("both-answered", [heard])
    session.settle()
    if len(answered) == 1 and answered < asked:
        return differs("one-answered", [heard])
    session.renew()
    return failed("unanswered-pair", [heard])


def reconnected(session: Session) -> Finding:
    """After garbage or half a request and a new connection, an ordinary read is answered."""
    if not session.good():
        return undecided("no-frame")
    half = session.probe_frame()[:7]
    for noise in (_TCP_GARBAGE, half):
        heard, _ = session.send(noise, wait_s=_PATIENT_S)
        if heard.chunks:
            return failed("garbage-answered", [heard], clause=Clause(TCP, "4.4.2.2"))
        session.renew()
        if not session.is_alive():
            return failed("dead-after", session.trace[-2:])
    return passed("recovered", session.trace[-2:])


_TCP_ONLY = frozenset({TCP_METER})
_SERIAL_ONLY = frozenset({SERIAL_PORT})  # behind a gateway the silences are not ours to make
CASES = (
    Case(id="reading.parts", clause=Clause(APPLICATION, "6.{function}"), run=partial, asks=6),
    Case(id="reading.longest", clause=Clause(APPLICATION, "6.{function}"), run=longest, asks=1, extra_s=0.3),
    Case(id="recovery.garbage", clause=Clause(SERIAL, "2.4.2, 2.5.1.1"), run=garbage, where=_SERIAL_ONLY, asks=1),
    Case(id="recovery.truncated", clause=Clause(SERIAL, "2.5.1.1"), run=truncated, where=_SERIAL_ONLY, asks=1),
    Case(id="recovery.glued", clause=Clause(SERIAL, "2.5.1.1"), run=glued, where=_SERIAL_ONLY, asks=2),
    Case(id="recovery.split", clause=Clause(TCP, "3.1.3"), run=split, where=_TCP_ONLY, asks=2),
    Case(id="recovery.pipelined", clause=Clause(TCP, "4.4.2.2"), run=pipelined, where=_TCP_ONLY, asks=2),
    Case(
        id="recovery.reconnected", clause=Clause(TCP, "4.4.2.2"), run=reconnected, where=_TCP_ONLY, asks=2, extra_s=0.2
    ),
)
