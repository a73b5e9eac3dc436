"""What the meter must refuse with the right exception, and what it must leave unanswered."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.modbus_item import BIT_TABLES
from simulators.conformance.frames import BROADCAST, EXCEPTION_BIT, read_pdu, unassigned_pdu
from simulators.conformance.session import Session
from simulators.conformance.verdict import (
    APPLICATION,
    RTU,
    SERIAL,
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

_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3  # application protocol 7
_GATEWAY_CODES = (10, 11)  # the same: no path to, or no answer from, what is behind a gateway
_EXCEPTION_BYTES = 2  # function and code
_MOST_REGISTERS, _MOST_BITS = 125, 2000  # application protocol 6.1-6.4
_LAST_REGISTER = 0xFFFF
_LAST_UNIT = 247  # serial line 2.2
_RESERVED = (248, 255)  # the same: no meter's own address
_OTHERS = 4


def _refusal(session: Session, pdu: bytes, code: int, *, may_answer: str = "") -> Finding:
    """Whether `pdu` is refused with `code`; `may_answer`: the reason by which an ordinary answer is no mistake."""
    if not session.good():
        return undecided("no-frame")
    size = session.framing.overhead + _EXCEPTION_BYTES
    heard, seen = session.send(session.frame(pdu), size=size)
    if seen is None:
        return failed("unanswered" if not heard.chunks else "garbled", [heard], code=code)
    if seen.exception == code and seen.function == pdu[0] | EXCEPTION_BIT and seen.unit == session.unit:
        return passed("refused-rightly", [heard], code=code)
    if seen.exception is not None:
        return failed("other-exception", [heard], code=code, got=seen.exception)
    if may_answer and seen.function == pdu[0]:
        return differs(may_answer, [heard])
    return failed("not-refused", [heard], code=code)


def unknown_function(session: Session) -> Finding:
    """A function that does not exist is refused with exception 1."""
    return _refusal(session, unassigned_pdu(), _ILLEGAL_FUNCTION)


def beyond_the_end(session: Session) -> Finding:
    """A read across the last address, 65535, is refused with exception 2."""
    start, count = (_LAST_REGISTER - 1, 4) if session.probe.even else (_LAST_REGISTER, 2)
    return _refusal(session, read_pdu(session.probe.function, start, count), _ILLEGAL_ADDRESS)


def unmapped(session: Session) -> Finding:
    """An address that the profile does not know is refused with exception 2."""
    count = 2 if session.probe.even else 1
    start = next(at for at in range(_LAST_REGISTER - 1, 0, -2) if not _is_known(session, at, count))
    pdu = read_pdu(session.probe.function, start, count)
    return _refusal(session, pdu, _ILLEGAL_ADDRESS, may_answer="may-be-mapped")


def _is_known(session: Session, start: int, count: int) -> bool:
    mine = (ask for ask in session.asks if ask.table == session.probe.table)
    return any(ask.start < start + count and start < ask.start + ask.size for ask in mine)


def no_registers(session: Session) -> Finding:
    """A read of nothing is refused with exception 3."""
    return _refusal(session, read_pdu(session.probe.function, session.probe.start, 0), _ILLEGAL_VALUE)


def too_many(session: Session) -> Finding:
    """Reads of more than a frame can hold are refused with exception 3, and the meter goes on."""
    most = _MOST_BITS if session.probe.table in BIT_TABLES else _MOST_REGISTERS
    finding = undecided("no-frame")
    for count in (most + 1, most + 3, _LAST_REGISTER):
        if session.probe.start + count > _LAST_REGISTER + 1 and count < _LAST_REGISTER:
            continue
        finding = _refusal(session, read_pdu(session.probe.function, session.probe.start, count), _ILLEGAL_VALUE)
        if finding.verdict != "passed":
            return finding
        if not session.is_alive():
            return failed("dead-after", session.trace[-2:], clause=Clause(SERIAL, "2.4.2"))
    return finding


def _answered(session: Session, frames: Iterable[bytes]) -> list[Heard]:
    return [heard for heard in map(session.silence_after, frames) if heard.chunks]


def other_addresses(session: Session) -> Finding:
    """Requests to other addresses stay unanswered."""
    if not session.good():
        return undecided("no-frame")
    near, far = session.unit % _LAST_UNIT + 1, (session.unit + 122) % _LAST_UNIT + 1
    units = [unit for unit in dict.fromkeys((near, far, 1, _LAST_UNIT, 2, 3)) if unit != session.unit][:_OTHERS]
    heard = _answered(session, (session.probe_frame(unit=unit) for unit in units))
    if not heard:
        return passed("silent", session.trace[-1:], total=len(units))
    own = [each for each in heard if (seen := session.framing.found(each.data)) is None or seen.unit == session.unit]
    if own or len(heard) == len(units):
        return failed("answered-for-others", (own or heard)[:3], count=len(heard), total=len(units))
    return differs("others-on-the-bus", heard[:3], count=len(heard), total=len(units))


def other_units(session: Session) -> Finding:
    """A meter on TCP may ignore the unit, but repeats the one that was asked."""
    if not session.good():
        return undecided("no-frame")
    for unit in (session.unit % _LAST_UNIT + 1, (session.unit + 122) % _LAST_UNIT + 1):
        heard = session.silence_after(session.probe_frame(unit=unit))
        seen = session.framing.found(heard.data)
        if heard.chunks and (seen is None or seen.unit != unit):
            return failed("other-unit", [heard], asked=unit, got=seen.unit if seen else "-")
        if seen is not None and seen.exception not in _GATEWAY_CODES:
            return differs("unit-ignored", [heard])
    return passed("silent", session.trace[-1:], total=2)


def reserved_addresses(session: Session) -> Finding:
    """Requests to reserved addresses stay unanswered; makers use them as a wildcard, which some manuals say."""
    if not session.good():
        return undecided("no-frame")
    heard = _answered(session, (session.probe_frame(unit=unit) for unit in _RESERVED))
    if heard:
        return differs("reserved-answered", heard, address=heard[0].sent[0])
    return passed("silent", session.trace[-1:], total=len(_RESERVED))


def broadcast(session: Session) -> Finding:
    """A read to address 0 stays unanswered, and the meter goes on."""
    if not session.good():
        return undecided("no-frame")
    heard = session.silence_after(session.probe_frame(unit=BROADCAST))
    if heard.chunks:
        return failed("broadcast-answered", [heard])
    return _goes_on(session, [heard])


def bad_checksum(session: Session) -> Finding:
    """Requests with a wrong check sum stay unanswered, and the meter goes on."""
    if not session.good():
        return undecided("no-frame")
    frames = session.framing.spoilt(session.probe_frame())
    heard = _answered(session, frames)
    if heard:
        return failed("bad-crc-answered", heard, count=len(heard), total=len(frames))
    return _goes_on(session, session.trace[-1:], len(frames))


def foreign_protocol(session: Session) -> Finding:
    """A frame of another protocol identifier is discarded, and the meter goes on."""
    if not session.good():
        return undecided("no-frame")
    (frame,) = session.framing.spoilt(session.probe_frame())
    heard = session.silence_after(frame)
    if heard.chunks:
        return failed("foreign-answered", [heard])
    session.renew()
    return _goes_on(session, [heard])


def _goes_on(session: Session, heard: list[Heard], total: int = 1) -> Finding:
    if session.is_alive():
        return passed("silent", heard, total=total)
    return failed("dead-after", [*heard, session.trace[-1]])


_TCP_ONLY = frozenset({TCP_METER})
_READ_CLAUSE = Clause(APPLICATION, "6.{function}, 7")
CASES = (
    Case(id="addressing.others", clause=Clause(SERIAL, "2.2, 2.4.2"), run=other_addresses, where=RTU, silences=4),
    Case(id="addressing.units", clause=Clause(TCP, "4.4.2.5"), run=other_units, where=_TCP_ONLY, silences=2),
    Case(id="addressing.reserved", clause=Clause(SERIAL, "2.2"), run=reserved_addresses, where=RTU, silences=2),
    Case(id="silence.broadcast", clause=Clause(SERIAL, "2.1, 2.4.1"), run=broadcast, where=RTU, silences=1, asks=1),
    Case(
        id="silence.checksum", clause=Clause(SERIAL, "2.4.2, 2.5.1.2"), run=bad_checksum, where=RTU, silences=3, asks=1
    ),
    Case(id="silence.protocol", clause=Clause(TCP, "4.4.2.2"), run=foreign_protocol, where=_TCP_ONLY, silences=1),
    Case(id="exception.function", clause=Clause(APPLICATION, "7"), run=unknown_function, asks=1),
    Case(id="exception.address", clause=_READ_CLAUSE, run=unmapped, asks=1),
    Case(id="exception.end", clause=_READ_CLAUSE, run=beyond_the_end, asks=1),
    Case(id="exception.no-registers", clause=_READ_CLAUSE, run=no_registers, asks=1),
    Case(id="exception.too-many", clause=_READ_CLAUSE, run=too_many, asks=6),
)
