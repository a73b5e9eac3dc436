"""One SL 651 frame by the names of its reference page, for `qushui frame sl651`. Pure.

Strategy: one frame and nothing around it, so that no bytes go unexplained. Its head gives the keys that every frame
has; each part of its body adds its own. The keys are those of `docs/reference/sl651.en.md`; one stands there exactly
when its rule applies.
"""

from __future__ import annotations

from typing import Any

from agent.uplinks.sl651_wire import text
from agent.uplinks.sl651_wire.addresses import channel
from agent.uplinks.sl651_wire.body import PARAMETERS, WITH_CLASS, decode, is_basic
from agent.uplinks.sl651_wire.codes import (
    STANDARD,
    BodyError,
    Dialect,
    Direction,
    Encoding,
    FrameError,
    Function,
    function_name,
)
from agent.uplinks.sl651_wire.elements import (
    BATCH,
    KINDS,
    RAIN_ARRAY,
    STATUS,
    Element,
    Fill,
    array_size,
    array_values,
    bits_set,
    number_text,
)
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.parts import (
    Events,
    Header,
    ManualText,
    ObservedAt,
    Part,
    Period,
    Picture,
    Raw,
    Series,
    Station,
    Step,
    Version,
    Wanted,
    moment_of,
)
from agent.uplinks.sl651_wire.receiver import only_frame

EDITIONS = ("2014",)
_HEAD_BYTES = 8  # of a picture or a packet that are shown
_CENTRES, _ADDRESS, _PASSWORD, _MAP, _RELAYS, _NUMBER = b"\x01", b"\x02", b"\x03", b"\x0d", b"\x0e", b"\x0f"
_CHANNELS = range(0x04, 0x0C)
_STATUS_FUNCTIONS = frozenset({Function.QUERY_STATUS, Function.SET_CARD})
Fields = dict[str, Any]


def fields_of(data: bytes, _edition: str = "2014", *, dialect: Dialect = STANDARD) -> Fields:
    """The fields of the frame that `data` is; `error` alone, {code, arguments}, where it is no sound frame.

    A sound frame whose body breaks a rule is such an error too, and one with further bytes before or behind it.
    """
    try:
        return frame_fields(only_frame(data, dialect=dialect), dialect)
    except FrameError as error:
        return {"error": {"code": error.code, "arguments": error.arguments}}


def frame_fields(frame: Frame, dialect: Dialect = STANDARD) -> Fields:
    """All keys of a sound frame.

    Raises:
        BodyError: its body breaks a rule.
    """
    fields: Fields = {
        "encoding": frame.encoding.value,
        "centre_addr": frame.centre,
        "station_addr": frame.station,
        "password": frame.password,
        "function": f"{frame.function:02X}",
        "function_name": function_name(frame.function),
        "direction": frame.direction.value,
        "body_length": frame.length,
        "body_start": frame.start.name,
        "end": frame.end.name,
        "crc": f"{frame.crc(dialect):04X}",
    }
    if frame.packet is not None:
        fields |= {"packet_total": frame.packet[0], "packet_seq": frame.packet[1]}
    if frame.is_follow_up:
        return fields | {"payload_bytes": len(frame.payload), "payload_head": _hex(frame.payload[:_HEAD_BYTES])}
    if frame.encoding is Encoding.ASCII:
        return fields | _text_fields(frame, dialect)
    body = decode(frame, dialect)
    fields |= _header_fields(body.header)
    if frame.direction is Direction.DOWN:
        return fields | _down_fields(frame, body.parts)
    return fields | _up_fields(frame, body.parts, dialect)


def _header_fields(header: Header | None) -> Fields:
    if header is None:
        return {}
    if moment_of(header.sent) is None:
        raise BodyError("time", "6.6.2.5", part="send_time", received=header.sent, offset=2)
    return {"serial": header.serial, "send_time": _time(header.sent)}


def _time(digits: str) -> str:
    """YY MM DD HH [mm [SS]] as a date of this century."""
    pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    return f"20{pairs[0]}-{pairs[1]}-{pairs[2]} {':'.join(pairs[3:])}"


def _up_fields(frame: Frame, parts: tuple[Part, ...], dialect: Dialect) -> Fields:
    fields: Fields = {}
    groups = _Groups(fields)
    for part in parts:
        match part:
            case Element() if frame.function in PARAMETERS:
                fields.setdefault("params", []).append(_parameter(part, frame.function, dialect))
            case Element() if frame.function in _STATUS_FUNCTIONS:
                fields["status"] = _element(part)
            case ManualText(sent):
                fields["manual_text"] = sent.decode(dialect.text_encoding, "replace")
            case Version(sent):
                fields["version"] = sent.decode(dialect.text_encoding, "replace")
            case Events(counts):
                fields["event_counts"] = list(counts)
            case Raw(data):
                fields["data"] = _hex(data)
            case _:
                groups.take(part)
    if frame.function in PARAMETERS:
        fields.setdefault("params", [])
    if groups.all or frame.function in WITH_CLASS:
        fields["groups"] = groups.all
    return fields


class _Groups:
    """The entries of `groups`, in the order of the frame; the body's own station goes to `fields`."""

    def __init__(self, fields: Fields) -> None:
        self.all: list[Fields] = []
        self._fields = fields
        self._station: Fields = {}  # of the entries that follow, where it is not the first one of the body

    def take(self, part: Part) -> None:
        match part:
            case Station():
                self.enter(_station(part))
            case ObservedAt(digits):
                self.begin(digits)
            case Step(digits):
                self.all[-1]["step_dhm"] = digits
            case Series():
                self.all[-1]["series"] = _series(part)
            case Element():
                self.all[-1].setdefault("elements", []).append(_element(part))
            case Picture(data):
                shown = {"picture_bytes_in_packet": len(data), "picture_head": _hex(data[:_HEAD_BYTES])}
                (self.all[-1] if self.all else self._fields).update(shown)
            case _:
                raise AssertionError("only the centre asks")

    def enter(self, station: Fields) -> None:
        """The first station belongs to the body, each further one to its own entries."""
        if "body_station_addr" in self._fields:
            self._station = station
        else:
            self._fields.update(station)

    def begin(self, digits: str) -> None:
        self.all.append({"obs_time": _time(digits), **self._station})


def _station(station: Station) -> Fields:
    if station.kind is None:
        return {"body_station_addr": station.address}
    shown = {"station_class": f"{station.kind:02X}", "station_class_char": chr(station.kind)}
    return {"body_station_addr": station.address, **shown}


def _down_fields(frame: Frame, parts: tuple[Part, ...]) -> Fields:
    fields: Fields = {}
    for part in parts:
        match part:
            case Period(first, last):
                fields |= {"start_time": _time(first), "end_time": _time(last)}
            case Step(digits):
                fields["step_dhm"] = digits
            case Wanted(identifier, defined):
                fields.setdefault("identifiers", []).append(f"{_hex(identifier)}/{defined:02X}")
            case Element() if frame.function == Function.SET_CARD:
                fields["status"] = _element(part)
            case Element():
                fields.setdefault("params", []).append(_parameter(part, frame.function, STANDARD))
            case Raw(data):
                fields["data"] = _hex(data)
            case _:
                raise AssertionError("no down frame has it")
    return fields


def _code(identifier: bytes) -> Fields:
    kind = KINDS.get(identifier)
    return {} if kind is None else {"code": kind.name}


def _series(series: Series) -> Fields:
    values = [_value_text(element) for element in series.elements]
    return {
        "id": _hex(series.identifier),
        **_code(series.identifier),
        "def": f"{series.definition:02X}",
        "values": values,
    }


def _value_text(element: Element) -> str | None:
    if element.identifier == STATUS:
        return _hex(element.data)
    value = element.value
    return None if value is None or isinstance(value, Fill) else number_text(value)


def _element(element: Element) -> Fields:
    is_batch = element.identifier == BATCH
    shown: Fields = {
        "id": _hex(element.identifier),
        **_code(element.identifier),
        "def": f"{element.definition:02X}",
        "bytes": len(element.data) if is_batch else element.size,
        "decimals": 0 if is_batch else element.decimals,
        "raw": _hex(element.data),
    }
    if element.identifier == STATUS:
        return shown | {"status_word": _hex(element.data).zfill(8), "bits_set": bits_set(element.data)}
    if array_size(element.identifier):
        key = "values_mm" if element.identifier == RAIN_ARRAY else "values_m"
        values = array_values(element)
        return shown | {key: [None if each is None else number_text(each) for each in values]}
    value = element.value
    if isinstance(value, Fill):
        return shown | {"value": None, "missing": True, "fill": value.value}
    return shown | {"value": None if value is None or is_batch else number_text(value)}


def _parameter(element: Element, function: int, dialect: Dialect) -> Fields:
    """One entry of `params`; identifiers of the basic set mean what table D.1 says."""
    is_relays = is_basic(function) and element.identifier == _RELAYS
    shown: Fields = {
        "id": _hex(element.identifier),
        "def": f"{element.definition:02X}",
        "bytes": element.definition if is_relays else element.definition >> 3,
        "decimals": 0 if is_relays else element.definition & 7,
        "raw": _hex(element.data),
    }
    if not is_basic(function):
        return shown | {"value": _parameter_number(element)}
    match element.identifier:
        case identifier if identifier == _CENTRES:
            return shown | {"value": list(element.data)}
        case identifier if identifier in {_ADDRESS, _PASSWORD, _MAP, _RELAYS}:
            return shown | {"value": _hex(element.data)}
        case identifier if identifier == _NUMBER:
            return shown | {"value": element.data.decode(dialect.text_encoding, "replace")}
        case identifier if len(identifier) == 1 and identifier[0] in _CHANNELS:
            found = channel(element.data)
            return shown | ({"value": ""} if found is None else {"channel_type": found[0], "value": found[1]})
        case _:
            return shown | {"value": _parameter_number(element)}


def _parameter_number(element: Element) -> str | None:
    """A parameter's number; its identifier means another thing than that of an element."""
    plain = Element(b"", element.definition, element.data)
    return _value_text(plain)


def _text_fields(frame: Frame, dialect: Dialect) -> Fields:
    fields = _header_fields(text.header(frame))
    sent = text.body_of(frame)
    if sent:
        fields["body_text"] = sent.decode(dialect.text_encoding, "replace")
    if frame.direction is Direction.DOWN:
        return fields
    groups = _Groups(fields)
    for part in _timed_words(frame, dialect):
        match part:
            case Station():
                shown = _station(part)
                shown.pop("station_class", None)
                groups.enter(shown)
            case ObservedAt(digits):
                groups.begin(digits)
            case Step(digits) if groups.all:
                groups.all[-1]["step_dhm"] = digits
            case text.Word(name, value) if groups.all:
                groups.all[-1].setdefault("elements", []).append({"code": name, "value": value})
            case text.Words(names, rows) if groups.all:
                columns = [{"code": name, "values": [row[place] for row in rows]} for place, name in enumerate(names)]
                groups.all[-1]["series"] = columns[0] if len(columns) == 1 else columns
            case ManualText(data):
                fields["manual_text"] = data.decode(dialect.text_encoding, "replace")
            case _:
                continue
    return fields | ({"groups": groups.all} if groups.all else {})


def _timed_words(frame: Frame, dialect: Dialect) -> list[text.TextPart]:
    """The parts of a text whose times are times: what stands behind another must not pass for the last one's."""
    parts = text.read(frame, dialect)
    for part in parts:
        match part:
            case ObservedAt(digits) if moment_of(digits) is not None:
                continue
            case ObservedAt(digits) | text.Word("TT", digits):
                at = frame.payload.find(f"TT {digits}".encode())
                raise BodyError("time", "6.6.2.8", part="obs_time", received=digits, offset=at)
    return parts


def _hex(data: bytes) -> str:
    return data.hex().upper()
