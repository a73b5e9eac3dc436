"""What was told once and stands no longer: which declarations came late, and what stands in its place.

Strategy: closings keep every revision, and the ledger says which round number was next when a row was entered. So a row
that counts from before an hour and was entered after its readings is why that hour was settled anew. The readings
between full hours are not told again; what stands instead of one is derived once more here, from the state of the
midnight before it, and is given only where every hour on the way comes out as it is stored. Nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.derive.exact import MS_PER_HOUR, OutOfDomain
from agent.intakes.outcome import Closed, Declared, Derived, Late
from agent.intakes.withdrawing import WITHDRAWAL
from agent.model import StoredRound
from agent.store.book import KINDS, Account, Intake
from agent.store.book_reader import BookReader, ClosingRow, LedgerRow
from agent.store.books import heard_of

_CHANGES_WATER = ("coefficient", "replacement", "decision", WITHDRAWAL)
_NEAR_MS = 25 * MS_PER_HOUR  # the closed hours beside a reading, also across a long silence
_BACK_MS = 3 * 24 * MS_PER_HOUR  # how far back a midnight is looked for to begin from
_PIECE = 2000  # rounds read at once
_WATER = ("settled", "view", "unknown", "registers")  # of a closing's body
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Why an hour is not as first told, or is open again: its earlier totals (m³), oldest first, and the late rows.
    `told` is the number of the round that settled it at first.
    """

    earlier: tuple[Decimal, ...]
    because: tuple[LedgerRow, ...]
    told: int


def revision_of(book: BookReader, intake: str, row: ClosingRow) -> Revision | None:
    """Why the hour was settled anew; None where the first settlement stands. Raises as `BookReader`."""
    if row.revision == 1:
        return None
    known = [each for each in book.revisions(intake, row.at_ms) if each.revision <= row.revision]
    subjects = {name for each in known for name in _subjects(each.body)}
    first, until_ms = known[0], max(row.at_ms, *(each.body.get("after", _NOTHING).get("at_ms", 0) for each in known))
    told = max(first.number, first.body.get("after", _NOTHING).get("number", 0))
    late = (each for each in book.ledger() if each.kind in _CHANGES_WATER and each.round > told)
    because = (each for each in late if each.subject in subjects and each.at_ms is not None and each.at_ms <= until_ms)
    past = known if row.is_open else known[:-1]
    earlier = tuple(Decimal(each.body["settled"]["volume"]) for each in past)
    return Revision(earlier=earlier, because=tuple(because), told=told)


def _subjects(body: Mapping[str, Any]) -> Iterator[str]:
    """The meters and coefficients that a closing rests on."""
    yield from body["registers"]
    yield from (name.partition("@")[0] for name in body["tally"].get("volumes", _NOTHING))


def revised_hours(book: BookReader, told: StoredRound) -> list[ClosingRow]:
    """Of the hours on both sides of an intake's reading those that were settled anew, or are open again."""
    intake, at_ms = told.layout.meter, told.at_ms
    if at_ms is None:
        return []
    beside = [
        *book.closings(intake, at_ms - _NEAR_MS, at_ms, with_open=True)[-1:],
        *book.closings(intake, at_ms + 1, at_ms + _NEAR_MS, with_open=True)[:1],
    ]
    return [row for row in beside if row.revision > 1]


def late_for(book: BookReader, told: StoredRound, hours: Iterable[ClosingRow]) -> list[LedgerRow]:
    """The declarations that count from before a reading and were entered after it."""
    found: dict[int, LedgerRow] = {}
    for row in hours:
        revision = revision_of(book, told.layout.meter, row)
        for each in () if revision is None else revision.because:
            if each.round > told.number and (each.at_ms or 0) <= (told.at_ms or 0):
                found[each.id] = each
    return [found[number] for number in sorted(found)]


def told_first_and_last(book: BookReader, told: StoredRound, revision: Revision) -> tuple[StoredRound, StoredRound]:
    """The reading of a closed hour as it was told at first, and as it was told last; `told` is one of them."""
    assert told.at_ms is not None
    hour = (told.layout.meter, told.at_ms, told.layout.period_ms)
    rounds = sorted(each.round for each in revision.because)
    first = book.told(*hour, revision.told, rounds[0] - 1) if rounds else None
    for number in reversed(rounds):
        if (last := book.told(*hour, number)) is not None:
            return first or told, last
    return first or told, told


def derived_again(book: BookReader, intake: Intake, told: StoredRound) -> Derived | None:
    """The reading between two full hours as it would be told today; None where that cannot be shown to hold."""
    assert told.at_ms is not None
    source = int(book.rounds.raw(told.number)[-1])
    account = _account_before(book, intake, told.at_ms, source)
    if account is None:
        return None
    found: Derived | None = None
    for each in _rounds(book, intake, account.number + 1):
        if each.at_ms is None:
            continue
        for outcome in account.hear(heard_of(each)):
            match outcome:
                case Derived() if each.number == source and outcome.quantities == told.layout.quantities:
                    found = outcome
                case Closed() if not _is_stored(book, intake.name, outcome):
                    return None
                case Closed(at_ms=at_ms) if at_ms >= told.at_ms:
                    return found
    return found


def _account_before(book: BookReader, intake: Intake, at_ms: int, source: int) -> Account | None:
    """The account as it was at a midnight before round `source`, with all that was declared since."""
    rows = sorted(row for kind in KINDS for row in book.ledger(kind))
    declared = [Declared(**{name: getattr(row, name) for name in Declared.__slots__}) for row in rows]
    for row in reversed(book.closings(intake.name, at_ms - _BACK_MS, at_ms)):
        if row.state is None or row.number >= source:
            continue
        account = intake.open(row.state)
        if all(_takes(account, each) for each in declared):
            return account
    return None


def _takes(account: Account, declared: Declared) -> bool:
    """Whether the account has not gone past it; what it refuses it refused before, too."""
    try:
        account.declare(declared)
    except Late:
        return False
    except OutOfDomain:
        return True
    return True


def _rounds(book: BookReader, intake: Intake, first: int) -> Iterator[StoredRound]:
    last, meters = book.rounds.committed(), sorted(intake.meters)
    while found := book.rounds.rounds(first, last, limit=_PIECE, meters=meters):
        yield from found
        first = found[-1].number + 1


def _is_stored(book: BookReader, intake: str, closed: Closed) -> bool:
    """Whether the hour comes out with the water and the words that stand."""
    row = book.closing(intake, closed.at_ms)
    return row is None or _said(row.body) == _said(json.loads(closed.body))


def _said(body: Mapping[str, Any]) -> list[Any]:
    """What a closing says of the water; run times beside it another version may count otherwise."""
    counts = body["counts"]
    return [*(body.get(name) for name in _WATER), counts["flags"], counts["qc"]]
