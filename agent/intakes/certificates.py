"""Until when a certificate counts, and what is to be said of it on a day. Source: metering guideline sheet §4."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from agent.intakes.settings import Certificate

DUE_SOON_DAYS = 60
OVERDUE_LONG_DAYS = 180
COMMISSIONING_DAYS = 90  # a missing certificate counts as overdue after this

_SMALL_DN_MM, _SMALL_Q3_M3H = Decimal(50), Decimal(16)  # JJG 162-2019: replaced instead of verified again
_SMALLEST_DN_MM = Decimal(25)
_SMALLEST_YEARS, _SMALL_YEARS, _USUAL_YEARS, _INSERTION_YEARS = 6, 4, 2, 1


class CertificateState(StrEnum):
    """Where a certificate stands; overdue ones make volumes suspect, long overdue ones fail for a voucher."""

    VALID = "VALID"
    DUE_SOON = "DUE_SOON"
    OVERDUE = "OVERDUE"
    OVERDUE_LONG = "OVERDUE_LONG"
    UNKNOWN = "UNKNOWN"


def usual_years(
    *, meter_type: str = "other", mounting: str = "inline", dn_mm: Decimal | None = None, q3_m3h: Decimal | None = None
) -> int:
    """How many years such a water meter's verification usually holds, where its certificate does not say."""
    if mounting == "insertion":
        return _INSERTION_YEARS
    is_small = dn_mm is not None and dn_mm <= _SMALL_DN_MM and q3_m3h is not None and q3_m3h <= _SMALL_Q3_M3H
    if meter_type in {"electromagnetic", "ultrasonic_transit"} or dn_mm is None or not is_small:
        return _USUAL_YEARS
    return _SMALLEST_YEARS if dn_mm <= _SMALLEST_DN_MM else _SMALL_YEARS


def completed(certificate: Certificate | None, years: int) -> Certificate | None:
    """The certificate with a last valid day: its own, else `years` after it was issued."""
    if certificate is None or certificate.issued is None or certificate.valid_until is not None:
        return certificate
    return replace(certificate, valid_until=_years_after(certificate.issued, years) - timedelta(days=1))


def state_of(
    last: date | None,
    day: date,
    *,
    installed: date | None = None,
    soon_days: int = DUE_SOON_DAYS,
    long_days: int = OVERDUE_LONG_DAYS,
) -> CertificateState:
    """What is to be said on a local day of a certificate whose last valid day is `last`; None: there is no such day.

    A meter `installed` long ago (None: not known) needs one.
    """
    if last is None:
        is_new = installed is None or (day - installed).days <= COMMISSIONING_DAYS
        return CertificateState.UNKNOWN if is_new else CertificateState.OVERDUE
    over = (day - last).days
    if over > long_days:
        return CertificateState.OVERDUE_LONG
    if over > 0:
        return CertificateState.OVERDUE
    return CertificateState.DUE_SOON if -over < soon_days else CertificateState.VALID


def _years_after(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return date(day.year + years, 3, 1)
