"""One intake's account inside the store: how far it has come, and what of its outcomes is new.

Strategy: an account is stepped over the rounds of its meters in the order of their numbers. Rounds up to `told` were
stepped before, and what followed from them is on disk: stepping them once more (after a restart, or because of a
declaration that counts from earlier) gives nothing but closings that differ, as a new revision, and their readings,
marked REVISED. What follows from later rounds is stored with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from agent.derive.exact import OutOfDomain
from agent.intakes.outcome import Closed, Declared, Derived, Found, Heard, Late, Outcome, Register, RolledOver
from agent.model import INTAKE, Layout, Reason, Round
from agent.qualify import Anew
from agent.store.book_reader import BookReader
from agent.store.findings import Findings
from agent.store.ledger import canonical
from agent.store.packing import unpack_raw
from agent.store.queues import Statement
from agent.store.waiting import Packed

KINDS = ("coefficient", "replacement", "decision", "acknowledgement", "archive", "withdrawal")
"""Kinds of declarations that accounts hear."""

_ACCOUNT = "INSERT OR REPLACE INTO account VALUES (?, ?, ?)"
_CLOSING = (  # the same once more adds nothing
    "INSERT INTO closing SELECT ?1, ?2, 1 + ifnull((SELECT max(revision) FROM closing WHERE intake = ?1 AND at_ms = ?2)"
    ", 0), ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM (SELECT body, state FROM closing WHERE intake = ?1 AND at_ms = ?2"
    " ORDER BY revision DESC LIMIT 1) WHERE body = ?4 AND state IS ?5)"
)
_EVENT = (
    "INSERT INTO event (intake, rule, version, subject, quantity, began_ms, ended_ms, level, first, last, body)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10) ON CONFLICT (intake, rule, subject, quantity, began_ms)"
    " DO UPDATE SET ended_ms = ?7, level = max(level, ?8), last = max(last, ?9), body = ?10"
)
_MIDNIGHT = (
    "SELECT at_ms, number, state FROM closing AS c WHERE intake = ? AND state IS NOT NULL AND at_ms <= ?"
    " AND number >= ? AND revision = (SELECT max(revision) FROM closing WHERE intake = c.intake AND at_ms = c.at_ms)"
    " ORDER BY at_ms DESC LIMIT 1"
)
_NEWEST = (
    "SELECT raw FROM round WHERE number > ? AND layout IN (SELECT id FROM layout WHERE protocol = ? AND meter = ?)"
    " ORDER BY number DESC LIMIT 1"
)
_FAR = 1 << 62


class Account(Protocol):
    """What derives an intake's water; see `agent.intakes.account`."""

    @property
    def number(self) -> int:
        """The last round that it heard."""
        ...

    @property
    def heard_ms(self) -> int | None:
        """The latest time that it heard, UTC ms."""
        ...

    @property
    def closed_ms(self) -> int | None:
        """The last full hour that it closed, UTC ms."""
        ...

    @property
    def registers(self) -> Mapping[Register, Decimal]:
        """What each register showed when it was last booked."""
        ...

    def declare(self, declared: Declared) -> None:
        """Takes a declaration in. Raises: Late, OutOfDomain."""
        ...

    def hear(self, heard: Heard) -> list[Outcome]:
        """What follows from a round."""
        ...

    def reopened(self, at_ms: int, *, is_midnight: bool) -> list[Outcome]:
        """What says that an hour was closed and is open again."""
        ...

    def state_text(self) -> str:
        """Everything it remembers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """An intake as the store needs it. `version` is 8 hex of its settings; `open` gives its account from a state."""

    name: str
    code: str
    version: str
    meters: frozenset[str]
    open: Callable[[str | None], Account]


@dataclass(slots=True)
class Told:
    """What a commit stores because of the rounds that were heard; `anew` are the registers that rolled over."""

    derived: list[Packed] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    anew: dict[Register, Anew] = field(default_factory=dict)

    def add(self, other: Told) -> None:
        """Joins what follows from another round."""
        self.derived += other.derived
        self.statements += other.statements


class Book:
    """Used by the thread that commits. Whatever its account raises goes through, but for what `declare` gives back."""

    def __init__(self, intake: Intake, reader: BookReader, findings: Findings) -> None:
        self.intake = intake
        self.findings = findings
        self.change_to: Intake | None = None  # other settings, to be taken up with the next commit
        self.trouble = ""  # why it is stopped
        self.is_back = False  # it has gone back, and nobody has asked yet
        self.account: Account | None = None
        self.number = 0  # every round up to it was heard or does not concern this intake
        self.told = 0
        self.rolled: dict[Register, Decimal] = {}  # from what registers rolled over that are not in a `Told` yet
        self.saved = -1  # `number` as of the last row of table `account`
        self._again_ms: int | None = None  # up to this hour it has closed again what it had closed; None: not repeating
        self._reader = reader
        self._layouts: dict[tuple[tuple[str, ...], int], Layout] = {}

    @property
    def is_repeating(self) -> bool:
        """Whether it hears rounds again whose outcomes are known."""
        return self.number < self.told

    # --- taking up

    def load(self, rows: Sequence[Declared], kept: tuple[int, str] | None, gone: int) -> list[Declared]:
        """Takes up the account where the database or `kept` (number and state) says; as `declare`.

        Raises OutOfDomain for a state that cannot be read.
        """
        stored = self._reader.rounds.query("SELECT number, state FROM account WHERE intake = ?", (self.intake.name,))
        known = [(int(number), str(text)) for number, text in stored] + ([] if kept is None else [kept])
        midnight = None if known else self._midnight(_FAR, gone)
        number, text = max(known) if known else (0, None) if midnight is None else midnight[1:]
        self.told = number
        for (raw,) in self._reader.rounds.query(_NEWEST, (number, INTAKE, self.intake.name)):
            self.told = max(number, int(unpack_raw(raw)[-1]))
        self._open(text, number, gone)
        return self.declare(rows, rows, gone)

    def change(self, rows: Sequence[Declared], gone: int) -> list[Declared]:
        """Goes on under the settings `change_to` from where it is; as `declare`."""
        assert self.account is not None
        assert self.change_to is not None
        text = self.account.state_text()
        self.intake, self.change_to, self._layouts, self.saved = self.change_to, None, {}, -1
        self._open(text, self.number, gone)
        return self.declare(rows, rows, gone)

    def declare(self, new: Sequence[Declared], rows: Sequence[Declared], gone: int) -> list[Declared]:
        """Tells the account `new` declarations, of all `rows`; where one counts from earlier, it goes back.

        Gives those that it cannot take in: what is not as it should be, and what counts from a time of which the rounds
        up to number `gone` are no longer stored.
        """
        refused: list[Declared] = []
        waiting, bound_ms = list(new), _FAR
        while waiting:
            assert self.account is not None
            row = waiting.pop(0)
            try:
                self.account.declare(row)
            except OutOfDomain:
                refused.append(row)
            except Late as late:
                back = self._midnight(min(late.at_ms, bound_ms), gone)
                if back is None and gone:
                    refused.append(row)
                    continue
                at_ms, number, text = (0, 0, None) if back is None else back
                bound_ms = at_ms - 1
                self._open(text, number, gone)
                self.is_back = True
                waiting = [each for each in rows if each not in refused]
        return refused

    def _open(self, text: str | None, number: int, gone: int) -> None:
        self.account = self.intake.open(text)
        self.number = max(number, self.account.number)
        closed_ms = self.account.closed_ms
        if closed_ms is None and not gone:  # else what lies before its first hour was closed over rounds that are gone
            closed_ms = 0
        self._again_ms = closed_ms if self.is_repeating else None
        self.findings.load(self._reader, self.account.heard_ms)

    def _midnight(self, at_ms: int, gone: int) -> tuple[int, int, str] | None:
        """The newest local midnight up to `at_ms` with its state and all rounds since: its time, number, state."""
        for row in self._reader.rounds.query(_MIDNIGHT, (self.intake.name, at_ms, gone)):
            return int(row[0]), int(row[1]), str(row[2])
        return None

    # --- hearing

    def hear(self, heard: Heard) -> Told:
        """Steps the account over a round; gives what is new."""
        assert self.account is not None
        is_known = heard.number <= self.told
        told, found = Told() if is_known else self._reopen(_FAR), list[Found]()
        is_revised = False
        for outcome in self.account.hear(heard):
            match outcome:
                case Derived():
                    if not is_known or is_revised:
                        mark = max(heard.number, self.told)
                        told.derived.append(self._packed(outcome, mark, is_revised=is_revised))
                case Closed():
                    if is_known:
                        told.add(self._reopen(outcome.at_ms))
                        self._again_ms = outcome.at_ms
                    told.statements.append((_CLOSING, (self.intake.name, *outcome)))
                    is_revised = is_known and self._differs(outcome)
                case Found():
                    is_revised = False
                    told.statements.append((_EVENT, _event(self.intake.name, outcome)))
                    found.append(outcome)
                case RolledOver():
                    self.rolled.setdefault(outcome.register, outcome.fell_from)
        self.findings.follow(found, is_known=is_known)
        self.passed(heard.number)
        return told

    def caught_up(self) -> Told:
        """Once it has heard again all that it had told: what of that is open again."""
        return Told() if self.is_repeating else self._reopen(_FAR)

    def _reopen(self, until_ms: int) -> Told:
        """Hours that stood closed between the last one that closed again and `until_ms`, and have not closed again."""
        told = Told()
        if self._again_ms is None or self.account is None:
            return told
        for row in self._reader.closings(self.intake.name, self._again_ms + 1, until_ms - 1):
            for outcome in self.account.reopened(row.at_ms, is_midnight=row.state is not None):
                if isinstance(outcome, Closed):
                    told.statements.append((_CLOSING, (self.intake.name, *outcome)))
                elif isinstance(outcome, Derived):
                    told.derived.append(self._packed(outcome, self.told, is_revised=True))
        if until_ms == _FAR:
            self._again_ms = None
        return told

    def _differs(self, closed: Closed) -> bool:
        known = self._reader.closing(self.intake.name, closed.at_ms)
        return known is None or canonical(known.body) != canonical(json.loads(closed.body))

    def passed(self, number: int) -> None:
        """Everything up to `number` was heard, or does not concern this intake."""
        self.number = max(self.number, number)
        self.told = max(self.told, number)

    def _packed(self, derived: Derived, told: int, *, is_revised: bool) -> Packed:
        layout = self._layouts.get((derived.quantities, derived.period_ms))
        if layout is None:
            layout = self._layouts[derived.quantities, derived.period_ms] = Layout(
                meter=self.intake.name,
                profile=INTAKE,
                version=self.intake.version,
                protocol=INTAKE,
                address=self.intake.code,
                quantities=derived.quantities,
                flags=(),
                period_ms=derived.period_ms,
                requests=(b"",),
            )
        quality = dict(derived.quality)
        if is_revised:
            quality = {name: (*quality.get(name, ()), Reason.REVISED.value) for name in derived.quantities}
        raw = (derived.proof.encode(), str(told).encode())
        found = Round(layout=layout, boot_ms=0, values=derived.values, quality=quality, raw=raw)
        return Packed.of(found, derived.at_ms)

    # --- keeping

    def saved_state(self) -> tuple[int, str] | None:
        """Number and state to keep; None while it repeats what was heard before, or is stopped."""
        if self.account is None or self.is_repeating:
            return None
        return self.number, self.account.state_text()


def account_row(intake: str, number: int, text: str) -> Statement:
    """The row that says where an account is."""
    return _ACCOUNT, (intake, number, text)


def _event(intake: str, found: Found) -> tuple[object, ...]:
    head = (intake, found.rule, found.version, found.subject, found.quantity)
    return (*head, found.began_ms, found.ended_ms, found.level, found.number, canonical(found.evidence))
