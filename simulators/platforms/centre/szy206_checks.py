"""What is wrong with an uplink frame of SZY206 or SL/T 427 that is sound, field by field. Pure.

The text of SZY206-2016 is not public, so the sheet's sections stand for clauses. What one source alone says, or sources
contradict each other in, differs and does not fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from agent.uplinks.szy206_wire.exchange import BROADCAST
from agent.uplinks.szy206_wire.frame import FIRST_FCB, Frame
from agent.uplinks.szy206_wire.names import REPORTS, Afn, Kind
from agent.uplinks.szy206_wire.times import LONG_TAG, SHORT_TAG, read_tag
from simulators.platforms.centre.contract import Wrong

_CLOCK_OFF = timedelta(minutes=5)
_LAST_STATION = 60_000  # above it are relays
_SPARE_ALARMS = {9, 14, 15}  # D9 has a meaning in SL/T 427-2021
_LAST_STATE = 6
_KINDLESS = frozenset({Kind.COMMAND})
_SELF_REPORTS = REPORTS - {Afn.VOLTAGE_REPORT}  # 84H has no time tag
_DAY = timedelta(days=1)
_WORDS = 4  # alarm and state
_ITEMS: Mapping[int, tuple[int, ...]] = MappingProxyType(  # bytes of an item in either edition and each flow block
    {
        Kind.RAIN: (3,), Kind.LEVEL: (4,), Kind.FLOW: (10, 5), Kind.VELOCITY: (3,), Kind.GATE: (3,), Kind.POWER: (3,),
        Kind.AIR_PRESSURE: (3,), Kind.WIND: (3, 4), Kind.WATER_TEMPERATURE: (2,), Kind.SOIL: (2, 4),
        Kind.EVAPORATION: (3,), Kind.PRESSURE: (4,),
    }
)  # fmt: skip
_LAYOUT_SECTIONS: Mapping[int, str] = MappingProxyType(
    {
        Afn.LINK: "sheet §5", Afn.REPORT: "sheet §7.1", Afn.ALARM_REPORT: "sheet §8", Afn.MANUAL_REPORT: "sheet §8",
        Afn.VOLTAGE_REPORT: "sheet §8", Afn.QUERY_REALTIME: "sheet §9.1", Afn.QUERY_STORED: "sheet §9.2",
        Afn.QUERY_MEMORY: "sheet §9.3",
    }
)  # fmt: skip
_LINKS = ("F0 login", "F1 logout", "F2 keep-alive")


def judged(frame: Frame, fields: Mapping[str, Any], observed: datetime | None, now: datetime) -> list[Wrong]:
    """Everything that is wrong with a frame; `observed` is its time tag as the centre dates it, `now` its clock."""
    return [*_address(frame), *_content(frame, fields), *_tag(frame, fields, observed, now)]


def fcb_judged(frame: Frame, before: int | None) -> list[Wrong]:
    """Whether FCB counts down; `before` is that of the same frame sent before, None for a new exchange."""
    expected = FIRST_FCB if before is None or before <= 1 else before - 1
    if frame.fcb == expected:
        return []
    if before == 1 and frame.fcb == 0:  # some stop at 1, some at 0
        return [_wrong(frame, "fcb_zero", "sheet §2.3", is_failed=False)]
    return [_wrong(frame, "fcb", "sheet §2.3", received=frame.fcb, expected=expected)]


def tag_reused(frame: Frame, key: str, before: str, observed: str) -> list[Wrong]:
    """Whether the report before had the same time tag and other values; `key` and `before` tell reports apart."""
    if not observed or key == before or key.rpartition("/")[0] != before.rpartition("/")[0]:
        return []
    return [_wrong(frame, "tag_reused", "sheet §2.3", is_failed=False, observed=observed)]


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
        yield _misfit(frame)
    if fields.get("unreadable"):
        yield _wrong(frame, "digits", "sheet §6", element=afn, received=" ".join(fields["unreadable"]))
    if frame.afn == Afn.REPORT and frame.func in _KINDLESS:
        yield _wrong(frame, "kind", "sheet §7.1", received=frame.func)
    if frame.afn == Afn.LINK and fields.get("link") not in _LINKS:
        yield _wrong(frame, "link_code", "sheet §5", received=fields.get("link", ""))
    if frame.afn == Afn.LINK and (frame.func, frame.fcb) != (0, FIRST_FCB):
        yield _wrong(frame, "link_control", "sheet §5", is_failed=False, received=f"{frame.control:02X}")
    if frame.afn in REPORTS and frame.func == Kind.COMPOSITE:
        yield _wrong(frame, "composite", "sheet §2.2", is_failed=False)
    if "alarm_order" in fields:
        yield _wrong(frame, "alarm_order", "sheet §8", is_failed=False, received=fields["alarm_order"])
    yield from _bits(frame, fields)


def _bits(frame: Frame, fields: Mapping[str, Any]) -> Iterator[Wrong]:
    """Alarm and state word: spare bits."""
    spare = _SPARE_ALARMS & set(fields.get("alarm_bits", ()))
    if "time" in (fields.get("tp") or {}):
        spare -= {9}
    if spare:
        yield _wrong(frame, "alarm_bits", "sheet §7.4", is_failed=False, bits=" ".join(map(str, sorted(spare))))
    states = [bit for bit in fields.get("state_bits", ()) if bit > _LAST_STATE]
    if states:
        yield _wrong(frame, "state_bits", "sheet §7.4", is_failed=False, bits=" ".join(map(str, states)))


def _misfit(frame: Frame) -> Wrong:
    """A body that is none of its AFN: a time tag that is no time, else whatever it is."""
    afn, size = f"{frame.afn:02X}", len(frame.body)
    if frame.afn in _SELF_REPORTS:
        for tag in (SHORT_TAG, LONG_TAG):
            data = size - _WORDS - tag
            if data > 0 and any(data % item == 0 for item in _ITEMS.get(frame.func, ())):
                return _wrong(frame, "tag_time", "sheet §2.6", received=frame.body[-tag:].hex().upper())
    return _wrong(frame, "data", _LAYOUT_SECTIONS.get(frame.afn, "sheet §10"), afn=afn, size=size)


def _tag(frame: Frame, fields: Mapping[str, Any], observed: datetime | None, now: datetime) -> Iterator[Wrong]:
    """Reports have a time tag; a delay that is not 0 says how old it may be."""
    if frame.afn not in _SELF_REPORTS or fields.get("data_fits") is False or frame.func == Kind.COMPOSITE:
        return
    tag = fields.get("tp")
    if tag is None:
        yield _untagged(frame, now)
    elif observed is None:
        yield _wrong(frame, "tag_day", "sheet §2.6", received=tag.get("day", ""))
    elif observed > now + _CLOCK_OFF:
        yield _wrong(
            frame, "tag_later", "sheet §2.6", is_failed=False, observed=observed.isoformat(" ", "seconds")[:19]
        )
    elif is_late(tag, observed, now):
        yield _wrong(frame, "too_late", "sheet §2.6", delay=tag["delay_min"])
    elif "time" not in tag and observed.month != now.month and now - observed > _DAY:
        yield _wrong(frame, "other_month", "sheet §9.4", is_failed=False, observed=f"{observed:%Y-%m-%d %H:%M:%S}")


def _untagged(frame: Frame, now: datetime) -> Wrong:
    """No time tag; or one that another flow block would leave."""
    tail = read_tag(frame.body[-SHORT_TAG:], high_first=False) if frame.func == Kind.FLOW else None
    hidden = dated(tail, now)
    if hidden is not None and abs(now - hidden) < _DAY:
        return _wrong(frame, "tag_hidden", "sheet §6.1", is_failed=False, observed=f"{hidden:%Y-%m-%d %H:%M:%S}")
    return _wrong(frame, "no_tag", "sheet §3", is_failed=False)


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
