"""What is wrong with an uplink frame of SL 651 whose body could be read: field by field, each with its clause. Pure.

A rule of the standard that is broken is a failure; what the sheet marks as uncertain, advises only, or has seen done in
several ways differs. A bare number is a clause or table of SL 651-2014, `sheet §n` where no clause is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from agent.uplinks.sl651_wire.body import HEADER_SIZE, WITH_CLASS, decode, header_of
from agent.uplinks.sl651_wire.codes import STATION_CLASSES, BodyError, Control, Encoding, Function
from agent.uplinks.sl651_wire.elements import (
    EXTENDED,
    KINDS,
    MOST_BYTES,
    STATUS,
    Element,
    Fill,
    array_size,
    default_definition,
)
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.parts import TIME_MARK, ObservedAt, Part, Series, Station, Step, moment_of
from simulators.platforms.centre.contract import Wrong, zone_of
from simulators.platforms.centre.sl651_text_checks import has_voltage, judged_words, observed_digits

_ADVISED_BODY = 220  # 6.5: bytes of a body on IP channels
_ODD_CENTRES = frozenset({0})  # means unused; seen in captures
_DIVISION_BYTES = 3
_TIME_BYTES = 5
_STEP = b"\x04\x18"
_LAST_STATION, _BROADCAST = 60_000, 0xFFFF
_MANUAL = frozenset({Function.MANUAL, Function.QUERY_MANUAL})
_CLOCK_OFF = timedelta(minutes=5)
_KNOWN_STATUS_BITS = range(12)
_STATUS_BYTES = 4
_WITH_VOLTAGE = frozenset({Function.TIMED, Function.ADDITIONAL, Function.HOURLY, Function.TEST})
_VOLTAGE = b"\x38"
_WITH_STATION = frozenset({*WITH_CLASS, *range(0x40, 0x52)})
_MOST_STEP = {0: 31, 1: 23, 2: 59}  # days, hours, minutes
_SERIES_FUNCTIONS = frozenset({Function.UNIFORM, Function.QUERY_PERIOD})
_NEGATIVE_FIRST: Final = "FF"


def unreadable(frame: Frame, error: BodyError) -> Wrong:
    """What is wrong with a body that could not be read to its end."""
    at = frame.payload.find(TIME_MARK) + len(TIME_MARK) + _TIME_BYTES
    is_binary = frame.encoding is Encoding.BINARY
    if is_binary and frame.function in _SERIES_FUNCTIONS and frame.payload[at : at + len(_STEP)] != _STEP:
        received = frame.payload[at : at + len(_STEP)].hex().upper()
        return _failed(frame, "no_step", "sheet §10", received=received)
    return _failed(frame, error.code, str(error.arguments["clause"]), **error.arguments)


def judged(frame: Frame, fields: Mapping[str, Any], now: datetime, *, is_joined: bool = False) -> list[Wrong]:
    """Everything that is wrong with a frame that was taken apart; `now` is the centre's clock.

    `is_joined`: its body came in packets, and may be long.
    """
    found = [*_head(frame, now), *_address(frame)]
    if len(frame.payload) > _ADVISED_BODY and not is_joined:
        found.append(_differs(frame, "long_body", "sheet §3.3", size=len(frame.payload), advised=_ADVISED_BODY))
    if frame.function != Function.KEEPALIVE:
        found += _body(frame) if frame.encoding is Encoding.BINARY else _words(frame)
    if frame.function in _WITH_STATION and "body_station_addr" not in fields:
        found.append(_failed(frame, "no_station", "6.6.3.2", function=f"{frame.function:02X}"))
    return found


def values_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a report by name (identifier where it has none): text, None where missing, lists of samples."""
    found: dict[str, Any] = {}
    for group in fields.get("groups", ()):
        for element in group.get("elements", ()):
            name = element.get("code") or element["id"]
            keys = ("value", "status_word", "values_mm", "values_m")
            found[name] = next((element[key] for key in keys if key in element), None)
        series = group.get("series", ())
        for each in [series] if isinstance(series, dict) else series:
            found[each.get("code") or each["id"]] = each["values"]
    for parameter in fields.get("params", ()):
        found[parameter["id"]] = parameter["value"]
    if "manual_text" in fields:
        found["manual_text"] = fields["manual_text"]
    return found


def _failed(frame: Frame, code: str, clause: str, /, **arguments: object) -> Wrong:
    return Wrong(station=frame.station, code=code, clause=clause, arguments=arguments)


def _differs(frame: Frame, code: str, clause: str, /, **arguments: object) -> Wrong:
    return Wrong(station=frame.station, code=code, clause=clause, arguments=arguments, is_failed=False)


def _head(frame: Frame, now: datetime) -> Iterator[Wrong]:
    """Serial number, send time, length."""
    header = header_of(frame)
    if header is None:
        yield _failed(frame, "no_header", "6.6.1", size=len(frame.payload))
        return
    if header.serial == 0:
        yield _failed(frame, "serial_zero", "6.6.2.4")
    sent = moment_of(header.sent, zone_of(now))
    if sent is None:
        yield _failed(frame, "send_time", "6.6.2.5", received=header.sent)
    elif abs(sent - now) > _CLOCK_OFF:
        yield _differs(frame, "clock_off", "sheet §18", minutes=round(abs(sent - now).total_seconds() / 600) * 10)
    size = HEADER_SIZE * (2 if frame.encoding is Encoding.ASCII else 1)
    if frame.function == Function.KEEPALIVE and len(frame.payload) != size:
        yield _failed(frame, "keepalive_body", "6.6.4.1", size=len(frame.payload), expected=size)
    if frame.function == Function.KEEPALIVE and frame.end is not Control.ETX:
        yield _failed(frame, "keepalive_end", "sheet §9.3", received=frame.end.name)


def _address(frame: Frame) -> Iterator[Wrong]:
    """Centre and station number; an address that begins with 00 is a code of SL 502."""
    if frame.centre in _ODD_CENTRES:
        yield _differs(frame, "centre_number", "sheet §3.1", received=frame.centre)
    address = bytes.fromhex(frame.station)
    if address[0] == 0:
        return
    number = int.from_bytes(address[_DIVISION_BYTES:], "big")
    if number in {0, _BROADCAST}:
        yield _failed(frame, "station_number", "sheet §6", received=number)
    elif number > _LAST_STATION:
        yield _differs(frame, "relay_number", "sheet §6", received=number)
    if not address[:_DIVISION_BYTES].hex().isdecimal():
        yield _differs(frame, "division", "sheet §6", received=frame.station[: 2 * _DIVISION_BYTES])


def _words(frame: Frame) -> Iterator[Wrong]:
    """An ASCII body."""
    yield from judged_words(frame)
    header = header_of(frame)
    for digits in observed_digits(frame):
        yield from _observed(frame, digits, "" if header is None else header.sent)
    if frame.function in _WITH_VOLTAGE and not has_voltage(frame):
        yield _differs(frame, "no_voltage", "E.10", function=f"{frame.function:02X}")


def _body(frame: Frame) -> Iterator[Wrong]:
    parts = decode(frame).parts
    header = header_of(frame)
    for at, part in enumerate(parts):
        match part:
            case Station():
                yield from _station(frame, part)
            case ObservedAt(digits):
                yield from _observed(frame, digits, "" if header is None else header.sent)
            case Step():
                yield from _step(frame, part, parts[at + 1 :])
            case Series():
                yield from _series(frame, part)
            case Element():
                yield from _element(frame, part)
            case _:
                continue
    elements = {part.identifier for part in parts if isinstance(part, Element)}
    if frame.function in _WITH_VOLTAGE and _VOLTAGE not in elements:
        yield _differs(frame, "no_voltage", "E.10", function=f"{frame.function:02X}")
    if frame.function == Function.UNIFORM and not any(isinstance(part, Step) for part in parts):
        yield _failed(frame, "no_step", "sheet §10", received="".join(sorted(each.hex().upper() for each in elements)))
    if frame.function in _SERIES_FUNCTIONS and sum(isinstance(part, Series) for part in parts) > 1:
        yield _failed(frame, "several_series", "6.6.4.4")


def _series(frame: Frame, part: Series) -> Iterator[Wrong]:
    if not part.elements:
        yield _failed(frame, "no_samples", "sheet §10", element=part.identifier.hex().upper())
    for element in part.elements:
        yield from _number(frame, element)


def _station(frame: Frame, part: Station) -> Iterator[Wrong]:
    if part.address != frame.station:
        yield _differs(frame, "other_station", "sheet §7", received=part.address, expected=frame.station)
    if frame.function in _MANUAL:
        yield _failed(frame, "manual_station", "sheet §10", function=f"{frame.function:02X}")
    if frame.function in WITH_CLASS and part.kind not in STATION_CLASSES:  # others are user-defined
        received = "" if part.kind is None else f"{part.kind:02X}"
        yield _differs(frame, "station_class", "A", received=received)


def _observed(frame: Frame, digits: str, sent: str) -> Iterator[Wrong]:
    observed, at = moment_of(digits), moment_of(sent)
    if observed is None or at is None or observed <= at:
        return
    made = _failed if observed > at + _CLOCK_OFF else _differs  # the end of a period may be some minutes ahead
    yield made(frame, "observed_later", "6.6.2.8", observed=digits, sent=sent)


def _step(frame: Frame, part: Step, behind: tuple[Part, ...]) -> Iterator[Wrong]:
    """Days, hours or minutes, one of them alone; all zero only in front of an array."""
    pairs = [part.digits[at : at + 2] for at in (0, 2, 4)]
    if not part.digits.isdecimal():
        yield _failed(frame, "step", "C", received=part.digits)
        return
    used = [(at, int(pair)) for at, pair in enumerate(pairs) if int(pair)]
    is_array = bool(behind) and isinstance(behind[0], Element) and array_size(behind[0].identifier) > 0
    if len(used) > 1 or (not used and not is_array) or any(count > _MOST_STEP[at] for at, count in used):
        yield _failed(frame, "step", "C", received=part.digits)


def _element(frame: Frame, element: Element) -> Iterator[Wrong]:
    if frame.function in {Function.SET_BASIC, Function.READ_BASIC, Function.CHANGE_PASSWORD}:
        return  # plain bytes
    if element.identifier == STATUS:
        yield from _status(frame, element)
    elif array_size(element.identifier):
        yield from _definition(frame, element)
    elif frame.function in {Function.SET_RUN, Function.READ_RUN}:
        yield from _number(frame, element)
    else:
        yield from _definition(frame, element)
        yield from _number(frame, element)


def _status(frame: Frame, element: Element) -> Iterator[Wrong]:
    if len(element.data) != _STATUS_BYTES:
        yield _failed(frame, "status_size", "58", size=len(element.data), expected=_STATUS_BYTES)
    word = int.from_bytes(element.data, "big")
    reserved = [bit for bit in range(8 * _STATUS_BYTES) if word >> bit & 1 and bit not in _KNOWN_STATUS_BITS]
    if reserved:
        yield _differs(frame, "status_bits", "58", bits=" ".join(map(str, reserved)))


def _definition(frame: Frame, element: Element) -> Iterator[Wrong]:
    """The definition received decides; another one than table C.1's is what installations agree upon."""
    name = element.identifier.hex().upper()
    if element.identifier not in KINDS:
        if element.identifier[:1] != EXTENDED:
            yield _differs(frame, "reserved_element", "C.1", element=name)
        return
    expected = default_definition(element.identifier)
    kind = KINDS[element.identifier]
    is_negative = element.data[:1].hex().upper() == _NEGATIVE_FIRST and not isinstance(element.value, Fill)
    longer = expected + (8 if is_negative else 0)
    if element.definition not in {expected, longer}:
        yield _differs(
            frame,
            "definition",
            "C.1",
            element=f"{name} {kind.name}",
            received=f"{element.definition:02X}",
            expected=f"{longer:02X}",
        )


def _number(frame: Frame, element: Element) -> Iterator[Wrong]:
    name = element.identifier.hex().upper()
    if not 0 < len(element.data) <= MOST_BYTES:
        yield _failed(frame, "no_data", "26", element=name)
        return
    match element.value:
        case Fill.AA:
            yield _differs(frame, "fill", "sheet §11.4", element=name)
        case None:
            yield _failed(frame, "digits", "6.6.3.3", element=name, received=element.data.hex().upper())
