"""When a quarter may be frozen, and what its frozen record says. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.derive.exact import MS_PER_HOUR
from agent.reports.report import IntakeReport, Report, Status

WINDOW_MS = 5 * 24 * MS_PER_HOUR  # for late data; electricity-to-water sheet §9.5
FORM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asked for. `is_early`: all the same, although late data may come or the end is not reached."""

    who: str
    reason: str = ""
    is_early: bool = False
    accepts_expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why it is not frozen: `code` names the sentence `report.freeze.CODE`. `is_input`: what was typed is wrong;
    `from_ms`: from when on it may be.
    """

    code: str
    arguments: Mapping[str, object]
    is_input: bool = False
    from_ms: int | None = None


def refused(report: Report, last: Report | None, asked: Asked, *, now_ms: int) -> Refused | None:
    """Why this draft is not to be frozen as the version after `last`; None: it may be."""
    return next(_reasons(report, last, asked, now_ms), None)


def _reasons(report: Report, last: Report | None, asked: Asked, now_ms: int) -> Iterator[Refused]:
    quarter, reason = report.span.name, asked.reason.strip()
    if not asked.who.strip():
        yield Refused(code="who", arguments={}, is_input=True)
    if not reason and (asked.is_early or asked.accepts_expired):
        yield Refused(code="reason", arguments={}, is_input=True)
    if not asked.is_early:
        if now_ms < report.span.end_ms + WINDOW_MS:
            yield Refused(code="too_early", arguments={"quarter": quarter}, from_ms=report.span.end_ms + WINDOW_MS)
        if behind := unreached(report):
            yield Refused(code="not_reached", arguments={"quarter": quarter, "intakes": " ".join(behind)})
    if last is not None:
        if not reason:
            yield Refused(code="again", arguments={"quarter": quarter, "version": last.version}, is_input=True)
        if _figures(last) == _figures(report):
            yield Refused(code="same", arguments={"quarter": quarter, "version": last.version})


def unreached(report: Report) -> list[str]:
    """The intakes whose data do not reach the end of the period."""
    return [intake.name for intake in report.intakes if not _reaches(intake, report.span.end_ms)]


def _reaches(intake: IntakeReport, end_ms: int) -> bool:
    return intake.end is not None and intake.end.at_ms == end_ms and intake.end.is_known


def _figures(report: Report) -> tuple[object, ...]:
    """What makes another version another one."""
    return report.intakes, report.accepted_expired, report.config_sha256


def frozen(report: Report, asked: Asked, *, version: int, now_ms: int) -> Report:
    """The draft as a numbered version."""
    return replace(
        report,
        status=Status.FROZEN,
        version=version,
        reason=asked.reason.strip(),
        who=asked.who.strip(),
        made_ms=now_ms,
        accepted_expired=asked.accepts_expired,
    )


def statement(station: str, quarter: str, version: int, sha256: str) -> dict[str, Any]:
    """What the gateway signs of a frozen report: which it is, and the hash of its text."""
    return {"form": FORM, "station": station, "quarter": quarter, "version": version, "sha256": sha256}


def record(report: Report, *, keep: Sequence[tuple[int, int]], key: str, signature: str) -> dict[str, Any]:
    """The body of its row in the ledger. `keep` are the rounds it rests on, which no retention takes."""
    return {
        "version": report.version,
        "reason": report.reason,
        "report": report.plain,
        "sha256": report.sha256,
        "keep": [list(each) for each in keep],
        "key": key,
        "signature": signature,
    }
