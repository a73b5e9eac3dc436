"""A report as data: everything a voucher states and what each figure rests on. Frozen; its JSON is what is sealed.

Every way of showing a report (table, workbook, voucher) starts from this alone, so a frozen one looks the same as long
as there is a version that draws it. Volumes in m³, energies in kWh, times in UTC ms, days as ISO text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from agent.derive.text import from_text, to_text
from agent.reports.spans import Span

FORM = 1


class Status(StrEnum):
    """How final it is."""

    DRAFT = "draft"
    FROZEN = "frozen"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A settled boundary of an intake: where its running totals stood, and how that is known.

    `method` is read, interpolated, nearest or began (the account began inside the period, at 0). `offset_ms` is how
    much later than the boundary the nearest reading is, `doubt_m3` what a pump that started or stopped unseen beside
    it adds to the uncertainty (k = 1), `before` and `after` the ids of the rounds around it, `revision` that of the
    closing. Not `is_known`: a register was silent for too long, so there is no volume up to here yet.
    """

    at_ms: int
    volume_m3: Decimal
    energy_kwh: Decimal | None
    pumping_kwh: Decimal | None
    method: str
    offset_ms: int
    bracket_ms: int
    doubt_m3: Decimal
    is_known: bool
    before: str
    after: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a meter's register stood at near a boundary: the readings before and after it, "" and None for none."""

    before: str
    before_ms: int | None
    before_value: Decimal | None
    after: str
    after_ms: int | None
    after_value: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A meter that the volume rests on. `multiplier` is CT × PT, or the meter's own factor."""

    meter: str
    quantity: str
    serial: str
    ct_ratio: Decimal
    pt_ratio: Decimal
    is_primary: bool
    multiplier: Decimal
    begin: Shown
    end: Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A row of the ledger of the period: replacement, decision, reading by hand, acknowledgement, withdrawal.

    `facts` name with `withdrawn_by` the row that withdrew it.
    """

    id: int
    kind: str
    subject: str
    at_ms: int | None
    who: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoefficientUse:
    """A coefficient that made water in the period, and its state on the last day."""

    id: str
    version: int
    model: str
    delivery_mode: str
    valid_from: str
    valid_to: str
    state: str
    report_no: str
    report_sha256: str
    volume_m3: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateUse:
    """A meter's certificate and its state at the end of the period."""

    meter: str
    number: str
    valid_until: str
    state: str


class Row(NamedTuple):
    """A day of the period, or an hour of a day: from one settled boundary to the next. `level` is the worst QARTOD one.

    In JSON it is a list, in this order: rows are most of a report.
    """

    begin_ms: int
    end_ms: int
    volume_m3: Decimal | None
    energy_kwh: Decimal | None
    pumping_kwh: Decimal | None
    expected: int
    good: int
    flags: tuple[str, ...]
    level: int
    withheld_m3: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """What a rule found; `ended_ms` None: still open when the report was made."""

    rule: str
    version: str
    subject: str
    quantity: str
    level: int
    began_ms: int
    ended_ms: int | None
    first: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitUse:
    """The permit and how much of it is used from the year's beginning to the end of the period."""

    number: str
    holder: str
    valid_until: str
    annual_m3: Decimal | None
    plan_m3: Decimal | None
    used_m3: Decimal | None
    used_pct: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """Evidence by its hash."""

    sha256: str
    file: str
    bytes: int
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the intake's account counted in the period. Flags: intervals that carry the word; levels: QARTOD; `starts`
    and `run_h` of the runs that ended in it, `run_h` None where readings were too far apart to see some of them.
    """

    expected: int = 0
    good: int = 0
    flags: Mapping[str, int]
    levels: Mapping[str, int]
    starts: int = 0
    run_h: Decimal | None = None
    swaps: int = 0
    rollovers: int = 0
    gaps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeReport:
    """One intake over the period. `volume_m3` is None where the account gave none; `voucher_m3` is without what an
    expired coefficient made, unless that was accepted; `u_m3` is the voucher's, expanded, k = 2. `tc_low` … `tc_high`
    is the range of the rows' m³/kWh. Flags and levels are counted by rows: the days of a quarter.
    """

    name: str
    code: str
    title: str
    well_code: str
    source: str
    aquifer: str
    use: str
    method: str
    begin: Edge | None
    end: Edge | None
    volume_m3: Decimal | None
    voucher_m3: Decimal | None
    withheld_m3: Decimal
    u_m3: Decimal | None
    energy_kwh: Decimal | None
    pumping_kwh: Decimal | None
    excluded_kwh: Decimal | None
    completeness_pct: Decimal | None
    on_time_pct: Decimal | None
    final_pct: Decimal | None
    counts: Counts
    days_by_flag: Mapping[str, int]
    days_by_level: Mapping[str, int]
    registers: tuple[Register, ...]
    coefficients: tuple[CoefficientUse, ...]
    tc_low: Decimal | None
    tc_high: Decimal | None
    certificates: tuple[CertificateUse, ...]
    permit: PermitUse
    anomalies: tuple[Anomaly, ...]
    declarations: tuple[Declaration, ...]
    photos: tuple[Photo, ...]
    archive_version: int | None
    rows: tuple[Row, ...]

    @property
    def has_known_runs(self) -> bool:
        """Whether starts and running hours are known: not where some went unseen, or where the pump ran and no run
        ended, or where nothing tells runs.
        """
        return self.counts.run_h is not None and (self.counts.starts > 0 or self.pumping_kwh == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealRef:
    """The link of the chain that covers the record set, as far as it reaches when the report is made."""

    id: int
    last: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All intakes of a station over a period. A draft has version 0; `until_ms` is how far its data reach."""

    form: int = FORM
    span: Span
    station: str
    station_name: str
    timezone: str
    status: Status
    version: int
    reason: str
    who: str
    made_ms: int
    software: str
    config_sha256: str
    seal: SealRef | None
    accepted_expired: bool
    intakes: tuple[IntakeReport, ...]

    @property
    def text(self) -> str:
        """Its canonical JSON: keys sorted, no spaces."""
        return to_text(self)

    @property
    def sha256(self) -> str:
        """The hash that is signed."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def plain(self) -> dict[str, Any]:
        """The same as JSON values, as the ledger keeps it."""
        found: dict[str, Any] = json.loads(self.text)
        return found


def report_from(plain: Mapping[str, Any]) -> Report:
    """The report that `Report.plain` was made of. Raises: ValueError, TypeError or KeyError for anything else."""
    return from_text(Report, json.dumps(plain))


def superseded(report: Report) -> Report:
    """The same after a later version was frozen."""
    return replace(report, status=Status.SUPERSEDED)
