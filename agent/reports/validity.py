"""Whether what a volume rests on was in force: coefficients and certificates over a period. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from agent.derive.coefficient import Coefficient, CoefficientState
from agent.derive.exact import ZERO, local_day
from agent.intakes.settings import Certificate, IntakeSettings
from agent.reports.facts import Facts, IntakeFacts
from agent.reports.periods import Gain
from agent.reports.report import CertificateState, CoefficientUse

DUE_SOON_DAYS = 60  # metering guideline sheet §4
OVERDUE_LONG_DAYS = 180
_EXPIRED = (CoefficientState.EXPIRED_GRACE, CoefficientState.EXPIRED)


def certificate_states(settings: IntakeSettings, day: date) -> tuple[CertificateState, ...]:
    """The certificate of each meter that the water rests on, and its state on a local day."""
    sources: list[tuple[str, Certificate | None]] = [(source.meter, source.certificate) for source in settings.water]
    if settings.energy is not None:
        sources.append((settings.energy.meter, settings.energy.certificate))
    return tuple(
        CertificateState(
            meter=meter,
            number="" if certificate is None else certificate.number,
            valid_until=_iso(None if certificate is None else certificate.valid_until),
            state=certificate_state(None if certificate is None else certificate.valid_until, day),
        )
        for meter, certificate in sources
    )


def certificate_state(valid_until: date | None, day: date) -> str:
    """VALID, DUE_SOON, OVERDUE or OVERDUE_LONG; UNKNOWN without a date. Source: metering guideline sheet §4."""
    if valid_until is None:
        return "UNKNOWN"
    if day > valid_until + timedelta(days=OVERDUE_LONG_DAYS):
        return "OVERDUE_LONG"
    if day > valid_until:
        return "OVERDUE"
    return "DUE_SOON" if day > valid_until - timedelta(days=DUE_SOON_DAYS) else "VALID"


def coefficients_used(given: IntakeFacts, gain: Gain, facts: Facts) -> tuple[CoefficientUse, ...]:
    """The coefficients that made water in the period, with their state at its end."""
    day = local_day(facts.span.end_ms - 1, facts.zone)
    states = _states(given.coefficients, day)
    return tuple(
        CoefficientUse(
            id=record.id,
            version=record.version,
            model=record.model.name,
            delivery_mode=record.delivery_mode,
            valid_from=_iso(record.valid_from),
            valid_to=_iso(record.valid_to),
            state=states.get(record.name, ""),
            report_no=record.evidence.get("report_no", ""),
            report_sha256=record.evidence.get("sha256", ""),
            volume_m3=gain.volumes.get(record.name),
        )
        for record in given.coefficients
        if record.name in gain.volumes
    )


def withheld_m3(given: IntakeFacts, gain: Gain, day: date) -> Decimal:
    """The part of a day's or hour's volume that expired coefficients made: shown, but kept out of vouchers (§9.3-7)."""
    states = _states([record for record in given.coefficients if record.name in gain.volumes], day)
    return sum((volume for name, volume in gain.volumes.items() if states.get(name) in _EXPIRED), ZERO)


def _states(records: Iterable[Coefficient], day: date) -> dict[str, CoefficientState]:
    """The state of each version on a local day, as its own dates say."""
    return {record.name: record.state_on(day) for record in records}


def _iso(day: date | None) -> str:
    return "" if day is None else day.isoformat()
