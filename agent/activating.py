"""Coefficients as the ledger has them, and what stands between a record and being the one in force."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from agent.calibration.drafting import year_after
from agent.calibration.remarks import Remark, eta_remarks, sanity_remarks, tcs_of
from agent.derive.coefficient import Coefficient, evidence_tier
from agent.derive.exact import OutOfDomain, midnight_ms
from agent.derive.ledger import Ledger
from agent.derive.models import Physical
from agent.derive.records import coefficient_from, record_of
from agent.form.problems import FormErrors, Problem
from agent.intakes.settings import IntakeSettings
from agent.store.book_reader import BookReader, LedgerRow
from agent.store.reader import Reader

KIND = "coefficient"
REPORT = "report"
"""Beside the record in the ledger's row: SHA-256 of the calibration report."""

PROPOSED = "COEFFICIENT-PROPOSED"
_QUARTER = re.compile(r"(\d{4})Q([1-4])")
_MONTHS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of a coefficient: who took it up and when (UTC ms), and when a later one takes its place."""

    coefficient: Coefficient
    who: str
    entered_ms: int | None
    replaced_on: date | None

    def state_on(self, day: date) -> str:
        """A state of `CoefficientState`, or REPLACED from the day on which a later version counts."""
        if self.replaced_on is not None and day >= self.replaced_on:
            return "REPLACED"
        return self.coefficient.state_on(day).value


class Refusal(StrEnum):
    """Why a record is not taken up; each is a sentence `coefficient.refused.CODE`."""

    FROZEN = "FROZEN"
    EMPTY = "EMPTY"
    MODE = "MODE"
    HEAD = "HEAD"
    WELL = "WELL"
    SAME = "SAME"


class NotActivated(Exception):
    """Why not: `arguments` fill the sentence."""

    def __init__(self, code: Refusal, **arguments: str) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


def versions_of(book: BookReader) -> dict[str, list[Version]]:
    """Every coefficient by its id, its versions in the order in which they were taken up. Raises as `BookReader`."""
    rows: dict[str, list[tuple[Coefficient, LedgerRow]]] = {}
    for row in book.ledger(KIND):
        coefficient = coefficient_from({key: value for key, value in row.body.items() if key != REPORT})
        rows.setdefault(coefficient.id, []).append((coefficient, row))
    return {name: [_version(each, row, found) for each, row in found] for name, found in sorted(rows.items())}


def _version(coefficient: Coefficient, row: LedgerRow, all_of_it: Sequence[tuple[Coefficient, LedgerRow]]) -> Version:
    later = [other.valid_from or date.min for other, _ in all_of_it if other.version > coefficient.version]
    return Version(
        coefficient=coefficient,
        who=row.who,
        entered_ms=row.entered_ms,
        replaced_on=min(later, default=None),
    )


def frozen_until(book: BookReader) -> tuple[str, date] | None:
    """The last frozen quarter and the local day after it."""
    found = [match for row in book.ledger("frozen") if (match := _QUARTER.match(row.subject))]
    ends = [(match[0], _day_after(int(match[1]), int(match[2]))) for match in found]
    return max(ends, key=lambda each: each[1], default=None)


def _day_after(year: int, quarter: int) -> date:
    month = quarter * _MONTHS + 1
    return date(year, month, 1) if month < 13 else date(year + 1, 1, 1)  # noqa: PLR2004 - months


def users_of(name: str, intakes: Iterable[IntakeSettings]) -> list[str]:
    """The intakes, and their pumps where there are several, whose water rests on that coefficient."""
    used = []
    for intake in intakes:
        pumps = intake.energy.pumps if intake.energy is not None else ()
        used += [
            intake.name if len(pumps) == 1 else f"{intake.name}/{pump.id}"
            for pump in pumps
            if name in pump.coefficients
        ]
    return used


def told_version(version: Version, name: str, day: date, intakes: Sequence[IntakeSettings]) -> dict[str, Any]:
    """A version for machines, with its state on that local day and where it is used."""
    coefficient = version.coefficient
    return {
        "name": coefficient.name,
        "state": version.state_on(day),
        "tier": evidence_tier(coefficient).value,
        "who": version.who,
        "entered_ms": version.entered_ms,
        "replaced_on": None if version.replaced_on is None else str(version.replaced_on),
        "used_by": users_of(name, intakes),
        "record": record_of(coefficient),
    }


def heads_of(name: str, intakes: Iterable[IntakeSettings]) -> tuple[Decimal, Decimal] | None:
    """The range of total head where that coefficient is used, m; None where the configuration says none."""
    sources = [intake.energy for intake in intakes if users_of(name, [intake]) and intake.energy is not None]
    spans = [source.head_m for source in sources if source.head_m is not None]
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None


def proposed(reader: Reader) -> list[dict[str, str]]:
    """What the agent proposes and nobody has taken up: the evidence of each open proposal, with its place."""
    return [{"place": row.place, **row.evidence} for row in reader.faults(open_only=True) if row.code == PROPOSED]


class _Numbers(yaml.SafeLoader):
    """YAML whose numbers with a point stay decimal."""


def _decimal(_: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal:
    return Decimal(str(node.value).replace("_", ""))


_Numbers.add_constructor("tag:yaml.org,2002:float", _decimal)


def record_in(path: Path) -> Coefficient:
    """The record that a file holds.

    Raises:
        FormErrors: no YAML, or no record; what is wrong is named with its place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise _problem(path, 1, 1, "", "file-missing") from error
    except UnicodeDecodeError as error:
        raise _problem(path, 1, 1, "", "file-not-utf8") from error
    except OSError as error:
        raise _problem(path, 1, 1, "", "file-unreadable", detail=str(error)) from error
    try:
        document = yaml.load(text, Loader=_Numbers)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ArithmeticError) as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _problem(path, line, column, "", "yaml-syntax", detail=str(error).partition("\n")[0]) from error
    if not isinstance(document, dict):
        raise _problem(path, 1, 1, "", "record-none")
    try:
        return coefficient_from(document)
    except OutOfDomain as error:
        line, column = _place_of(text, error.name)
        raise _problem(path, line, column, error.name, "record", detail=str(error)) from error


def _problem(path: Path, line: int, column: int, where: str, code: str, **arguments: str) -> FormErrors:
    return FormErrors([Problem(file=str(path), line=line, column=column, path=where, code=code, arguments=arguments)])


def _place_of(text: str, name: str) -> tuple[int, int]:
    """Where the field called `name` (dotted) stands; the beginning when it is nowhere."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    place = (1, 1)
    for part in name.split("."):
        if not isinstance(node, yaml.MappingNode):
            break
        found = [(key, value) for key, value in node.value if key.value == part]
        if not found:
            break
        key, node = found[0]
        place = (key.start_mark.line + 1, key.start_mark.column + 1)
    return place


def next_version(
    record: Coefficient, known: Sequence[Version], *, valid_from: date, frozen: tuple[str, date] | None, zone: tzinfo
) -> Coefficient:
    """The record as the next version, counting from `valid_from`; its end moves along where it has passed.

    Raises:
        NotActivated: it would change what is frozen, is no version of that coefficient, or is in force already.
    """
    if frozen is not None and valid_from < frozen[1]:
        raise NotActivated(Refusal.FROZEN, quarter=frozen[0], first=str(frozen[1]), value=str(valid_from))
    valid_to = record.valid_to
    if valid_to is not None and valid_to <= valid_from:
        raise NotActivated(Refusal.EMPTY, valid_to=str(valid_to), value=str(valid_from))
    before = [each.coefficient for each in known]
    if before and before[-1].well_code != record.well_code:
        raise NotActivated(Refusal.WELL, id=record.id, value=record.well_code, other=before[-1].well_code)
    if before and before[-1].delivery_mode != record.delivery_mode:
        raise NotActivated(Refusal.MODE, id=record.id, value=record.delivery_mode, other=before[-1].delivery_mode)
    version = before[-1].version + 1 if before else 1
    taken = replace(record, version=version, valid_from=valid_from, valid_to=valid_to or year_after(valid_from))
    if before and _without_reason(taken, before[-1].version) == _without_reason(before[-1], before[-1].version):
        raise NotActivated(Refusal.SAME, name=before[-1].name, value=str(valid_from))
    Ledger([*before, taken], zone=zone)
    return taken


def _without_reason(record: Coefficient, version: int) -> Mapping[str, Any]:
    """What a record says of the well, whoever took it up why."""
    evidence = {key: value for key, value in record.evidence.items() if key != "reason"}
    return record_of(replace(record, version=version, evidence=evidence))


def head_remarks(record: Coefficient, heads: tuple[Decimal, Decimal] | None) -> list[Remark]:
    """What the site's heads say of the record."""
    if isinstance(record.model, Physical):
        return eta_remarks(record.model.eta)
    return sanity_remarks(tcs_of(record.model), heads)


def body_of(record: Coefficient, *, reason: str) -> Mapping[str, Any]:
    """The row of the ledger."""
    report = record.evidence.get("sha256")
    evidence = {**record.evidence, "reason": reason} if reason else dict(record.evidence)
    body = {**record_of(record), "evidence": evidence}
    return {**body, REPORT: report} if report else body


def begins_ms(record: Coefficient, zone: tzinfo) -> int:
    """Local midnight of its first day, UTC ms."""
    assert record.valid_from is not None, "a version has a first day"
    return midnight_ms(record.valid_from, zone)


def today(now: datetime, zone: tzinfo) -> date:
    """The local day."""
    return now.astimezone(zone).date()
