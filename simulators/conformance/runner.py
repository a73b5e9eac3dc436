"""Runs the tests of a meter's protocol one after the other, and says beforehand how long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from simulators.conformance import cases_frame, cases_reading, cases_refusal, cases_sheet, cases_timing, cases_values
from simulators.conformance.session import Session
from simulators.conformance.verdict import Case, Clause, Finding, Outcome, Verdict, failed, undecided
from simulators.conformance.wire import WireError

CASES: Mapping[str, Sequence[Case]] = {
    "modbus": (
        *cases_frame.CASES,
        *cases_timing.CASES,
        *cases_refusal.CASES,
        *cases_reading.CASES,
        *cases_values.CASES,
    ),
    "dlt645": cases_sheet.CASES,
    "cjt188": cases_sheet.CASES,
}
"""Protocol to its tests, in the order in which they are run."""

_TURNAROUND_S = 0.03  # a typical meter's answer delay, and what is listened for behind its answer
_QUIET_S = 0.4
_SETTLE_S = 0.05  # before each test
_MOST_EVIDENCE = 12

Progress = Callable[[int, int, Case], None]


def cases_for(session: Session) -> tuple[Case, ...]:
    """The tests that a meter at such a place is put through."""
    found = [case for case in CASES[session.profile.protocol] if session.where in case.where]
    return tuple(_resolved(case, session) for case in found)


def _resolved(case: Case, session: Session) -> Case:
    if "{function}" not in case.clause.number:
        return case
    number = case.clause.number.replace("{function}", str(session.probe.function))
    return replace(case, clause=Clause(case.clause.document, number))


def expected_s(session: Session) -> float:
    """Seconds that a run against a sound meter is going to take."""
    character_s, silence_s = session.wire.character_s, session.wire.silence_s
    sizes = [ask.request_size + ask.reply_size for ask in session.asks]
    probe_s = (session.probe.request_size + session.probe.reply_size) * character_s + 2 * silence_s + _TURNAROUND_S
    pass_s = sum(sizes) * character_s + len(sizes) * (2 * silence_s + _TURNAROUND_S)
    total_s: float = session.watch_s + 4 * pass_s  # 3 rounds of the profile's reads, and the last look at the totals
    for case in cases_for(session):
        total_s += _SETTLE_S + case.asks * probe_s + case.silences * (_QUIET_S + probe_s) + case.extra_s
    return total_s


def run(session: Session, *, progress: Progress = lambda _at, _total, _case: None) -> tuple[Outcome, ...]:
    """All tests, in order. A port that goes away fails the test at hand, and leaves the rest undecided."""
    outcomes: list[Outcome] = []
    cases = cases_for(session)
    is_gone = False
    for at, case in enumerate(cases, 1):
        progress(at, len(cases), case)
        began_s = time.monotonic()
        if is_gone:
            finding = undecided("port-gone", detail="")
        else:
            finding = _found(case, session)
            is_gone = finding.reason == "port-gone"
        finding = replace(finding, evidence=finding.evidence[:_MOST_EVIDENCE])
        outcomes.append(Outcome(case, finding, time.monotonic() - began_s))
    return tuple(outcomes)


def _found(case: Case, session: Session) -> Finding:
    try:
        session.settle()
        session.trace.clear()
        return case.run(session)
    except WireError as error:
        return failed("port-gone", session.trace[-2:], detail=str(error))
    except PermissionError:
        return undecided("might-write", session.trace[-1:])


def counted(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many tests ended how, in the order of the verdicts."""
    return {verdict.value: sum(each.finding.verdict is verdict for each in outcomes) for verdict in Verdict}


def is_passed(outcomes: Sequence[Outcome], *, strict: bool = False) -> bool:
    """Whether nothing failed; `strict`: what differs counts as failed too."""
    bad = {Verdict.FAILED, Verdict.DIFFERS} if strict else {Verdict.FAILED}
    return not any(each.finding.verdict in bad for each in outcomes)
