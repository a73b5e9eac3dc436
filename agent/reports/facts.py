"""What a report is made from, as plain data that somebody has read: closings, ledger rows, events, registers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from agent.derive.coefficient import Coefficient
from agent.intakes.settings import IntakeSettings
from agent.reports.closings import Standing
from agent.reports.report import Anomaly, Declaration, Photo, SealRef
from agent.reports.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeFacts:
    """What was read about one intake.

    `standings` are the closings at the edges of the period's rows, as many as there are, ascending; `has_begun` is
    false when the account began inside the period. `year` is the one at the beginning of the calendar year, None
    where the account is younger.
    """

    settings: IntakeSettings
    standings: tuple[Standing, ...]
    has_begun: bool
    year: Standing | None
    coefficients: tuple[Coefficient, ...] = ()
    declarations: tuple[Declaration, ...] = ()
    photos: tuple[Photo, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    archive_version: int | None = None
    on_time_pct: Decimal | None = None
    final_pct: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was read for one report. `made_ms` is when; `config_sha256` that of the configuration in force."""

    span: Span
    zone: tzinfo
    station: str
    station_name: str
    timezone: str
    made_ms: int
    software: str
    config_sha256: str
    seal: SealRef | None
    intakes: tuple[IntakeFacts, ...]
