"""The water accounts of all intakes, stepped in the thread that commits.

Strategy: a commit takes the rounds that wait, steps the accounts over those that have a date, and stores what follows
in the same transaction: readings as rounds with numbers of their own, closings, events, and each hour the accounts.
Where an account is behind (a restart, a boot that was dated late, a declaration that counts from earlier, a new
intake) it catches up from the disk, a bounded piece with each commit, and hears live rounds again once it has reached
them. While this boot has no date nothing is stepped, since what follows could not be dated. An account that raises is
stopped with a Fault; the rounds are stored all the same.
"""

from __future__ import annotations

import contextlib
import sqlite3
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from agent.clock import Clock
from agent.faults import FaultCode, FaultSink
from agent.intakes.outcome import Declared, Heard, Register
from agent.model import INTAKE, MANUAL, Layout, StoredRound
from agent.qualify import Anew
from agent.quantities import STATUS
from agent.store.book import KINDS, Book, Intake, Told, account_row
from agent.store.book_reader import BookReader
from agent.store.dates import Dates
from agent.store.findings import FaultOf, Findings
from agent.store.layouts import Layouts
from agent.store.ledger import LedgerWrite, declared
from agent.store.packing import unpack, unpack_quality
from agent.store.queues import Statement
from agent.store.totals import Totals
from agent.store.waiting import RoundRow, Taken

SAVE_EVERY_S = 3600.0
MOST_ROUNDS = 500
"""Rounds of one account that a commit takes from the disk."""

MOST_S = 0.25
"""After this time a commit steps no further; what is left is taken from the disk by later ones."""

_FORGET_EVENTS = "DELETE FROM event WHERE intake = ? AND began_ms > ?"  # they are found again, or were never true


class Books:
    """All accounts; used by one thread at a time, under the store's lock of the disk."""

    def __init__(
        self, path: Path, *, clock: Clock, log: FilteringBoundLogger, faults: FaultSink, on_damage: Callable[[], None]
    ) -> None:
        self.totals = Totals(path)
        self.is_behind = False  # there is something to catch up with, and nothing in the way
        self._clock = clock
        self._log = log
        self._faults = faults
        self._reader = BookReader(path, on_damage=on_damage)
        self._books: dict[str, Book] = {}
        self._left: list[Statement] = []  # where accounts stood that are configured no longer
        self._rows: list[Declared] | None = None  # of the kinds that accounts hear; None: not read yet
        self._hearers: dict[int, tuple[Book, ...]] = {}  # by number of the layout
        self._epoch = ""
        self._saved_s = clock.monotonic()
        self._unsaved: dict[str, tuple[int, str]] = {}  # states in the transaction under way

    def keep(self, intakes: Iterable[Intake], *, fault_of: FaultOf) -> None:
        """From now on there are these. Changed ones go on from where they are, stopped ones are tried again."""
        before, self._books = self._books, {}
        self._hearers.clear()
        for intake in intakes:
            book = before.pop(intake.name, None)
            if book is None or book.account is None or book.trouble:
                findings = Findings(intake.name, faults=self._faults, fault_of=fault_of)
                book = Book(intake, self._reader, findings)
            elif book.intake.version != intake.version:
                book.change_to = intake
            self._books[intake.name] = book
        for name, book in before.items():
            with self._guard(book):
                book.findings.drop()
                state = book.saved_state()
                self._left += [] if state is None else [account_row(name, *state)]
        self.is_behind = bool(self._books)

    def close(self) -> None:
        """Lets go of the file."""
        self._reader.close()

    # --- with a commit

    def step(
        self, taken: Taken, ledger: Sequence[LedgerWrite], *, layouts: Layouts, committed: int, gone: int
    ) -> Told | None:
        """What follows from the rounds that are about to be stored and from stored ones that were not heard yet.

        `committed`: the highest number on disk; `gone`: up to there rounds are missing on it. None without intakes.
        """
        if not (self._books or self._left):
            return None
        told = Told()
        try:
            self._step(taken, ledger, layouts=layouts, committed=committed, gone=gone, told=told)
        except Exception as error:  # noqa: BLE001 - whatever is wrong here must never cost a round
            for book in self._running():
                self._stop(book, error)
        return told

    def _step(
        self,
        taken: Taken,
        ledger: Sequence[LedgerWrite],
        *,
        layouts: Layouts,
        committed: int,
        gone: int,
        told: Told,
    ) -> None:
        is_dated = taken.dates.spell(taken.top + 1)[0] is not None
        try:
            new = self._declared(ledger)
            prefix = self._prefix()
        except (sqlite3.Error, OSError) as error:
            self._not_read(error)
            return
        behind = [book for book in self._running() if book.account is None or book.number < committed]
        for book in self._running():
            with self._guard(book):
                self._declare(book, new, gone, told)
                if is_dated:
                    end_s = self._clock.monotonic() + MOST_S / max(1, len(behind))
                    self._catch_up(book, committed, taken.dates, end_s, told)
        if is_dated:
            self._hear_live(taken, layouts, committed, prefix, told)
            self._tell(told)
            self._tell_rolled(taken.top, told)
        self.is_behind = is_dated and any(book.number < taken.top for book in self._running())

    def joined(self, later: Taken, before: int, layouts: Layouts) -> None:
        """Rounds `later` were given numbers while those up to `before` were stepped, and are stored with them."""
        live = [book for book in self._running() if book.number == before]
        concerned = {id(book) for row in later.rounds for book in self._hearers_of(row[1], layouts)}
        for book in live:
            if id(book) in concerned:
                self.is_behind = True
            else:
                book.passed(later.top)

    def states(self, *, every: bool) -> list[Statement]:
        """The rows that say where the accounts are, when they are due or at a stop (`every`)."""
        rows, self._left = self._left, []
        now_s = self._clock.monotonic()
        if not every and now_s - self._saved_s < SAVE_EVERY_S:
            return rows
        self._saved_s = now_s
        for book in self._running():
            if book.saved == book.number:
                continue
            with self._guard(book):
                state = book.saved_state()
                if state is not None:
                    book.saved = book.number
                    self._unsaved[book.intake.name] = state
                    rows.append(account_row(book.intake.name, *state))
        return rows

    def settle(self, committed: int) -> None:
        """After a COMMIT: keeps beside the database what it now holds of the accounts."""
        states, self._unsaved = self._unsaved, {}
        if not states:
            return
        try:
            self.totals.write(committed, states)
        except OSError as error:
            self._log.warning("totals.not_written", file=str(self.totals.path), error=str(error))

    def restated(self) -> list[Statement]:
        """Where the accounts are, for a file that replaces a damaged one."""
        self._epoch = ""
        rows: list[Statement] = []
        for book in self._running():
            with self._guard(book):
                state = book.saved_state()
                rows += [] if state is None else [account_row(book.intake.name, *state)]
        return rows

    def snapshot(self, committed: int) -> dict[str, dict[str, object]]:
        """What `qushui status` shows of each account; `backlog_rounds` counts the rounds of all meters."""
        return {
            name: {
                "state": _state_of(book, committed),
                "backlog_rounds": max(0, committed - book.number),
                "heard_ms": None if book.account is None else book.account.heard_ms,
                "detail": book.trouble,
            }
            for name, book in list(self._books.items())
        }

    # --- inside

    def _running(self) -> list[Book]:
        return [book for book in self._books.values() if not book.trouble]

    def _declared(self, ledger: Sequence[LedgerWrite]) -> list[Declared]:
        """The declarations of this commit that accounts hear; `_rows` has them and all before."""
        if self._rows is None:
            kept = sorted(row for kind in KINDS for row in self._reader.ledger(kind))
            self._rows = [Declared(**{name: getattr(row, name) for name in Declared.__slots__}) for row in kept]
        known = max((row.id for row in self._rows), default=0)
        new = [declared(row) for row in ledger if row[1] in KINDS and row[0] > known]
        self._rows += new
        return new

    def _declare(self, book: Book, new: Sequence[Declared], gone: int, told: Told) -> None:
        """Brings the account up to the declarations; loads it first where that is due."""
        rows = self._rows or []
        if book.account is None:
            refused = book.load(rows, self.totals.of(book.intake.name), gone)
        elif book.change_to is not None:
            refused = book.change(rows, gone)
        elif new:
            refused = book.declare(new, rows, gone)
        else:
            return
        if book.is_back:
            book.is_back = False
            heard_ms = None if book.account is None else book.account.heard_ms
            told.statements.append((_FORGET_EVENTS, (book.intake.name, -1 if heard_ms is None else heard_ms)))
            self._log.info("account.went_back", intake=book.intake.name, number=book.number, until=book.told)
        for row in refused:
            self._log.warning("declaration.refused", intake=book.intake.name, id=row.id, kind=row.kind)

    def _catch_up(self, book: Book, committed: int, dates: Dates, end_s: float, told: Told) -> None:
        """Steps over rounds on disk, a bounded piece. What a boot left without a date never gets one."""
        if book.number >= committed:
            return
        meters = sorted(book.intake.meters)
        found = self._reader.rounds.rounds(book.number + 1, committed, limit=MOST_ROUNDS, meters=meters)
        for each in found:
            if each.at_ms is not None:
                told.add(book.hear(heard_of(each)))
            elif dates.spell(each.number)[0] is not None:  # its date comes on disk with this commit
                return
            if self._clock.monotonic() > end_s:
                book.passed(each.number)
                return
        book.passed(found[-1].number if len(found) == MOST_ROUNDS else committed)

    def _hear_live(self, taken: Taken, layouts: Layouts, committed: int, prefix: str, told: Told) -> None:
        """Steps those that are not behind over the rounds that are about to be stored."""
        live = [book for book in self._running() if book.account is not None and book.number >= committed]
        last, end_s = taken.top, self._clock.monotonic() + MOST_S
        for row in taken.rounds if live else ():
            if not self._hearers_of(row[1], layouts):
                continue
            if self._clock.monotonic() > end_s:
                last = row[0] - 1
                break
            offset_ms, _ = taken.dates.spell(row[0])
            if offset_ms is None:
                continue
            heard = _heard(row, layouts.known(row[1]), row[2] + offset_ms, prefix)
            for book in self._hearers_of(row[1], layouts):
                if book in live and book.account is not None:
                    with self._guard(book):
                        told.add(book.hear(heard))
        for book in live:
            if book.account is not None:
                book.passed(last)

    def _hearers_of(self, number: int, layouts: Layouts) -> tuple[Book, ...]:
        """The books that listen to rounds of this layout."""
        hearers = self._hearers.get(number)
        if hearers is None:
            layout = layouts.known(number)
            books = () if layout.protocol == INTAKE else self._books.values()
            hearers = self._hearers[number] = tuple(book for book in books if layout.meter in book.intake.meters)
        return hearers

    def _prefix(self) -> str:
        """How ids of new rounds begin."""
        if not self._epoch:
            self._epoch = self._reader.rounds.epoch
        return f"{self._epoch}-"

    def _tell(self, told: Told) -> None:
        """Hours that are open again, Faults of rules, and the end of those that stopped an account."""
        for book in self._running():
            if book.account is None or book.is_repeating:
                continue
            with self._guard(book):
                told.add(book.caught_up())
                book.findings.tell()
                self._faults.cleared(FaultCode.INTAKE_STOPPED, place_of(book.intake.name))

    def _tell_rolled(self, top: int, told: Told) -> None:
        """The measure of registers that rolled over is what was booked last, once an account has heard everything.

        Of several accounts the highest: what one of them holds stays flagged.
        """
        for book in self._running():
            if not book.rolled or book.account is None or book.number < top:
                continue
            with self._guard(book):
                for register, fell_from in book.rolled.items():
                    booked = self._booked(register)
                    if booked:  # else its intake has it no longer
                        told.anew[register] = Anew(max(booked), fell_from)
                book.rolled.clear()

    def _booked(self, register: Register) -> list[Decimal]:
        """What a register showed when the accounts that follow it last booked it."""
        known = [book.account.registers for book in self._running() if book.account is not None]
        return [booked[register] for booked in known if register in booked]

    @contextlib.contextmanager
    def _guard(self, book: Book) -> Iterator[None]:
        """Whatever an account raises stops it, and nothing else: its rounds are stored all the same.

        Where the file could not be read, the account is loaded again with the next commit.
        """
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._not_read(error)
            book.account = None
        except Exception as error:  # noqa: BLE001 - an account's mistake must never cost a round
            self._stop(book, error)

    def _not_read(self, error: Exception) -> None:
        self._log.warning("books.not_read", error=str(error))

    def _stop(self, book: Book, error: Exception) -> None:
        book.trouble, book.account = repr(error), None
        proof = {"error": repr(error), "number": book.number}
        self._faults.raised(FaultCode.INTAKE_STOPPED, place_of(book.intake.name), **proof)
        self._log.error("account.stopped", intake=book.intake.name, traceback=traceback.format_exc(), **proof)


def place_of(intake: str) -> str:
    """Where Faults of an intake are."""
    return f"intake/{intake}"


def heard_of(found: StoredRound) -> Heard:
    """A stored round with a date, as accounts hear it."""
    assert found.at_ms is not None
    values = _values(found.layout, found.texts)
    is_manual = found.layout.protocol == MANUAL
    return Heard(found.number, found.id, found.layout.meter, found.at_ms, values, found.quality or {}, is_manual)


def _heard(row: RoundRow, layout: Layout, at_ms: int, prefix: str) -> Heard:
    """A round that is about to be stored, the same."""
    number, _, _, body, quality, _ = row
    values, reasons = _values(layout, unpack(body)), {} if quality is None else unpack_quality(layout, quality)
    return Heard(number, f"{prefix}{number}", layout.meter, at_ms, values, reasons, layout.protocol == MANUAL)


def _values(layout: Layout, texts: Sequence[str | None]) -> dict[str, Decimal | frozenset[str]]:
    values: dict[str, Decimal | frozenset[str]] = {}
    for quantity, text in zip(layout.quantities, texts, strict=True):
        if text is None:
            continue
        if quantity == STATUS:
            values[quantity] = frozenset(flag for at, flag in enumerate(layout.flags) if int(text) >> at & 1)
        else:
            values[quantity] = Decimal(text)
    return values


def _state_of(book: Book, committed: int) -> str:
    if book.trouble:
        return "stopped"
    if book.account is None:
        return "waiting"
    return "live" if book.number >= committed else "behind"
