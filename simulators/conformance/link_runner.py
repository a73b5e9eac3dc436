"""Runs tests of stations and platforms one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from simulators.conformance.verdict import Case, Finding, Heard, Outcome, failed, undecided
from simulators.conformance.wire import WireError

_MOST_EVIDENCE = 12

Progress = Callable[[int, int, Case], None]


class Tested(Protocol):
    """A connection under test."""

    trace: list[Heard]

    def reset_evidence(self) -> None:
        """Forgets what was heard, in front of the next test."""
        ...


def run(
    cases: Sequence[Case], tested: Tested, *, progress: Progress = lambda _at, _total, _case: None
) -> tuple[Outcome, ...]:
    """All tests, in order. Where there is no connection the test at hand fails, and the rest stay open."""
    outcomes: list[Outcome] = []
    is_gone = False
    for at, case in enumerate(cases, 1):
        progress(at, len(cases), case)
        began_s = time.monotonic()
        finding = undecided("link-gone") if is_gone else _found(case, tested)
        is_gone = is_gone or (finding.reason == "no-link" and at == 1)
        finding = replace(finding, evidence=finding.evidence[:_MOST_EVIDENCE])
        outcomes.append(Outcome(case, finding, time.monotonic() - began_s))
    return tuple(outcomes)


def _found(case: Case, tested: Any) -> Finding:
    tested.reset_evidence()
    try:
        return case.run(tested)
    except WireError as error:
        return failed("no-link", tested.trace[-2:], detail=str(error))
