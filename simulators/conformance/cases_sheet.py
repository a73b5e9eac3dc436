"""DL/T 645 and CJ/T 188: sound answers of the asked meter, silence where it is due, refusals, recovery, totals.

The standards are sold, and their clause numbers are not known here: each test names the rule, as `docs/reference/`
states it.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from simulators.conformance.cases_timing import ms
from simulators.conformance.cases_values import in_range, never_fall, numbers
from simulators.conformance.session import Sample, Session
from simulators.conformance.sheets import SHEETS, Sheet, answers_control, is_refusal, spoilt
from simulators.conformance.verdict import (
    PROFILE,
    RTU,
    TOTALS_FALL,
    Case,
    Clause,
    Finding,
    differs,
    failed,
    passed,
    undecided,
)

_SHOWN = 3
_WAKE = 0xFE
_USUAL_LIMIT_S = 0.5  # DL/T 645-1997: 20 to 500 ms; of 2007 not confirmed
_BETWEEN_BYTES_S = 0.6  # DL/T 645-1997: a frame is over when no byte comes for 500 ms
_GARBAGE = bytes.fromhex("00 FF 55 AA FE 00")  # no start byte
_CONTROL_OF_ADDRESS = 0x80


def _sheet(session: Session) -> Sheet:
    return SHEETS[session.profile.protocol]


def _request(session: Session) -> bytes:
    """A right request: the last one of the smallest read that was answered."""
    asked = next(each for each in session.good() if each.ask == session.probe or each.ask.items == session.probe.items)
    return asked.heard.sent


def _judged(samples: Sequence[Sample], bad: Sequence[Sample], reason: str, **more: Any) -> Finding:
    if bad:
        return failed(reason, [each.heard for each in bad[:_SHOWN]], count=len(bad), total=len(samples), **more)
    if not samples:
        return undecided("no-frame")
    return passed("all-right", [samples[0].heard], total=len(samples))


def _heard(session: Session) -> list[Sample]:
    return [each for each in session.samples() if each.heard.chunks]


def _seen(session: Session) -> list[Sample]:
    return [each for each in session.samples() if each.seen is not None]


def answers(session: Session) -> Finding:
    """Every read of the profile is answered, and not refused."""
    samples = session.samples()
    silent = [each for each in samples if not each.heard.chunks]
    refused = [each for each in _seen(session) if is_refusal(each.seen)]
    if refused and not silent:
        return _judged(samples, refused, "refused", code=refused[0].seen.body.hex().upper())
    return _judged(samples, silent, "no-answer")


def whole(session: Session) -> Finding:
    """No answer ends before its frame does."""
    heard = _heard(session)
    cut = [each for each in heard if each.seen is None and not _sheet(session).is_whole(each.heard.data)]
    return _judged(heard, cut, "cut")


def checksum(session: Session) -> Finding:
    """The check sum of every answer fits."""
    heard = [each for each in _heard(session) if each.seen or _sheet(session).is_whole(each.heard.data)]
    return _judged(heard, [each for each in heard if each.seen is None], "bad-crc")


def address(session: Session) -> Finding:
    """Answers carry the meter's address."""
    seen = _seen(session)
    other = [each for each in seen if each.seen.address != session.address.upper()]
    got = other[0].seen.address if other else ""
    return _judged(seen, other, "other-address", got=got, asked=session.address)


def control(session: Session) -> Finding:
    """Answers carry the control code of the question, with the bits of answers."""
    seen = _seen(session)
    other = [each for each in seen if not answers_control(each.seen, _control_of(session, each))]
    got = f"{other[0].seen.function:02X}" if other else ""
    asked = f"{_control_of(session, other[0]):02X}" if other else ""
    return _judged(seen, other, "other-control", got=got, asked=asked)


def _control_of(session: Session, sample: Sample) -> int:
    asked = session.dialect.found(sample.heard.sent)
    return int(asked.function)


def identifier(session: Session) -> Finding:
    """Answers carry the identifier that was asked."""
    sheet, other = _sheet(session), []
    seen = [each for each in _seen(session) if not is_refusal(each.seen)]
    for each in seen:
        asked = session.dialect.found(each.heard.sent)
        if sheet.identifier(each.seen.body, each.seen.function) != sheet.identifier(asked.body, asked.function):
            other.append(each)
    return _judged(seen, other, "other-identifier")


def alone(session: Session) -> Finding:
    """Nothing but wake-up bytes comes before a frame, and nothing behind it."""
    seen = _seen(session)
    more = [each for each in seen if each.seen.before.strip(bytes([_WAKE])) or each.seen.after]
    extra = len(more[0].seen.before.strip(bytes([_WAKE])) + more[0].seen.after) if more else 0
    return _judged(seen, more, "more-than-frame", bytes=extra)


def answer_delay(session: Session) -> Finding:
    """Every answer begins within the limit."""
    heard = [each.heard for each in _heard(session)]
    if not heard:
        return undecided("no-frame")
    delays = [each.delay_s or 0.0 for each in heard]
    shown: dict[str, Any] = {"least": ms(min(delays)), "middle": ms(median(delays)), "most": ms(max(delays))}
    late = [each for each in heard if (each.delay_s or 0.0) > session.limit_s]
    if late:
        return failed("late", late[:_SHOWN], count=len(late), total=len(heard), limit=ms(session.limit_s), **shown)
    if session.profile.protocol == "dlt645" and max(delays) > _USUAL_LIMIT_S:
        return differs("slow-answer", heard[:_SHOWN], clause=Clause("sheet-delay"), **shown)
    return passed("in-time", heard[:1], limit=ms(session.limit_s), **shown)


def other_addresses(session: Session) -> Finding:
    """Requests to other addresses stay unanswered."""
    if not session.good():
        return undecided("no-frame")
    own, answered = session.address, []
    others = [own[:-1] + str((int(own[-1]) + more) % 10) if own[-1].isdigit() else own for more in (1, 5)]
    for other in others:
        heard = session.silence_after(_sheet(session).readdressed(_request(session), other))
        seen = session.dialect.found(heard.data)
        if heard.chunks and (seen is None or seen.address == own):
            return failed("answered-for-others", [heard], count=1, total=len(others))
        answered += [heard] if heard.chunks else []
    if len(answered) == len(others):
        return failed("answered-for-others", answered, count=len(answered), total=len(others))
    if answered:
        return differs("others-on-the-bus", answered, count=len(answered), total=len(others))
    return passed("silent", session.trace[-1:], total=len(others))


def wildcard(session: Session) -> Finding:
    """The question to anyone for its address is answered with the meter's own, where it is alone on the line."""
    request = _sheet(session).for_address(_request(session)) if session.good() else None
    if request is None:
        return undecided("no-wildcard" if session.good() else "no-frame")
    heard, seen = session.send(request)
    if seen is None:
        return differs("wildcard-garbled" if heard.chunks else "wildcard-silent", [heard])
    if seen.address != session.address.upper() or not seen.function & _CONTROL_OF_ADDRESS:
        return differs("wildcard-other", [heard], got=seen.address)
    return passed("wildcard-answered", [heard], got=seen.address)


def broadcast(session: Session) -> Finding:
    """A read to the broadcast address stays unanswered, and the meter goes on."""
    if not session.good():
        return undecided("no-frame")
    sheet = _sheet(session)
    return _silent(session, [sheet.readdressed(_request(session), sheet.broadcast)], "broadcast-answered")


def damaged(session: Session) -> Finding:
    """Requests with a wrong check sum or end byte stay unanswered, and the meter goes on."""
    if not session.good():
        return undecided("no-frame")
    return _silent(session, spoilt(_request(session)), "bad-crc-answered")


def _silent(session: Session, frames: Sequence[bytes], reason: str) -> Finding:
    heard = []
    for frame in frames:
        heard.append(session.silence_after(frame))
        session.settle(_BETWEEN_BYTES_S)
    answered = [each for each in heard if each.chunks]
    if answered:
        return failed(reason, answered, count=len(answered), total=len(frames))
    if not session.is_alive():
        return failed("dead-after", session.trace[-2:])
    return passed("silent", heard[-1:], total=len(frames))


def unknown_identifier(session: Session) -> Finding:
    """Data that do not exist are refused by an error answer."""
    if not session.good():
        return undecided("no-frame")
    heard, seen = session.send(_sheet(session).unknown(_request(session)), wait_s=session.quiet_s)
    if not heard.chunks:
        return differs("error-silent", [heard])
    if seen is None:
        return failed("error-garbled", [heard])
    if not is_refusal(seen):
        return failed("error-none", [heard])
    if not _sheet(session).says_unknown(seen):
        return differs("error-other", [heard], got=seen.body.hex().upper())
    return passed("error-right", [heard], got=f"{seen.function:02X} {seen.body.hex().upper()}")


def garbage(session: Session) -> Finding:
    """After bytes that are no request, an ordinary read is answered."""
    return _recovers(session, _GARBAGE)


def truncated(session: Session) -> Finding:
    """After half a request, and the longest pause between bytes, an ordinary read is answered."""
    return _recovers(session, _request(session)[: len(_request(session)) // 2] if session.good() else b"")


def _recovers(session: Session, noise: bytes) -> Finding:
    if not session.good():
        return undecided("no-frame")
    heard, _ = session.send(noise, wait_s=0.0)
    session.settle(_BETWEEN_BYTES_S)
    if heard.chunks:
        return failed("garbage-answered", [heard])
    if session.is_alive():
        return passed("recovered", session.trace[-2:])
    return failed("dead-after", session.trace[-2:])


def _case(id_: str, rule: str, run: Any, **more: Any) -> Case:
    return Case(id=id_, clause=Clause(f"sheet-{rule}"), run=run, where=RTU, **more)


CASES = (
    _case("frame.answers", "answer", answers, asks=8),
    _case("frame.whole", "frame", whole),
    _case("frame.checksum", "checksum", checksum),
    _case("frame.address", "address", address),
    _case("frame.control", "control", control),
    _case("frame.identifier", "identifier", identifier),
    _case("frame.alone", "frame", alone),
    _case("timing.answer-delay", "limit", answer_delay),
    _case("addressing.others", "address", other_addresses, silences=2),
    _case("addressing.wildcard", "wildcard", wildcard, asks=1),
    _case("silence.broadcast", "broadcast", broadcast, silences=1, asks=1, extra_s=_BETWEEN_BYTES_S),
    _case("silence.damaged", "damaged", damaged, silences=2, asks=1, extra_s=2 * _BETWEEN_BYTES_S),
    _case("exception.identifier", "error", unknown_identifier, asks=1),
    _case("recovery.garbage", "recovery", garbage, asks=1, extra_s=_BETWEEN_BYTES_S),
    _case("recovery.truncated", "recovery", truncated, asks=1, extra_s=_BETWEEN_BYTES_S),
    Case(id="values.numbers", clause=PROFILE, run=numbers, where=RTU),
    Case(id="values.range", clause=PROFILE, run=in_range, where=RTU),
    Case(id="totals.never-fall", clause=TOTALS_FALL, run=never_fall, where=RTU),
)
