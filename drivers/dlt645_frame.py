"""One DL/T 645 frame taken apart for a person and for machines: its fields, or what is wrong with it. Pure.

Strategy: the first sound frame behind any noise counts. Only when there is none is the first candidate reported, with
what it lacks. The keys are those of `docs/reference/dlt645.en.md`; a key stands there exactly when its rule applies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from drivers.contract import NoValue
from drivers.dlt645_table import EDITION_1997, EDITION_2007, Field, field_of
from drivers.dlt645_values import clock_time, cut, day, digits, error_names, moment, number, text, weekday, word_bits
from drivers.dlt645_wire import (
    ERROR,
    FUNCTION,
    LEAST_SIZE,
    MORE,
    REPLY,
    Candidate,
    address_text,
    candidates,
    wake_count,
)

AUTO = "auto"
EDITIONS = (AUTO, EDITION_1997, EDITION_2007)
_FUNCTIONS_1997 = frozenset({0x01, 0x02, 0x03, 0x04, 0x0A, 0x0C, 0x0F, 0x10})
_IDENTIFIED = {EDITION_2007: frozenset({0x11, 0x12, 0x14}), EDITION_1997: frozenset({0x01, 0x02, 0x03, 0x04})}
_READS = {EDITION_2007: frozenset({0x11, 0x12}), EDITION_1997: frozenset({0x01, 0x02, 0x03})}
_FOLLOW_UP = {EDITION_2007: 0x12, EDITION_1997: 0x02}
_IDENTIFIER_SIZE = {EDITION_2007: 4, EDITION_1997: 2}
_BROADCAST_TIME, _READ_ADDRESS = 0x08, 0x13
_MOMENT_SIZE, _ADDRESS_SIZE = 6, 6

Fields = dict[str, Any]


def fields_of(data: bytes, edition: str = AUTO) -> Fields:
    """The fields of the first sound frame in `data`, or `valid: false` and, in `error`, what is wrong.

    `edition`: `auto` (by the control code), `1997` or `2007`.
    """
    found = list(candidates(data))
    sound = next((each for each in found if each.is_sound), None)
    if sound is not None:
        return _valid(data, sound, edition)
    if not found:
        return _broken(_edition(None, edition), "header", size=len(data))
    first = found[0]
    if not first.is_complete:
        lacking: dict[str, int] = {"size": len(first.raw), "expected": first.size or LEAST_SIZE}
        return _broken(_edition(first.control, edition), "incomplete", **lacking)
    return _unsound(data, first, edition)


def _edition(control: int | None, edition: str) -> str:
    if edition != AUTO:
        return edition
    return EDITION_1997 if control is not None and control & FUNCTION in _FUNCTIONS_1997 else EDITION_2007


def _broken(edition: str, reason: str, **arguments: int) -> Fields:
    error = {"code": f"dlt645_{reason}", "arguments": arguments}
    return {"protocol": edition, "valid": False, "reason": reason, "error": error}


def _unsound(data: bytes, frame: Candidate, edition: str) -> Fields:
    head = _head(data, frame, edition, is_valid=False)
    if frame.raw[-1] != 0x16:  # noqa: PLR2004 - the end byte, named END where frames are built
        error: Fields = {"code": "dlt645_end", "arguments": {"received": f"{frame.raw[-1]:02X}"}}
    else:
        arguments = {"expected": f"{frame.sum:02X}", "received": f"{frame.raw[-2]:02X}"}
        error = {"code": "dlt645_checksum", "arguments": arguments}
    return {**head, "computed_cs": f"{frame.sum:02X}", "error": error}


def _head(data: bytes, frame: Candidate, edition: str, *, is_valid: bool) -> Fields:
    """The keys that every complete frame has."""
    control = frame.control
    assert control is not None
    edition = _edition(control, edition)
    fields: Fields = {
        "protocol": edition,
        "valid": is_valid,
        "preamble_fe": wake_count(data, frame.at),
        "address": address_text(frame.address),
        "control": f"{control:02X}",
        "length": len(frame.data),
        "data_plain": frame.data.hex().upper(),
    }
    size = _IDENTIFIER_SIZE[edition]
    is_error = control & REPLY and control & ERROR
    if control & FUNCTION in _IDENTIFIED[edition] and not is_error and len(frame.data) >= size:
        fields["di"] = frame.data[:size][::-1].hex().upper()
    return fields


def _valid(data: bytes, frame: Candidate, edition: str) -> Fields:
    fields = _head(data, frame, edition, is_valid=True)
    edition, control = fields["protocol"], frame.control
    assert control is not None
    function, plain = control & FUNCTION, frame.data
    if control & REPLY and control & MORE:
        fields["more"] = True
    if control & REPLY and control & ERROR:
        if plain:
            fields |= {"err": plain[0], "err_bits": error_names(edition, plain[0])} | _trailing(plain[1:])
    elif function == _BROADCAST_TIME:
        fields |= _moment("datetime", plain, _MOMENT_SIZE)
    elif function == _READ_ADDRESS and control & REPLY:
        fields |= {"meter_address": address_text(plain[:_ADDRESS_SIZE])} if len(plain) >= _ADDRESS_SIZE else {}
        fields |= _trailing(plain[_ADDRESS_SIZE:] if len(plain) >= _ADDRESS_SIZE else plain)
    elif "di" in fields and function in _READS[edition]:
        fields |= _read(control, plain[_IDENTIFIER_SIZE[edition] :], fields["di"], edition)
    return fields


def _read(control: int, rest: bytes, identifier: str, edition: str) -> Fields:
    """What a read or a follow-up carries behind its identifier."""
    fields: Fields = {}
    is_follow_up = control & FUNCTION == _FOLLOW_UP[edition]
    if is_follow_up and edition == EDITION_2007 and rest:
        rest, fields["seq"] = rest[:-1], rest[-1]
    if not control & REPLY:
        return fields
    if is_follow_up and not control & MORE:
        fields["more"] = False
    field = field_of(identifier)
    if field is None:
        return fields
    return fields | _content(field, identifier, rest, edition)


def _content(field: Field, identifier: str, data: bytes, edition: str) -> Fields:
    if field.is_block:
        return _block(field, data, edition)
    if len(data) < field.size:
        return _trailing(data)
    own, rest = data[: field.size], data[field.size :]
    return _single(field, identifier, own) | _trailing(rest)


def _single(field: Field, identifier: str, data: bytes) -> Fields:
    shown: Mapping[str, Callable[[], Fields]] = {
        "bits": lambda: _word(int(identifier[6:], 16), data),
        "date": lambda: {"date": _iso(day(data[1:])), "weekday": weekday(data)} | _validity(data[1:]),
        "time": lambda: {"time": _iso(clock_time(data))} | _validity(data),
        "moment": lambda: _moment("datetime", data, field.size),
        "name": lambda: {"digits": digits(data)} | _validity(data),
        "text": lambda: {"ascii": text(data)},
        "bcd": lambda: _one(field, data),
    }
    return shown[field.kind]()


def _one(field: Field, data: bytes) -> Fields:
    value, validity = _number(field, data)
    return {**validity, "value": value, "unit": field.unit}


def _iso(at: date | time | None) -> str | None:
    return None if at is None else at.isoformat()


def _block(field: Field, data: bytes, edition: str) -> Fields:
    items, rest = cut(data, field.size, field.most, has_ends=edition == EDITION_1997)
    if not items:
        return _trailing(rest)
    if field.kind == "bits":
        return {"words": [_word(place + 1, item) for place, item in enumerate(items)]} | _trailing(rest)
    numbers = [_number(field, item) for item in items]
    validity = {"bcd_valid": False} if any(invalid for _, invalid in numbers) else {}
    return {**validity, "values": [value for value, _ in numbers], "unit": field.unit, **_trailing(rest)}


def _number(field: Field, data: bytes) -> tuple[float | None, Fields]:
    raw = number(data, signed=field.signed)
    if isinstance(raw, NoValue):
        return None, {"bcd_valid": False} if raw is NoValue.NOT_BCD else {}
    return float(raw * Decimal(1).scaleb(-field.decimals)) + 0.0, {}  # eight digits: the shortest text is exact


def _word(place: int, data: bytes) -> Fields:
    word = int.from_bytes(data, "little")
    return {"word": f"{word:04X}", **word_bits(place, word)}


def _moment(key: str, data: bytes, size: int) -> Fields:
    if len(data) < size:
        return _trailing(data)
    own, at = data[:size], moment(data[:size])
    precision = "seconds" if size == _MOMENT_SIZE else "minutes"
    return {key: at and at.isoformat(timespec=precision)} | _validity(own) | _trailing(data[size:])


def _validity(data: bytes) -> Fields:
    """`bcd_valid` where digits are damaged; all FF is no damage."""
    return {} if digits(data) is not None or not data.strip(b"\xff") else {"bcd_valid": False}


def _trailing(data: bytes) -> Fields:
    return {"trailing": data.hex().upper()} if data else {}


def problem_of(fields: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Code and arguments of the sentence `frame.wrong.CODE` that says what is wrong; None for a sound frame."""
    error = fields.get("error")
    return None if error is None else (error["code"], error["arguments"])
