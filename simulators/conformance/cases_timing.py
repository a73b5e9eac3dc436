"""When the meter speaks: answer delay, the silence between frames, gaps within them, requests at the exact silence."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import Any

from simulators.conformance.session import Session
from simulators.conformance.verdict import (
    LIMIT,
    RTU,
    SERIAL,
    SERIAL_PORT,
    TCP,
    TCP_METER,
    Case,
    Clause,
    Finding,
    Heard,
    failed,
    passed,
    undecided,
)
from simulators.meters.pacing import FAST_BAUD, silence_s

_T15_CHARACTERS = 1.5  # serial line 2.5.1.1
_FAST_T15_S = 0.00075  # the same, above 19 200 baud
_TOLERANCE_CHARACTERS = 0.5  # baud rates differ by some per mille, and this machine's clock ticks
_READER_CHARACTERS = 1.0  # we may see a byte up to one character late without seeing the next one with it
_IN_A_ROW = 10
_REPEATED = 3


def answer_delay(session: Session) -> Finding:
    """Every answer begins within the limit."""
    heard = [sample.heard for sample in session.samples() if sample.heard.delay_s is not None]
    if not heard:
        return undecided("no-frame")
    delays = [each.delay_s or 0.0 for each in heard]
    shown: dict[str, Any] = {"least": ms(min(delays)), "middle": ms(median(delays)), "most": ms(max(delays))}
    late = [each for each in heard if (each.delay_s or 0.0) > session.limit_s]
    if late:
        return failed("late", late[:3], count=len(late), total=len(heard), limit=ms(session.limit_s), **shown)
    return passed("in-time", heard[:1], limit=ms(session.limit_s), **shown)


def frame_silence(session: Session) -> Finding:
    """No answer begins before the silence after the request is over."""
    wire = session.wire
    least_s = _standard_silence_s(wire.character_s) - _TOLERANCE_CHARACTERS * wire.character_s
    heard = [sample.heard for sample in session.samples() if sample.heard.delay_s is not None]
    if not heard:
        return undecided("no-frame")
    early = [each for each in heard if (each.delay_s or 0.0) < least_s]
    shortest = ms(min(each.delay_s or 0.0 for each in heard))
    limit = ms(_standard_silence_s(wire.character_s))
    if early:
        return failed("early", early[:3], count=len(early), total=len(heard), least=shortest, limit=limit)
    return passed("silence-kept", heard[:1], least=shortest, limit=limit)


def _standard_silence_s(character_s: float) -> float:
    return silence_s(_baud_of(character_s), character_s)


def _baud_of(character_s: float) -> int:
    return round(10 / character_s)  # at least: a character has ten bits or more


def character_gaps(session: Session) -> Finding:
    """No answer pauses for more than 1.5 characters."""
    character_s = session.wire.character_s
    heard = [sample.heard for sample in session.good() if len(sample.heard.chunks) > 1]
    if not heard:
        return undecided("one-piece")
    sizes = [len(data) for each in heard for _, data in each.chunks]
    if median(sizes) > 1:
        return undecided("in-pieces", heard[:1], bytes=int(median(sizes)))
    limit_s = _FAST_T15_S if _baud_of(character_s) > FAST_BAUD else _T15_CHARACTERS * character_s
    allowed_s = limit_s + _READER_CHARACTERS * character_s
    by_request: dict[bytes, list[Heard]] = {}
    for each in heard:
        by_request.setdefault(each.sent, []).append(each)
    worst_s = 0.0
    for repeated in by_request.values():  # what this machine delays strikes another place each time
        least_s = min(_widest_gap_s(each) for each in repeated)
        worst_s = max(worst_s, least_s)
        if least_s > allowed_s and len(repeated) >= _REPEATED:
            return failed("gap", repeated[:1], gap=ms(least_s), limit=ms(limit_s))
    return passed("no-gap", heard[:1], gap=ms(worst_s), limit=ms(limit_s))


def _widest_gap_s(heard: Heard) -> float:
    """The longest pause between characters, at most: the reader's own delays are in it."""
    pauses = (
        after_s - before_s - len(data) * heard.character_s for (before_s, _), (after_s, data) in pairwise(heard.chunks)
    )
    return max(0.0, *pauses)


def back_to_back(session: Session) -> Finding:
    """Requests that begin exactly when the silence is over are all answered."""
    if not session.good():
        return undecided("no-frame")
    samples = [session.ask(session.probe, back_to_back=True) for _ in range(_IN_A_ROW)]
    pauses = [
        after.heard.sent_s - before.heard.chunks[-1][0] for before, after in pairwise(samples) if before.heard.chunks
    ]
    missed = [each.heard for each in samples if each.values is None]
    pause, limit = ms(median(pauses)) if pauses else "-", ms(session.wire.silence_s)
    if missed:
        return failed(
            "missed-back-to-back", missed[:3], count=len(missed), total=len(samples), pause=pause, limit=limit
        )
    return passed("all-back-to-back", [samples[-1].heard], total=len(samples), pause=pause, limit=limit)


def ms(seconds: float) -> str:
    """Milliseconds as people read them."""
    return f"{seconds * 1000:.1f}"


_SERIAL_ONLY = frozenset({SERIAL_PORT})
CASES = (
    Case(id="timing.answer-delay", clause=Clause(SERIAL, "2.4.1"), run=answer_delay, where=RTU),
    Case(id="timing.answer-delay", clause=LIMIT, run=answer_delay, where=frozenset({TCP_METER})),
    Case(id="timing.frame-silence", clause=Clause(SERIAL, "2.5.1.1"), run=frame_silence, where=_SERIAL_ONLY),
    Case(id="timing.character-gaps", clause=Clause(SERIAL, "2.5.1.1"), run=character_gaps, where=_SERIAL_ONLY),
    Case(id="timing.back-to-back", clause=Clause(SERIAL, "2.5.1.1"), run=back_to_back, where=RTU, asks=_IN_A_ROW),
    Case(
        id="timing.back-to-back", clause=Clause(TCP, "4.4.2"), run=back_to_back, where=frozenset({TCP_METER}),
        asks=_IN_A_ROW,
    ),
)  # fmt: skip
