"""Whether the answers to the profile's own reads are sound frames of this meter, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulators.conformance.frames import EXCEPTION_BIT
from simulators.conformance.session import Sample, Session
from simulators.conformance.verdict import (
    APPLICATION,
    GATEWAY,
    RTU,
    SERIAL,
    SERIAL_PORT,
    TCP,
    TCP_METER,
    Case,
    Clause,
    Finding,
    failed,
    passed,
    undecided,
)

_SHOWN = 3  # exchanges that prove the same


def _judged(session: Session, bad: Sequence[Sample], relevant: Sequence[Sample], reason: str, **more: Any) -> Finding:
    """Failed when any of `relevant` is `bad`; undecided when there is none."""
    if bad:
        return failed(reason, [each.heard for each in bad[:_SHOWN]], count=len(bad), total=len(relevant), **more)
    if not relevant:
        return undecided("no-frame", [each.heard for each in session.samples()[:1]])
    return passed("all-right", [relevant[0].heard], total=len(relevant))


def answers(session: Session) -> Finding:
    """Every read of the profile is answered, and not refused."""
    samples = session.samples()
    silent = [each for each in samples if not each.heard.chunks]
    if silent:
        return _judged(session, silent, samples, "no-answer")
    refused = [each for each in samples if each.seen is not None and each.seen.exception is not None]
    clause = Clause(APPLICATION, "7")
    if refused:
        assert refused[0].seen is not None
        heard = [each.heard for each in refused[:_SHOWN]]
        code = refused[0].seen.exception
        return failed("refused", heard, clause=clause, count=len(refused), total=len(samples), code=code)
    return passed("all-answered", [samples[0].heard], total=len(samples))


def whole(session: Session) -> Finding:
    """No answer ends before its frame does."""
    heard = [each for each in session.samples() if each.heard.chunks]
    cut = [each for each in heard if each.seen is None and len(each.heard.data) < each.ask.reply_size]
    return _judged(session, cut, heard, "cut")


def checksum(session: Session) -> Finding:
    """The check sum of every answer fits."""
    heard = [each for each in session.samples() if len(each.heard.data) >= each.ask.reply_size or each.seen]
    return _judged(session, [each for each in heard if each.seen is None], heard, "bad-crc")


def header(session: Session) -> Finding:
    """Transaction and protocol come back as they were sent, and the length is that of the frame."""
    heard = [each for each in session.samples() if each.heard.chunks]
    bad = []
    for each in heard:
        sent = int.from_bytes(each.heard.sent[:2], "big")
        if each.seen is None or each.seen.head is None or each.seen.head[:2] != (sent, 0):
            bad.append(each)
    return _judged(session, bad, heard, "bad-header")


def address(session: Session) -> Finding:
    """Answers carry the address that was asked."""
    seen = [each for each in session.samples() if each.seen is not None]
    other = [each for each in seen if each.seen is not None and each.seen.unit != session.unit]
    got = other[0].seen.unit if other and other[0].seen else ""
    return _judged(session, other, seen, "other-address", got=got, asked=session.unit)


def function(session: Session) -> Finding:
    """Answers carry the function that was asked, refusals with their top bit set."""
    seen = [each for each in session.samples() if each.seen is not None]
    other = [each for each in seen if each.seen and each.seen.function & ~EXCEPTION_BIT != each.ask.function]
    got = other[0].seen.function if other and other[0].seen else ""
    return _judged(session, other, seen, "other-function", got=got, asked=other[0].ask.function if other else "")


def count(session: Session) -> Finding:
    """Answers hold as many registers as were asked for."""
    seen = [each for each in session.samples() if each.seen is not None and each.seen.function == each.ask.function]
    other = [each for each in seen if each.seen and each.seen.body[1:] != each.seen.registers]
    other += [each for each in seen if each.seen and each.seen.registers is not None and each not in other
              and len(each.seen.registers) != each.ask.data_size]  # fmt: skip
    got = len(other[0].seen.body) - 1 if other and other[0].seen else ""
    return _judged(session, other, seen, "other-count", got=got, asked=other[0].ask.data_size if other else "")


def alone(session: Session) -> Finding:
    """Nothing comes before or behind the frame of an answer."""
    seen = [each for each in session.samples() if each.seen is not None]
    more = [each for each in seen if each.seen and (each.seen.before or each.seen.after)]
    extra = len(more[0].seen.before + more[0].seen.after) if more and more[0].seen else 0
    return _judged(session, more, seen, "more-than-frame", bytes=extra)


CASES = (
    Case(id="frame.answers", clause=Clause(SERIAL, "2.1"), run=answers, where=RTU, asks=8),
    Case(id="frame.answers", clause=Clause(TCP, "4.4.2.5"), run=answers, where=frozenset({TCP_METER}), asks=8),
    Case(id="frame.whole", clause=Clause(SERIAL, "2.5.1.1"), run=whole, where=RTU),
    Case(id="frame.checksum", clause=Clause(SERIAL, "2.5.1.2"), run=checksum, where=RTU),
    Case(id="frame.header", clause=Clause(TCP, "3.1.3"), run=header, where=frozenset({TCP_METER})),
    Case(id="frame.address", clause=Clause(SERIAL, "2.3"), run=address, where=RTU),
    Case(id="frame.address", clause=Clause(TCP, "4.4.2.5"), run=address, where=frozenset({TCP_METER})),
    Case(id="frame.function", clause=Clause(APPLICATION, "4.1"), run=function),
    Case(id="frame.count", clause=Clause(APPLICATION, "6.{function}"), run=count),
    Case(id="frame.alone", clause=Clause(SERIAL, "2.5.1.1"), run=alone, where=frozenset({SERIAL_PORT, GATEWAY})),
    Case(id="frame.alone", clause=Clause(TCP, "3.1.3"), run=alone, where=frozenset({TCP_METER})),
)
