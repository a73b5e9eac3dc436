"""What is wrong with an uplink frame of SZY206 or SL/T 427 that is sound, field by field. Pure.

The text of SZY206-2016 is not public, so the sheet's sections stand for clauses. What one source alone says, or sources
contradict each other in, differs and does not fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from agent.uplinks.szy206_wire.exchange import BROADCAST
from agent.uplinks.szy206_wire.frame import FIRST_FCB, Frame
from agent.uplinks.szy206_wire.names import REPORTS, Afn, Kind
from simulators.platforms.centre.contract import Wrong

_CLOCK_OFF = timedelta(minutes=5)
_LAST_STATION = 60_000  # above it are relays
_SPARE_ALARMS = {9, 14, 15}  # D9 has a meaning in SL/T 427-2021
_LAST_STATE = 6
_KINDLESS = frozenset({Kind.COMMAND})
_LINKS = ("F0 login", "F1 logout", "F2 keep-alive")


def judged(frame: Frame, fields: Mapping[str, Any], observed: datetime | None, now: datetime) -> list[Wrong]:
    """Everything that is wrong with a frame; `observed` is its time tag as the centre dates it, `now` its clock."""
    return [*_address(frame), *_content(frame, fields), *_tag(frame, fields, observed, now)]


def fcb_judged(frame: Frame, before: int | None) -> list[Wrong]:
    """Whether FCB counts down; `before` is that of the same frame sent before, None for a new exchange."""
    expected = FIRST_FCB if before is None or before <= 1 else before - 1
    if frame.fcb == expected:
        return []
    return [_wrong(frame, "fcb", "sheet §2.3", received=frame.fcb, expected=expected)]


def _wrong(frame: Frame, code: str, clause: str, /, *, is_failed: bool = True, **arguments: object) -> Wrong:
    station = frame.address.hex().upper()
    return Wrong(station=station, code=code, clause=clause, arguments=arguments, is_failed=is_failed)


def _address(frame: Frame) -> Iterator[Wrong]:
    division, number = frame.address[:3].hex(), int.from_bytes(frame.address[3:], "little")
    if frame.address[0] == 0:
        return  # the form with a station code of SL 502
    if not division.isdecimal():
        yield _wrong(frame, "division", "sheet §2.4", received=division.upper())
    if number in {0, BROADCAST}:
        yield _wrong(frame, "station_number", "sheet §2.4", received=number)
    elif number > _LAST_STATION:  # the order of the two bytes is the platform's
        yield _wrong(frame, "relay_number", "sheet §2.4", is_failed=False, received=number)


def _content(frame: Frame, fields: Mapping[str, Any]) -> Iterator[Wrong]:
    afn = f"{frame.afn:02X}"
    if fields.get("data_fits") is False:
        yield _wrong(frame, "data", "sheet §10", afn=afn, size=len(frame.body))
    if fields.get("unreadable"):
        yield _wrong(frame, "digits", "sheet §6", element=afn, received=" ".join(fields["unreadable"]))
    if frame.afn == Afn.REPORT and frame.func in _KINDLESS:
        yield _wrong(frame, "kind", "sheet §7.1", received=frame.func)
    if frame.afn == Afn.LINK and fields.get("link") not in _LINKS:
        yield _wrong(frame, "link_code", "sheet §5", received=fields.get("link", ""))
    spare = _SPARE_ALARMS & set(fields.get("alarm_bits", ()))
    if "time" in (fields.get("tp") or {}):
        spare -= {9}
    if spare:
        yield _wrong(frame, "alarm_bits", "sheet §7.4", is_failed=False, bits=" ".join(map(str, sorted(spare))))
    states = [bit for bit in fields.get("state_bits", ()) if bit > _LAST_STATE]
    if states:
        yield _wrong(frame, "state_bits", "sheet §7.4", is_failed=False, bits=" ".join(map(str, states)))


def _tag(frame: Frame, fields: Mapping[str, Any], observed: datetime | None, now: datetime) -> Iterator[Wrong]:
    """Reports have a time tag; a delay that is not 0 says how old it may be."""
    if frame.afn not in REPORTS or fields.get("data_fits") is False or frame.func == Kind.COMPOSITE:
        return
    tag = fields.get("tp")
    if tag is None:
        yield _wrong(frame, "no_tag", "sheet §3", is_failed=False)
    elif observed is None:
        yield _wrong(frame, "tag_day", "sheet §2.6", received=tag.get("day", ""))
    elif observed > now + _CLOCK_OFF:
        yield _wrong(
            frame, "tag_later", "sheet §2.6", is_failed=False, observed=observed.isoformat(" ", "seconds")[:19]
        )
    elif is_late(tag, observed, now):
        yield _wrong(frame, "too_late", "sheet §2.6", delay=tag["delay_min"])


def is_late(tag: Mapping[str, Any], observed: datetime, now: datetime) -> bool:
    """Whether a frame came later than its time tag allows: it is dropped."""
    delay = tag["delay_min"]
    return bool(delay) and abs(now - observed) > timedelta(minutes=delay)


def dated(tag: Mapping[str, Any] | None, now: datetime) -> datetime | None:
    """When a time tag says; the centre gives a short one its own month, or the one before where it would lie ahead."""
    if tag is None:
        return None
    if "time" in tag:
        try:
            return datetime.fromisoformat(tag["time"]).replace(tzinfo=now.tzinfo)
        except ValueError:
            return None
    last_month = now.replace(day=1) - timedelta(days=1)
    for month in (now, last_month):
        try:
            found = month.replace(day=tag["day"], hour=tag["hour"], minute=tag["min"], second=tag["sec"], microsecond=0)
        except ValueError:  # a day that this month does not have
            continue
        if found <= now + timedelta(days=1):
            return found
    return None
