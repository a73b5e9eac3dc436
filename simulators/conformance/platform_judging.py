"""What is said of a platform's answer to a report: what is unusual in it, or why it acknowledges nothing. Pure.

Strategy: an answer that counts is looked at closely. Where none counts, whatever came instead is named: a sound frame
by the field that does not fit, bytes that are none by what they lack, and only silence is called silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.uplinks.sl651_wire.body import header_of
from agent.uplinks.sl651_wire.codes import STANDARD, Control, Direction
from agent.uplinks.szy206_wire.names import Afn
from agent.uplinks.szy206_wire.receiver import Receiver
from simulators.conformance.platform_link import PlatformLink
from simulators.conformance.platform_sides import SL651, SL651_SHEET, SZY206_SHEET, Remark, Side, Sl651Side
from simulators.conformance.verdict import Clause, Finding, differs, failed, passed
from simulators.platforms.centre.contract import Wrong
from simulators.platforms.centre.sl651_stream import Stream
from simulators.platforms.centre.szy206_stream import trouble as szy206_trouble
from simulators.platforms.centre.szy206_stream import unfinished as szy206_unfinished


def judged(link: PlatformLink, frame: Any, answers: Sequence[Any]) -> Finding:
    """One acknowledgement, looked at closely; or why there is none."""
    if not answers:
        return unacknowledged(link, frame)
    remarks = link.side.remarks(answers[0], frame)
    bad = next((each for each in remarks if each.is_failed), None)
    broken = None if bad else _broken(link)
    other = bad or next(iter(remarks), None)
    if broken is not None:
        return broken
    if other is not None:
        made = failed if other.is_failed else differs
        return made(other.reason, link.trace, clause=other.clause, **other.arguments)
    stranger = next((each for each in link.came if not _is_ours(link.side, each)), None)
    if stranger is not None:
        return differs("frame-for-another", link.trace, station=_station(stranger))
    if len(answers) > 1:
        return differs("acknowledged-often", link.trace, count=len(answers))
    delay = link.trace[-1].delay_s or 0.0
    return passed("acknowledged", link.trace, delay=f"{delay * 1000:.0f}")


def unacknowledged(link: PlatformLink, frame: Any) -> Finding:
    """A report without an acknowledgement: what came instead."""
    for answer in link.came:
        remark = next(_misses(link.side, answer, frame), None)
        if remark is not None:
            return failed(remark.reason, link.trace, clause=remark.clause, **remark.arguments)
    broken = _broken(link)
    if broken is not None:
        return broken
    if link.trace and link.trace[-1].closed:
        return failed("closed-instead", link.trace)
    return failed("not-acknowledged", link.trace, limit=f"{link.limit_s:g}")


def _broken(link: PlatformLink) -> Finding | None:
    """What is wrong with bytes of the last exchange that are no frame."""
    data = link.trace[-1].data if link.trace else b""
    wrong = _trouble(link.side, data) if data else None
    if wrong is None:
        return None
    arguments: Mapping[str, Any] = {"code": wrong.code, "details": dict(wrong.arguments)}
    return failed("answer-broken", link.trace, clause=_clause(link.side, wrong.clause), **arguments)


def _trouble(side: Side, data: bytes) -> Wrong | None:
    if isinstance(side, Sl651Side):
        stream = Stream(STANDARD)
        stream.feed(data)
        return stream.trouble() or (stream.unfinished() if stream.waiting else None)
    receiver = Receiver(images=False)
    receiver.feed(data)
    if receiver.dropped:
        return szy206_trouble(data)
    return szy206_unfinished(data[len(data) - receiver.pending :]) if receiver.pending else None


def _clause(side: Side, number: str) -> Clause:
    bare = number.removeprefix("sheet §")
    if not isinstance(side, Sl651Side):
        return Clause(SZY206_SHEET, bare)
    return Clause(SL651 if bare == number else SL651_SHEET, bare)


def _is_ours(side: Side, answer: Any) -> bool:
    return _station(answer) == side.station


def _station(answer: Any) -> str:
    found = getattr(answer, "station", None) or answer.address.hex()
    return str(found).upper()


def _misses(side: Side, answer: Any, frame: Any) -> Iterator[Remark]:
    """Why a sound frame is no acknowledgement of `frame`."""
    if isinstance(side, Sl651Side):
        yield from _misses_sl651(answer, frame)
    else:
        yield from _misses_szy206(answer, frame)


def _remark(reason: str, clause: Clause, /, **arguments: object) -> Remark:
    return Remark(reason, clause, is_failed=True, arguments=arguments)


def _misses_sl651(answer: Any, frame: Any) -> Iterator[Remark]:
    sheet = Clause(SL651_SHEET, "9.1")
    if answer.direction is not Direction.DOWN:
        yield _remark("miss-direction", Clause(SL651, "6.5.2"))
        return
    if answer.station != frame.station:
        yield _remark("miss-station", sheet, got=answer.station, asked=frame.station)
    if answer.function != frame.function:
        if answer.end is not Control.ENQ:  # a question is none of this
            yield _remark("miss-function", sheet, got=f"{answer.function:02X}", asked=f"{frame.function:02X}")
        return
    if answer.end in {Control.ENQ, Control.NAK}:
        yield _remark("miss-end", Clause(SL651_SHEET, "4"), got=answer.end.name)
    said, asked = header_of(answer), header_of(frame)
    if said is not None and asked is not None and said.serial != asked.serial:
        yield _remark("miss-serial", sheet, got=said.serial, asked=asked.serial)


def _misses_szy206(answer: Any, frame: Any) -> Iterator[Remark]:
    sheet = Clause(SZY206_SHEET, "7.2")
    if answer.afn == Afn.LINK:  # of the login, or a question
        return
    if answer.is_up:
        yield _remark("miss-direction", Clause(SZY206_SHEET, "2.2"))
        return
    if answer.address != frame.address:
        yield _remark("miss-station", sheet, got=_station(answer), asked=_station(frame))
    if answer.afn != frame.afn:
        yield _remark("miss-function", sheet, got=f"{answer.afn:02X}", asked=f"{frame.afn:02X}")
    elif answer.divs is not None:
        yield _remark("miss-split", Clause(SZY206_SHEET, "2.2"))
    else:
        yield _remark("miss-body", sheet, size=len(answer.body))
