"""Reads what a report is made of, from the database that a daemon may be writing, and finds the frozen ones in it.

Strategy: only the closings at a report's edges are read, a hundred an intake whatever the database holds; they name
the rounds and registers around each hour, so that no round is read at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from agent.derive.coefficient import Coefficient
from agent.derive.exact import MS_PER_HOUR
from agent.derive.records import coefficient_from
from agent.intakes.settings import IntakeSettings
from agent.reports.building import report_of
from agent.reports.closings import Standing, standing_of
from agent.reports.facts import Facts, IntakeFacts
from agent.reports.report import Anomaly, Declaration, Photo, Report, SealRef, report_from
from agent.reports.spans import Span
from agent.rules.compliance import UploadRate
from agent.rules.upload import UploadRates
from agent.settings import Station
from agent.store.book_reader import BookReader, ClosingRow, EventRow, LedgerRow

NAMEPLATE = "nameplate"
"""The kind of a row of the ledger that keeps photos of a meter's nameplate."""

_DECLARED = ("replacement", "decision", "reading", "acknowledgement", "withdrawal")
_DAY_MS = 24 * MS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A version of a quarter as the ledger keeps it. `signature` is over the hash of the report's text."""

    row: int
    report: Report
    sha256: str
    key: str
    signature: str


class Reporting:
    """The reports of one station. Raises as `BookReader` does."""

    def __init__(
        self,
        book: BookReader,
        *,
        station: Station,
        intakes: Iterable[IntakeSettings],
        software: str,
        rates: Mapping[tuple[str, str], UploadRates],
    ) -> None:
        """`software` is the version of the agent that makes the report, `rates` what is known of uplinks' arrivals."""
        self._book = book
        self._station = station
        self._intakes = tuple(intakes)
        self._software = software
        self._zone = ZoneInfo(station.timezone)
        self._rates = dict(rates)

    def draft(self, span: Span, *, made_ms: int, accepted_expired: bool = False) -> Report:
        """The report as far as the data reach."""
        intakes = tuple(self._intake(settings, span) for settings in self._intakes)
        facts = Facts(
            span=span,
            zone=self._zone,
            station=self._station.id,
            station_name=self._station.name,
            timezone=self._station.timezone,
            made_ms=made_ms,
            software=self._software,
            config_sha256=self._config_sha256(span.end_ms),
            seal=self._seal(intakes),
            intakes=intakes,
        )
        return report_of(facts, accepted_expired=accepted_expired)

    def reach(self) -> tuple[int, int] | None:
        """The first and the last hour (UTC ms) that any of the intakes has figures for; None: there are none yet."""
        known = [reach for each in self._intakes if (reach := self._book.reach(each.name)) is not None]
        return (min(first for first, _ in known), max(last for _, last in known)) if known else None

    def kept_rounds(self, report: Report) -> list[tuple[int, int]]:
        """The numbers that a frozen report rests on: around its boundaries, at its events and declarations."""
        numbers: set[int] = set()
        for intake in report.intakes:
            edges = [edge for edge in (intake.begin, intake.end) if edge is not None]
            ids = {name for edge in edges for name in (edge.before, edge.after)}
            ids |= {name for anomaly in intake.anomalies for name in (anomaly.first, anomaly.last)}
            shown = [shown for register in intake.registers for shown in (register.begin, register.end)]
            ids |= {name for each in shown for name in (each.before, each.after)}
            ids |= {each.facts["round"] for each in intake.declarations if "round" in each.facts}
            numbers |= {number for name in ids if (number := number_of(name)) is not None}
        return stretches(numbers)

    def _intake(self, settings: IntakeSettings, span: Span) -> IntakeFacts:
        standings, has_begun = self._standings(settings.name, span)
        archive = self._archive(settings.name, span.end_ms)
        declared, gone = self._declared(settings, span), self._book.withdrawn()
        rate = self._rate(settings.name, span)
        return IntakeFacts(
            settings=settings,
            standings=standings,
            has_begun=has_begun,
            year=self._standing(settings.name, span.year_begin_ms(self._zone)),
            coefficients=self._coefficients(settings),
            declarations=tuple(_declaration(row, gone.get(row.id)) for row in declared),
            photos=tuple(photo for row in (*self._nameplates(settings, span), *declared) for photo in _photos(row)),
            anomalies=tuple(map(self._anomaly, self._book.events(settings.name, span.begin_ms, span.end_ms))),
            archive_version=archive.get("version"),
            on_time_pct=None if rate is None else rate.on_time_pct,
            final_pct=None if rate is None else rate.final_pct,
        )

    def _rate(self, intake: str, span: Span) -> UploadRate | None:
        """How much of what the intake owed arrived, at the platform that got least; None where it is not known."""
        each = [rates.over(span.months) for (_, name), rates in self._rates.items() if name == intake and span.months]
        known = [rate for rate in each if rate is not None]
        return min(known, key=lambda rate: rate.on_time_pct, default=None)

    def _standings(self, intake: str, span: Span) -> tuple[tuple[Standing, ...], bool]:
        """The closings at the edges of the rows; the last one stands for a period that has not ended."""
        edges = span.edges_ms(self._zone)
        found = [standing for at_ms in edges if (standing := self._standing(intake, at_ms)) is not None]
        last_ms = found[-1].at_ms if found else span.begin_ms
        if last_ms < span.end_ms:
            later = self._book.closings(intake, last_ms + 1, min(last_ms + _DAY_MS, span.end_ms))
            found += [_standing(row) for row in later[-1:]]
        return tuple(found), bool(found) and found[0].at_ms == span.begin_ms

    def _standing(self, intake: str, at_ms: int) -> Standing | None:
        row = self._book.closing(intake, at_ms)
        return None if row is None else _standing(row)

    def _coefficients(self, settings: IntakeSettings) -> tuple[Coefficient, ...]:
        ids = [] if settings.energy is None else [name for pump in settings.energy.pumps for name in pump.coefficients]
        return tuple(record for name in dict.fromkeys(ids) for record in self.coefficient_versions(name))

    def coefficient_versions(self, name: str) -> list[Coefficient]:
        """All versions of a coefficient, in the order they were activated."""
        rows = self._book.ledger("coefficient", name)
        return [coefficient_from({key: row.body[key] for key in row.body if key != "report"}) for row in rows]

    def _declared(self, settings: IntakeSettings, span: Span) -> list[LedgerRow]:
        """What people declared about the intake and its meters that counts in the period."""
        subjects = {*settings.meters, settings.name, f"intake/{settings.name}"}
        subjects |= {f"meter/{meter}" for meter in settings.meters}
        rows = [row for kind in _DECLARED for row in self._book.ledger(kind) if row.subject in subjects]
        dated = ((row.at_ms if row.at_ms is not None else row.entered_ms, row) for row in rows)
        return sorted(row for at_ms, row in dated if at_ms is not None and span.begin_ms <= at_ms < span.end_ms)

    def _nameplates(self, settings: IntakeSettings, span: Span) -> list[LedgerRow]:
        """The nameplates of its meters as photographed last before the end of the period."""
        rows = [row for row in self._book.ledger(NAMEPLATE) if row.at_ms is not None and row.at_ms < span.end_ms]
        newest = {row.subject: row for row in sorted(rows, key=lambda each: (each.at_ms or 0, each.id))}
        return [newest[meter] for meter in sorted(settings.meters) if meter in newest]

    def _archive(self, intake: str, end_ms: int) -> Mapping[str, Any]:
        rows = [row for row in self._book.ledger("archive", intake) if row.at_ms is None or row.at_ms < end_ms]
        return rows[-1].body if rows else {}

    def _config_sha256(self, end_ms: int) -> str:
        """The hash of the configuration in force at the end of the period; "" where none was taken up yet."""
        rows = self._book.ledger("config", self._station.id)
        before = [row for row in rows if (row.at_ms or row.entered_ms or 0) < end_ms]
        return str(before[-1].body["sha256"]) if before else ""

    def _seal(self, intakes: Sequence[IntakeFacts]) -> SealRef | None:
        """The link of the chain that covers the last round that the report rests on."""
        ends = [intake.standings[-1] for intake in intakes if intake.standings]
        row = self._book.seal_of(max(end.last for end in ends)) if ends else None
        return None if row is None else SealRef(id=row.id, last=row.last, hash=row.hash)

    def _anomaly(self, row: EventRow) -> Anomaly:
        return Anomaly(
            rule=row.rule,
            version=row.version,
            subject=row.subject,
            quantity=row.quantity,
            level=row.level,
            began_ms=row.began_ms,
            ended_ms=row.ended_ms,
            first=self._id(row.first),
            last=self._id(row.last),
        )

    def _id(self, number: int) -> str:
        """The id of a round, also of one that is no longer stored."""
        sql = "SELECT epoch FROM epoch WHERE first <= ? ORDER BY first DESC LIMIT 1"
        rows = self._book.rounds.query(sql, (number,))
        return f"{rows[0][0]}-{number}" if rows else ""


def frozen_versions(book: BookReader, name: str) -> list[Frozen]:
    """The versions of a quarter, ascending."""
    found = []
    for row in book.ledger("frozen", name):
        body = row.body
        report = report_from(body["report"])
        found.append(
            Frozen(
                row=row.id,
                report=report,
                sha256=body["sha256"],
                key=body.get("key", ""),
                signature=body.get("signature", ""),
            )
        )
    return found


def stretches(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as stretches first … last, ascending."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def number_of(round_id: str) -> int | None:
    """The number of a round's id; None where it is none."""
    _, _, number = round_id.partition("-")
    return int(number) if number.isascii() and number.isdigit() else None


def _standing(row: ClosingRow) -> Standing:
    return standing_of(row.at_ms, row.revision, row.body)


def _declaration(row: LedgerRow, withdrawn_by: int | None) -> Declaration:
    facts = {key: str(value) for key, value in row.body.items() if isinstance(value, str | int) and value != ""}
    facts |= {} if withdrawn_by is None else {"withdrawn_by": str(withdrawn_by)}
    at_ms = row.at_ms if row.at_ms is not None else row.entered_ms
    return Declaration(id=row.id, kind=row.kind, subject=row.subject, at_ms=at_ms, who=row.who, facts=facts)


def _photos(row: LedgerRow) -> Iterator[Photo]:
    for photo in row.body.get("photo") or ():
        about = f"{row.kind} {row.subject}"
        yield Photo(sha256=photo["sha256"], file=photo.get("file", ""), bytes=photo.get("bytes", 0), about=about)
