"""Whether what a volume rests on was in force: coefficients and certificates over a period. Pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from agent.derive.coefficient import EXPIRED_STATES
from agent.derive.exact import ZERO, rounded_m3
from agent.intakes.certificates import state_of
from agent.intakes.settings import Certificate, IntakeSettings
from agent.reports.closings import Gain
from agent.reports.facts import IntakeFacts
from agent.reports.report import CertificateUse, CoefficientUse


def certificates(settings: IntakeSettings, day: date) -> tuple[CertificateUse, ...]:
    """The certificate of each meter that the water rests on, and its state on a local day."""
    sources: list[tuple[str, Certificate | None]] = [(source.meter, source.certificate) for source in settings.water]
    if settings.is_converted and settings.energy is not None:
        sources.append((settings.energy.meter, settings.energy.certificate))
    found = []
    for meter, certificate in sources:
        last = None if certificate is None else certificate.valid_until
        number = "" if certificate is None else certificate.number
        found.append(CertificateUse(meter=meter, number=number, valid_until=_iso(last), state=state_of(last, day)))
    return tuple(found)


def coefficients_used(given: IntakeFacts, gain: Gain, day: date) -> tuple[CoefficientUse, ...]:
    """The coefficients that made water in the period, with their state on its last local day."""
    return tuple(
        CoefficientUse(
            id=record.id,
            version=record.version,
            model=record.model.name,
            delivery_mode=record.delivery_mode,
            valid_from=_iso(record.valid_from),
            valid_to=_iso(record.valid_to),
            state=record.state_on(day),
            report_no=record.evidence.get("report_no", ""),
            report_sha256=record.evidence.get("sha256", ""),
            volume_m3=gain.volumes[record.name],
        )
        for record in given.coefficients
        if record.name in gain.volumes
    )


def withheld_m3(given: IntakeFacts, gain: Gain, volume_m3: Decimal | None, day: date, *, is_offset: bool) -> Decimal:
    """The part of a day's or hour's volume that expired coefficients made: shown, but kept out of vouchers (§9.3-7).

    Between settled midnights all water of a day is that day's. Where one was settled by a reading farther away
    (`is_offset`), as with meters that people read, the water of weeks is in it, and what flowed behind a coefficient's
    end counts as the account split it (§9.3-5). Shares have more places than the volume that was booked; where all of
    it is withheld, the very volume is.
    """
    ended = {record.name for record in given.coefficients if record.state_on(day) in EXPIRED_STATES}
    parts = {name: volume if name in ended else ZERO for name, volume in gain.volumes.items()}
    if is_offset:
        parts |= {name: volume for name, volume in gain.expired.items() if volume}
    withheld = sum(parts.values(), ZERO)
    is_all = all(parts[name] == volume for name, volume in gain.volumes.items())
    return volume_m3 if withheld and is_all and volume_m3 is not None else rounded_m3(withheld)


def _iso(day: date | None) -> str:
    return "" if day is None else day.isoformat()
