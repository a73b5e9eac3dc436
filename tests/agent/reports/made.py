"""An intake's facts made by hand: closings at midnights, W7 with 2 m³/kWh, whatever a test needs to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta, timezone
from decimal import Decimal
from typing import Any

from agent.derive.coefficient import Basis, Coefficient
from agent.derive.models import Fixed
from agent.derive.uncertainty import Share, plus
from agent.intakes.settings import EnergySource, IntakeSettings, Permit, PumpSource
from agent.reports.building import report_of
from agent.reports.closings import Standing, standing_of
from agent.reports.facts import Facts, IntakeFacts
from agent.reports.report import IntakeReport, Report
from agent.reports.spans import Span, SpanKind, span_of

ZONE = timezone(timedelta(hours=8))
DAY_MS = 86_400_000
SETTINGS = IntakeSettings(
    name="well-3",
    code="4302810001",
    title="三号井",
    zone=ZONE,
    permit=Permit(number="D1", annual_m3=Decimal(50_000), plan_m3=tuple(map(Decimal, (1, 2, 3, 4)))),
    energy=EnergySource(
        meter="pump-kwh",
        pumps=(PumpSource(id="pump", coefficients=("W7",), running_kw=Decimal(15)),),
        rated_kw=Decimal(15),
    ),
)
W7 = Coefficient(
    id="W7",
    version=1,
    well_code="WELL-7",
    delivery_mode="open_outlet",
    model=Fixed(tc=Decimal(2)),
    u_rel=Decimal("0.03"),
    valid_from=date(2026, 1, 1),
    valid_to=date(2027, 1, 1),
    basis=Basis(runs=5),
)


def body(
    volume: str | Decimal, *, coefficient: str = "W7@1", doubt: str = "0", counts: Mapping[str, Any] | None = None,
    tally: Mapping[str, Any] | None = None, **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """A closing's body; without a tally all of the water is by one coefficient."""
    energy = Decimal(volume) / 2
    share = Share(
        coefficient=coefficient, meter="pump-kwh", volume_m3=Decimal(volume), energy_kwh=energy, u_tc=Decimal("0.03"),
        age_years=Decimal(0), drift_per_year=Decimal(0), u_model=Decimal(0), class_pct=Decimal(0),
        ct_class_pct=Decimal(0), step_kwh=Decimal(0),
    )  # fmt: skip
    sums = plus({}, [share])
    given = {group: {name: str(value) for name, value in found.items()} for group, found in sums.items()}
    return {
        "form": 1,
        "settled": {
            "volume": str(volume), "energy": str(energy), "pumping": str(energy), "method": "interpolated",
            "offset_ms": 0, "bracket_ms": 60_000, "doubt": doubt,
        },
        "registers": {},
        "tally": given if tally is None else tally,
        "counts": counts or {"expected": 0, "good": 0, "flags": {}, "qc": {}},
        **changes,
    }  # fmt: skip


def standing(at_ms: int, volume: str | Decimal, **changes: Any) -> Standing:
    return standing_of(at_ms, 1, body(volume, **changes))


def month(name: str = "2026-09") -> Span:
    return span_of(SpanKind.MONTH, name, ZONE)


def facts_of(standings: Sequence[Standing], **changes: Any) -> IntakeFacts:
    given = IntakeFacts(settings=SETTINGS, standings=tuple(standings), has_begun=True, year=None, coefficients=(W7,))
    return replace(given, **changes)


def report(given: IntakeFacts, *, span: Span | None = None, accepted_expired: bool = False, **changes: Any) -> Report:
    facts = Facts(
        span=span or month(), zone=ZONE, station="pumphouse-12", station_name="三号泵房", timezone="Asia/Shanghai",
        made_ms=1_790_000_000_000, software="0.1.0", config_sha256="", seal=None, intakes=(given,),
    )  # fmt: skip
    return report_of(replace(facts, **changes), accepted_expired=accepted_expired)


def intake(given: IntakeFacts, **changes: Any) -> IntakeReport:
    return report(given, **changes).intakes[0]


__all__ = ["DAY_MS", "SETTINGS", "W7", "ZONE", "body", "facts_of", "intake", "month", "report", "standing"]
