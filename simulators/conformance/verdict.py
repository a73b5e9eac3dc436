"""What a test is, what it finds, and the clause that says so. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How a test ended. `differs`: worth a look, no clause forbids it; `undecided`: this meter, now, cannot tell."""

    PASSED = "passed"
    FAILED = "failed"
    DIFFERS = "differs"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Clause:
    """Where a rule stands: a standard and its number, or (without a number) a rule of ours that locale/ words."""

    document: str
    number: str = ""

    @property
    def is_standard(self) -> bool:
        """Whether a published standard says so."""
        return bool(self.number)


SERIAL = "Modbus over serial line V1.02"
APPLICATION = "Modbus application protocol V1.1b3"
TCP = "Modbus messaging on TCP/IP V1.0b"
LIMIT = Clause("limit")
"""The limit that this run was given: Modbus TCP has none of its own (TCP/IP V1.0b, 4.4.1.4)."""
TOTALS_FALL, TOTALS_STAND, TOTALS_FLOW = Clause("totals-fall"), Clause("totals-stand"), Clause("totals-flow")
"""Rules R4, R9 and R10 by which the volumes of a meter are judged."""
WHOLE_AND_FRACTION = Clause("whole-and-fraction")
"""Integer and fraction of a total are read together and belong together."""
PROFILE = Clause("profile")
"""What the maker's document, as the profile cites it, says of its registers."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One transmission and what came back. Monotonic seconds.

    `end_s` is when its last bit has passed the wire at the earliest; `chunks` are the pieces as the system handed them
    over, each with the moment it was there. `closed`: the far end hung up (TCP). `is_told`: what was sent is shown for
    itself, in its order; what came stands behind it in transmissions of its own.
    """

    sent: bytes
    sent_s: float
    end_s: float
    chunks: tuple[tuple[float, bytes], ...]
    character_s: float = 0.0
    closed: bool = False
    is_told: bool = False

    @property
    def data(self) -> bytes:
        """All that came."""
        return b"".join(data for _, data in self.chunks)

    @property
    def delay_s(self) -> float | None:
        """Seconds from the end of the request to the answer's first bit: never less than they were. None: no answer."""
        if not self.chunks:
            return None
        at, data = self.chunks[0]
        return max(0.0, at - len(data) * self.character_s - self.end_s)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a test found: verdict, the reason's code in locale/, its arguments, and what proves it."""

    verdict: Verdict
    reason: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    evidence: tuple[Heard, ...] = ()
    clause: Clause | None = None  # where it is another one than the test's


def passed(reason: str, evidence: Sequence[Heard] = (), **arguments: object) -> Finding:
    """All is as it must be."""
    return Finding(Verdict.PASSED, reason, arguments, tuple(evidence))


def failed(
    reason: str, evidence: Sequence[Heard] = (), *, clause: Clause | None = None, **arguments: object
) -> Finding:
    """A clause is broken; `clause` when it is another one than the test's."""
    return Finding(Verdict.FAILED, reason, arguments, tuple(evidence), clause)


def differs(
    reason: str, evidence: Sequence[Heard] = (), *, clause: Clause | None = None, **arguments: object
) -> Finding:
    """Unusual, and allowed."""
    return Finding(Verdict.DIFFERS, reason, arguments, tuple(evidence), clause)


def undecided(reason: str, evidence: Sequence[Heard] = (), **arguments: object) -> Finding:
    """This meter, as it stands now, gives no ground for a verdict."""
    return Finding(Verdict.UNDECIDED, reason, arguments, tuple(evidence))


SERIAL_PORT, GATEWAY, TCP_METER = "serial", "gateway", "tcp"
"""Where a meter is: on a port of this machine, behind a transparent serial server, or speaking Modbus TCP itself."""
RTU = frozenset({SERIAL_PORT, GATEWAY})
ANYWHERE = frozenset({SERIAL_PORT, GATEWAY, TCP_METER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test. Its title and what it does stand in locale/ under `conformance.case.ID`.

    `asks`, `silences`, `extra_s` say what it costs: answered questions, questions that must stay unanswered, and
    seconds besides.
    """

    id: str
    clause: Clause
    run: Callable[[Any], Finding]
    where: frozenset[str] = ANYWHERE
    asks: int = 0
    silences: int = 0
    extra_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A test that has been run: what it found, by which clause, in how many seconds."""

    case: Case
    finding: Finding
    seconds: float

    @property
    def clause(self) -> Clause:
        """The clause by which this verdict was reached."""
        return self.finding.clause or self.case.clause
