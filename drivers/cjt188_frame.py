"""One CJ/T 188 frame taken apart for a person and for machines: its fields, or what is wrong with it. Pure.

Strategy: the first sound frame behind any noise counts. Only when there is none is the first start byte reported, with
what its frame lacks. The keys are those of `docs/reference/cjt188.en.md`; a key stands there exactly when its rule
applies.

Source: CJ/T 188-2004; the 2018 edition as its meters have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.cjt188_wire import (
    ADDRESS,
    ADDRESS_SIZE,
    CLOCK,
    CUBIC_METRES,
    END,
    FRAME_SIZE,
    HEAD_SIZE,
    HEADER_SIZE,
    HIGH_FIRST,
    LOW_FIRST,
    MONTHS,
    MOST_LITRE_DECIMALS,
    NEW_ADDRESS,
    READING,
    REGISTER_SIZE,
    START,
    VALVE,
    WAKE_UP,
    WATER,
    Frame,
    digit_factor,
    digits_of,
    frame_at,
    is_blank,
    sound_frames,
)

AUTO, EDITION_2004, EDITION_2018 = "auto", "2004", "2018"
EDITIONS = (AUTO, EDITION_2004, EDITION_2018)
CLOCK_ORDERS = (LOW_FIRST, HIGH_FIRST)
LITRE_DECIMALS = tuple(range(MOST_LITRE_DECIMALS + 1))
_EDITION_OF = {HIGH_FIRST: EDITION_2004, LOW_FIRST: EDITION_2018}
_ORDER_OF = {edition: order for order, edition in _EDITION_OF.items()}
_DOUBLED = 7  # DL/T 645 sends its start byte again so many bytes later
_CLOCK_SIZE, _STATUS_SIZE = 7, 2
_CENTURY = 20
_VALVE_STATES = ("open", "closed", None, "faulty")  # bits 0 and 1 of the first status byte
_VALVE_COMMANDS = {0x55: "open", 0x99: "close"}
_BATTERY_LOW = 0x04

Fields = dict[str, Any]


def fields_of(
    data: bytes, edition: str = AUTO, *, litre_decimals: int | None = None, clock_order: str | None = None
) -> Fields:
    """The fields of the first sound frame in `data`, or `valid: false` and, in `error`, what is wrong.

    `edition`: `auto` (the identifier tells its byte order), or whose byte order it has: `2004`, `2018`.
    `litre_decimals` (0…3): of a register in litres; `clock_order`: of the clock's bytes. No frame tells them.
    """
    at, frame = _chosen(data)
    if frame is None:
        named = EDITION_2004 if edition == AUTO else edition
        reason = "header" if at is None else "incomplete"
        return {"edition": named, "valid": False, "reason": reason, "error": _problem(data, at, frame)}
    assert at is not None
    fields = _head(data, at, frame, edition)
    if not frame.is_sound:
        return fields | {"computed_cs": f"{frame.sum:02X}", "error": _problem(data, at, frame)}
    return fields | _content(frame, fields, _Options(litre_decimals, clock_order))


@dataclass(frozen=True, slots=True)
class _Options:
    """What no frame tells."""

    litre_decimals: int | None
    clock_order: str | None


def _problem(data: bytes, at: int | None, frame: Frame | None) -> Fields:
    """Code and arguments of the sentence `frame.wrong.CODE` that says what is wrong."""
    code, arguments = "header", Fields(size=len(data))
    if at is not None and data[at + _DOUBLED : at + _DOUBLED + 1] == bytes([START]):
        code, arguments = "looks_like_dlt645", {}
    elif at is not None and frame is None:
        code, arguments = "incomplete", {"size": len(data) - at, "expected": _announced(data, at)}
    elif frame is not None and frame.raw[-1] != END:
        code, arguments = "end", {"received": f"{frame.raw[-1]:02X}", "length": len(frame.data)}
    elif frame is not None:
        code, arguments = "checksum", {"expected": f"{frame.sum:02X}", "received": f"{frame.raw[-2]:02X}"}
    return {"code": f"cjt188_{code}", "arguments": arguments}


def _chosen(data: bytes) -> tuple[int | None, Frame | None]:
    """Where the frame that counts begins, and the frame; None where there is no start byte or not all of it."""
    sound = next(sound_frames(data), None)
    if sound is not None:
        return sound
    at = data.find(START)
    return (None, None) if at < 0 else (at, frame_at(data, at))


def _announced(data: bytes, at: int) -> int:
    """Bytes that the frame at `at` must have at least, as far as its length byte is there."""
    length = data[at + HEADER_SIZE - 1 : at + HEADER_SIZE]
    return FRAME_SIZE + (length[0] if length else 0)


def _head(data: bytes, at: int, frame: Frame, edition: str) -> Fields:
    """The keys that every complete frame has."""
    before = data[:at]
    fields: Fields = {
        "edition": EDITION_2004 if edition == AUTO else edition,
        "valid": frame.is_sound,
        "preamble_fe": len(before) - len(before.rstrip(bytes([WAKE_UP]))),
        "meter_type": f"{frame.meter_type:02X}",
        "address": frame.address,
        "control": f"{frame.control:02X}",
        "length": len(frame.data),
    }
    if not frame.has_identifier:
        return fields | {"data": _hex(frame.data)}
    identifier, order = frame.identifier
    if edition != AUTO:
        order = _ORDER_OF[edition]
        identifier = int.from_bytes(frame.data[:2], "big" if order == HIGH_FIRST else "little")
    return fields | {
        "edition": _EDITION_OF[order],
        "di": f"{identifier:04X}",
        "di_byte_order": order,
        "ser": frame.serial,
        "data": _hex(frame.data[HEAD_SIZE:]),
    }


def _content(frame: Frame, head: Fields, options: _Options) -> Fields:
    """What stands behind identifier and serial number of a sound frame."""
    if not frame.has_identifier:
        return {}
    rest = _Rest(frame.data[HEAD_SIZE:])
    identifier = int(head["di"], 16)
    found = _answer(frame, identifier, rest, options) if frame.is_from_meter else _question(identifier, rest)
    if found is None:
        return {}
    trailing = rest.trailing()
    return found | ({"trailing": _hex(trailing)} if trailing else {})


def _answer(frame: Frame, identifier: int, rest: _Rest, options: _Options) -> Fields | None:
    """The fields of a reply; None for one whose layout is not known."""
    if identifier == READING and frame.meter_type in WATER:
        fields = _register("total", rest, options, is_first=True)
        fields |= _register("settlement_total", rest, options, is_first=False)
        return fields | _clock(rest, options) | _status(rest)
    if identifier in MONTHS:
        return _register("settlement_total", rest, options, is_first=True)
    if identifier == CLOCK:
        return _clock(rest, options)
    if identifier == VALVE:
        return _status(rest)
    return {"meter_address": frame.address} if identifier == ADDRESS else None


def _question(identifier: int, rest: _Rest) -> Fields | None:
    """The fields of a request; None for one that carries nothing that is known."""
    if identifier == VALVE:
        command = rest.take(1)
        return {"valve": _VALVE_COMMANDS.get(command[0]) if command else None}
    if identifier == NEW_ADDRESS:
        address = rest.take(ADDRESS_SIZE)
        return {"new_address": _hex(address[::-1])} if address else {}
    return None


def _register(name: str, rest: _Rest, options: _Options, *, is_first: bool) -> Fields:
    """A total: in m3 where its unit code allows that, else its digits as they are."""
    sent = rest.take(REGISTER_SIZE)
    if not sent:
        return {}
    digits, unit = sent[:-1], sent[-1]
    short = name.removesuffix("_total")
    factor = digit_factor(unit, options.litre_decimals)
    if factor is None:
        return {f"{short}_bcd_raw": _hex(digits[::-1]), f"{short}_unit_code": f"{unit:02X}"}
    number = None if is_blank(digits) else digits_of(digits)
    fields: Fields = {name: None if number is None else float(number * factor), f"{short}_unit": "m3"}
    if number is None and not is_blank(digits):
        fields["bcd_valid"] = False
    if is_first and unit != CUBIC_METRES:
        fields["unit_code"] = f"{unit:02X}"
    return fields


def _clock(rest: _Rest, options: _Options) -> Fields:
    sent = rest.take(_CLOCK_SIZE)
    if not sent:
        return {}
    high_first = _time(sent)
    if options.clock_order == HIGH_FIRST:
        return {"meter_time": high_first}
    low_first = _time(sent[::-1])
    if low_first is None and high_first is not None and options.clock_order is None:
        return {"meter_time_bytes": _hex(sent), "meter_time_high_first": high_first}
    return {"meter_time": low_first}


def _time(sent: bytes) -> str | None:
    """Date and time of CC YY MM DD hh mm ss; None when there is no such moment in the century of these meters."""
    text = sent.hex()
    if not text.isdigit() or int(text[:2]) != _CENTURY:
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").isoformat()  # noqa: DTZ007 - a meter knows no time zone
    except ValueError:
        return None


def _status(rest: _Rest) -> Fields:
    sent = rest.take(_STATUS_SIZE)
    if not sent:
        return {}
    return {"status": _hex(sent), "valve": _VALVE_STATES[sent[0] & 3], "battery_low": bool(sent[0] & _BATTERY_LOW)}


class _Rest:
    """Bytes that are cut into fields from the front; behind one that is not complete there is nothing more."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_short = False

    def take(self, size: int) -> bytes:
        """The next field; empty when it is not complete."""
        if self._is_short or len(self._data) < size:
            self._is_short = True
            return b""
        field, self._data = self._data[:size], self._data[size:]
        return field

    def trailing(self) -> bytes:
        """What stands behind the last field of the layout."""
        return b"" if self._is_short else self._data


def _hex(data: bytes) -> str:
    return data.hex().upper()
