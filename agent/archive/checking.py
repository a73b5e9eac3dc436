"""What an archive still lacks, and what in it wants a person's attention. Pure.

Source: metering guideline sheet §3 (straight pipe), §4 (certificates), §6 (the fields that the national form asks for).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from agent.archive.record import Plain
from agent.intakes.certificates import CertificateState, completed, state_of, usual_years
from agent.intakes.settings import Certificate

_ALWAYS = (
    "point.name", "point.code", "point.address", "point.lon_lat",
    "holder.name", "holder.code", "holder.contact.name", "holder.contact.phone",
    "permit.no", "permit.annual_10k_m3", "manager.name",
    "tax.levy_basis", "tax.review_basis",
    "intake.river.name", "intake.source_type", "intake.method", "intake.use", "intake.work_type", "intake.status",
    "metering.way", "metering.installed.by", "metering.installed.date",
    "transmission.channel", "transmission.mount", "transmission.power", "transmission.signal", "transmission.sim_owner",
)  # fmt: skip
_WITH_A_METER = (
    "metering.pipe.material", "metering.pipe.dn_mm", "metering.pipe.up_cm", "metering.pipe.down_cm",
    "metering.pipe.max_m3s", "metering.meter_type", "metering.mounting",
    "metering.range.q1", "metering.range.q3", "metering.range.q4", "metering.signal", "metering.cert.body",
)  # fmt: skip
_WITH_ELECTRICITY = (
    "electricity.meter_no", "electricity.digits", "electricity.multiplier", "electricity.ct",
    "electricity.register_is_primary", "electricity.coefficient", "electricity.pump.kw",
)  # fmt: skip
_DIRECT = ("direct_online", "direct_offline")
_UP_DN, _DOWN_DN = Decimal(10), Decimal(5)  # where the maker allows no less
_EASY_UP_DN, _EASY_DOWN_DN = Decimal(5), Decimal(3)  # electromagnetic
_CM_PER_MM = Decimal("0.1")


class Remark(NamedTuple):
    """Something about an archive: `code` names the sentence `archive.CODE`, `is_wrong`: it must be put right."""

    code: str
    arguments: Mapping[str, str]
    is_wrong: bool = True


def missing(data: Plain) -> list[str]:
    """The fields that the platform asks for and the archive does not have, by path."""
    way = at(data, "metering.way")
    asked = (*_ALWAYS, *(_WITH_A_METER if way in _DIRECT or way is None else ()))
    asked = (*asked, *(_WITH_ELECTRICITY if way == "electricity" else ()))
    return [path for path in asked if at(data, path) is None]


def remarks(data: Plain, today: date) -> Iterator[Remark]:
    """Everything to be said about an archive on a local day."""
    if lacking := missing(data):
        yield Remark("missing", {"fields": " ".join(lacking), "count": str(len(lacking))})
    yield from _straight(data)
    yield from _certificate(data, today)


def at(data: Plain, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    found: Any = data
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _number(data: Plain, path: str) -> Decimal | None:
    text = at(data, path)
    return None if text is None else Decimal(text)


def _straight(data: Plain) -> Iterator[Remark]:
    """Straight pipe shorter than the meter needs."""
    dn_mm = _number(data, "metering.pipe.dn_mm")
    is_easy = at(data, "metering.meter_type") == "electromagnetic"
    for side, usual in (
        ("up", _EASY_UP_DN if is_easy else _UP_DN),
        ("down", _EASY_DOWN_DN if is_easy else _DOWN_DN),
    ):
        length_cm = _number(data, f"metering.pipe.{side}_cm")
        asked = _number(data, f"metering.straight.{side}_dn")
        needed = usual if asked is None else asked
        if dn_mm is None or length_cm is None:
            continue
        least_cm = needed * dn_mm * _CM_PER_MM
        if length_cm < least_cm:
            lengths = {"value": f"{length_cm:f}", "limit": f"{least_cm.normalize():f}", "times": f"{needed:f}"}
            yield Remark("straight", {"field": f"metering.pipe.{side}_cm", **lengths})


def certificate_of(data: Plain) -> Certificate | None:
    """The certificate with its last valid day: its own, else after the usual period of such meters."""
    number, issued, valid_to = (at(data, f"metering.cert.{key}") for key in ("no", "date", "valid_to"))
    if number is None and issued is None and valid_to is None:
        return None
    years = usual_years(
        meter_type=at(data, "metering.meter_type") or "other",
        mounting=at(data, "metering.mounting") or "inline",
        dn_mm=_number(data, "metering.pipe.dn_mm"),
        q3_m3h=_number(data, "metering.range.q3"),
    )
    return completed(Certificate(number=number or "", issued=_day(issued), valid_until=_day(valid_to)), years)


def _certificate(data: Plain, today: date) -> Iterator[Remark]:
    certificate = certificate_of(data)
    number, last = ("", None) if certificate is None else (certificate.number, certificate.valid_until)
    state = state_of(last, today, installed=_day(at(data, "metering.installed.date")))
    if state is CertificateState.VALID:
        return
    arguments = {"state": str(state), "number": number, "until": "" if last is None else last.isoformat()}
    code = f"certificate-{state.lower().replace('_', '-')}"
    yield Remark(code, arguments, is_wrong=state is not CertificateState.DUE_SOON)


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
