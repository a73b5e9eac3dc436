"""A finished run as data for machines, and as JUnit XML; the words for both and for the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from agent.messages import Messages
from agent.page import spaced_hex
from agent.settings import Profile
from simulators.conformance.runner import counted, is_passed
from simulators.conformance.verdict import Clause, Heard, Outcome, Verdict
from simulators.platforms.centre.showing import sentence_of

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]")  # XML 1.0, 2.2
FACT_SHEET = ", fact sheet"  # ends the document of a clause that no public text has
STANDARDS = {"dlt645": "DL/T 645", "cjt188": "CJ/T 188"}
_SUITE = "qushui.conformance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A station or platform under test, where a meter has its profile."""

    name: str
    protocol: str
    source: str
    version: str = ""
    title: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was tested, how, and what came out. `kind`: meter, station or platform."""

    place: str
    settings: str  # `9600 8N1`, or the framing over TCP
    address: str
    profile: Profile | Subject
    began: datetime
    expected_s: float
    took_s: float
    is_strict: bool
    version: str
    outcomes: tuple[Outcome, ...]
    kind: str = "meter"

    @property
    def passed(self) -> bool:
        """Whether the meter passed."""
        return is_passed(self.outcomes, strict=self.is_strict)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many tests ended how."""
        return counted(self.outcomes)


def clause_text(messages: Messages, clause: Clause, profile: Profile | Subject) -> str:
    """The clause as a person looks it up; a rule of ours in words."""
    if clause.is_standard:
        standard, is_sheet, _ = clause.document.partition(FACT_SHEET)
        section = messages.text("conformance.sheet", number=clause.number) if is_sheet else clause.number
        return f"{standard}, {section}"
    return messages.text(
        f"conformance.rule.{clause.document}", profile=profile.name, standard=STANDARDS.get(profile.protocol, "")
    )


def title_text(messages: Messages, outcome: Outcome) -> str:
    """What the test is called."""
    return messages.text(f"conformance.case.{outcome.case.id}.title")


def reason_text(messages: Messages, outcome: Outcome) -> str:
    """Why it ended so."""
    arguments = dict(outcome.finding.arguments)
    if "quantity" in arguments:
        arguments["quantity"] = messages.quantity(str(arguments["quantity"]))
    if "quantities" in arguments:
        names = str(arguments["quantities"]).split(", ")
        arguments["quantities"] = ", ".join(messages.quantity(name) for name in names)
    violations = arguments.get("violations")
    if isinstance(violations, list):
        arguments["detail"] = "\n".join(_violation_text(messages, each) for each in violations)
    details = arguments.get("details")
    if isinstance(details, dict):
        arguments["detail"] = sentence_of(str(arguments["code"]), details, messages)
    if "why" in arguments:
        arguments["why"] = messages.reason(str(arguments["why"]))
    return messages.text(f"conformance.reason.{outcome.finding.reason}", **arguments)


def _violation_text(messages: Messages, violation: Mapping[str, Any]) -> str:
    sentence = sentence_of(violation["code"], violation["details"], messages)
    key = "failed" if violation["failed"] else "differs"
    return messages.text(f"conformance.violation.{key}", **{**violation, "detail": sentence})


def evidence_text(messages: Messages, heard: Heard) -> str:
    """One transmission and its answer, in hex, with the delay."""
    sent = spaced_hex(heard.sent.hex())
    if not sent:
        return messages.text("conformance.came", received=spaced_hex(heard.data.hex()))
    if heard.is_told:
        return messages.text("conformance.told", sent=sent)
    if not heard.chunks:
        return messages.text("conformance.silence", sent=sent)
    delay = "-" if heard.delay_s is None else f"{heard.delay_s * 1000:.1f}"
    return messages.text("conformance.exchange", sent=sent, received=spaced_hex(heard.data.hex()), delay=delay)


def as_json(run: Run) -> dict[str, Any]:
    """The run in codes, arguments and hex, without sentences."""
    return {
        "place": run.place,
        "settings": run.settings,
        "address": run.address,
        "profile": run.profile.name,
        "profile_version": run.profile.version,
        "began": run.began.isoformat(timespec="seconds"),
        "expected_s": round(run.expected_s, 1),
        "took_s": round(run.took_s, 1),
        "strict": run.is_strict,
        "passed": run.passed,
        "counts": dict(run.counts),
        "cases": [_case_json(outcome) for outcome in run.outcomes],
    }


def _case_json(outcome: Outcome) -> dict[str, Any]:
    clause = outcome.clause
    return {
        "id": outcome.case.id,
        "verdict": outcome.finding.verdict.value,
        "clause": {"document": clause.document, "number": clause.number},
        "reason": outcome.finding.reason,
        "arguments": dict(outcome.finding.arguments),
        "seconds": round(outcome.seconds, 3),
        "evidence": [
            {
                "sent_hex": heard.sent.hex(),
                "received_hex": heard.data.hex(),
                "delay_ms": None if heard.delay_s is None else round(heard.delay_s * 1000, 2),
            }
            for heard in outcome.finding.evidence
        ],
    }


def as_junit(run: Run, messages: Messages) -> str:
    """The run as JUnit XML: undecided tests are skipped ones; what differs is said, and fails only when strict."""
    bad = {Verdict.FAILED, Verdict.DIFFERS} if run.is_strict else {Verdict.FAILED}
    failures = sum(each.finding.verdict in bad for each in run.outcomes)
    counts = f'tests="{len(run.outcomes)}" failures="{failures}" errors="0" skipped="{run.counts["undecided"]}"'
    suite = f'name={_quoted(f"{_SUITE} {run.profile.name}")} {counts} time="{run.took_s:.3f}"'
    properties = {
        "place": run.place, "settings": run.settings, "address": run.address, "profile": run.profile.name,
        "profile_version": run.profile.version, "version": run.version,
    }  # fmt: skip
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {counts}>",
        f'<testsuite {suite} timestamp="{run.began.isoformat(timespec="seconds")}">',
        "<properties>",
        *(f"<property name={_quoted(name)} value={_quoted(value)}/>" for name, value in properties.items()),
        "</properties>",
        *(_test_case(outcome, run, messages) for outcome in run.outcomes),
        "</testsuite>",
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _test_case(outcome: Outcome, run: Run, messages: Messages) -> str:
    finding = outcome.finding
    clause = clause_text(messages, outcome.clause, run.profile)
    said = f"{clause}: {reason_text(messages, outcome)}"
    detail = "\n".join([said, *(evidence_text(messages, heard) for heard in finding.evidence)])
    class_name = f"{_SUITE}.{run.profile.protocol}.{outcome.case.id.split('.')[0]}"
    name = f"{outcome.case.id} {title_text(messages, outcome)}"
    head = f'<testcase classname={_quoted(class_name)} name={_quoted(name)} time="{outcome.seconds:.3f}">'
    is_failed = finding.verdict is Verdict.FAILED or (run.is_strict and finding.verdict is Verdict.DIFFERS)
    if is_failed:
        body = f"<failure type={_quoted(finding.reason)} message={_quoted(said)}>{_escaped(detail)}</failure>"
    elif finding.verdict is Verdict.UNDECIDED:
        body = f"<skipped message={_quoted(said)}/>"
    else:
        body = f"<system-out>{_escaped(f'{finding.verdict.value}: {detail}')}</system-out>"
    return f"{head}{body}</testcase>"


def _escaped(text: str) -> str:
    return escape(_NOT_XML.sub("?", text))


def _quoted(text: str) -> str:
    return quoteattr(_NOT_XML.sub("?", text))
