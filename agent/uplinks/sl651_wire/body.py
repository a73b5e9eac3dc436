"""The body of a binary frame read into its parts, by function code and direction. Pure.

Strategy: one cursor over the bytes, one small reader for each kind of body. What a body must have and has not is an
error with its place; what an installation adds behind what is known stays as `Raw`. A first packet of several is read
as far as it goes, its cut-off end is `Raw` too.

Source: SL 651-2014 6.6.3, 6.6.4 (tables 27 and following), annexes C and D.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.uplinks.sl651_wire.codes import FUNCTION_NAMES, STANDARD, BodyError, Dialect, Direction, Encoding, Function
from agent.uplinks.sl651_wire.elements import BATCH, EXTENDED, NEGATIVE, STATUS, Element, array_size, size_of
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.parts import (
    EVENTS,
    PICTURE_MARK,
    STATION_MARK,
    STEP_MARK,
    TEXT_MARK,
    TIME_MARK,
    Body,
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

HEADER_SIZE = 8
_TEXT_HEADER = re.compile(rb"[0-9A-Fa-f]{16}")
_ADDRESS_SIZE, _MINUTES_SIZE, _STEP_SIZE, _HOURS_SIZE = 5, 5, 3, 4
_RELAYS = b"\x0e"  # table D.1: its definition is a byte count of eight bits
_BATCH_MARK = BATCH + b"\xf6"  # annex C: fixed
_REPORTS = frozenset({*range(0x30, 0x3B), Function.QUERY_PUMP})
_MANUAL = frozenset({Function.MANUAL, Function.QUERY_MANUAL})
WITH_CLASS = _REPORTS - _MANUAL
_BASIC = frozenset({Function.SET_BASIC, Function.READ_BASIC, Function.CHANGE_PASSWORD})
_RUN = frozenset({Function.SET_RUN, Function.READ_RUN})
PARAMETERS = _BASIC | _RUN
_STATUS_WORDS = frozenset({Function.QUERY_STATUS, Function.SET_CARD})
_SERIES = frozenset({Function.UNIFORM, Function.QUERY_PERIOD})
_RESETS = frozenset({Function.CLEAR_STORAGE, Function.FACTORY_RESET})
_ASKING = _RESETS | {Function.QUERY_ELEMENTS, Function.READ_BASIC, Function.READ_RUN}


def is_basic(function: int) -> bool:
    """Whether the parameters of a function are those of table D.1 (basic), not D.4 (run)."""
    return function in _BASIC


def decode(frame: Frame, dialect: Dialect = STANDARD) -> Body:
    """The body of a binary frame; of the whole of a multi-packet one when it was put together first.

    Raises:
        BodyError: the body breaks a rule of its function.
    """
    if frame.is_follow_up:
        return Body(None, (Raw(frame.payload),))
    if not frame.payload:
        return Body(None)
    cursor = _Cursor(frame.payload, dialect)
    header = _header(cursor)
    is_cut = frame.direction is Direction.UP and frame.packet is not None and frame.packet[0] > 1
    read = _up if frame.direction is Direction.UP else _down
    parts: list[Part] = []
    try:
        read(cursor, frame.function, parts)
    except BodyError:
        if not is_cut:
            if frame.function in FUNCTION_NAMES:
                raise
            return Body(header, (Raw(frame.payload[HEADER_SIZE:]),))  # a user's own function may have any body
        cursor.back()
    if cursor.left:
        parts.append(Raw(cursor.rest()))
    return Body(header, tuple(parts))


def header_of(frame: Frame) -> Header | None:
    """The header alone, in either encoding, for what is acknowledged or matched whatever else the body holds.

    None where there is none, or not all of it.
    """
    is_text = frame.encoding is Encoding.ASCII
    head = frame.payload[: HEADER_SIZE * 2 if is_text else HEADER_SIZE]
    if frame.is_follow_up or len(head) < (HEADER_SIZE * 2 if is_text else HEADER_SIZE):
        return None
    if is_text:
        if _TEXT_HEADER.fullmatch(head) is None:
            return None
        head = bytes.fromhex(head.decode("ascii"))
    return _header(_Cursor(head, STANDARD))


class _Cursor:
    """Bytes that are cut into parts from the front. `mark` is where the part that is being read begins."""

    def __init__(self, data: bytes, dialect: Dialect) -> None:
        self._data = data
        self._at = 0
        self.mark = 0
        self.dialect = dialect

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def begin(self) -> None:
        self.mark = self._at

    def back(self) -> None:
        self._at = self.mark

    def peek(self, size: int) -> bytes:
        return self._data[self._at : self._at + size]

    def take(self, size: int, what: str) -> bytes:
        if self.left < size:
            raise BodyError("cut", "6.6.1", part=what, offset=self.mark, expected=size, size=self.left)
        found = self.peek(size)
        self._at += size
        return found

    def rest(self) -> bytes:
        return self.take(self.left, "")

    def digits(self, size: int, what: str) -> str:
        """A time; raises where there is no such moment."""
        text = self.take(size, what).hex().upper()
        if moment_of(text) is None:
            clause = "6.6.2.8" if size == _MINUTES_SIZE else "6.6.2.5"
            raise BodyError("time", clause, part=what, received=text, offset=self.mark)
        return text


def _header(cursor: _Cursor) -> Header:
    if cursor.left < HEADER_SIZE:
        raise BodyError("header", "6.6.1", size=cursor.left, expected=HEADER_SIZE)
    return Header(int.from_bytes(cursor.take(2, "serial"), "big"), cursor.take(6, "send_time").hex().upper())


def _up(cursor: _Cursor, function: int, parts: list[Part]) -> None:
    if function in _REPORTS or function not in FUNCTION_NAMES:
        _report(cursor, function, parts)
        return
    if cursor.peek(2) == STATION_MARK:
        cursor.begin()
        cursor.take(2, "F1F1")
        parts.append(Station(cursor.take(_ADDRESS_SIZE, "F1F1").hex().upper()))
    cursor.begin()
    if function in PARAMETERS:
        _parameters(cursor, function, parts)
    elif function in _STATUS_WORDS:
        parts.append(_element(cursor))
    elif function == Function.QUERY_VERSION:
        size = cursor.take(1, "version")[0]
        if size != cursor.left:
            raise BodyError("version", "6.6.4.19", expected=size, size=cursor.left)
        parts.append(Version(cursor.rest()))
    elif function == Function.QUERY_EVENTS:
        data = cursor.take(2 * EVENTS, "event_counts")
        parts.append(Events(tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))))


def _down(cursor: _Cursor, function: int, parts: list[Part]) -> None:
    if not cursor.left:  # acknowledgements and most queries
        return
    cursor.begin()
    if function == Function.QUERY_PERIOD:
        parts.append(Period(cursor.digits(_HOURS_SIZE, "start_time"), cursor.digits(_HOURS_SIZE, "end_time")))
        if cursor.peek(2) == STEP_MARK:
            parts.append(_step(cursor))
        _identifiers(cursor, parts)
    elif function in _ASKING:
        _identifiers(cursor, parts)
    elif function in PARAMETERS:
        _parameters(cursor, function, parts)
    elif function == Function.SET_CARD:
        parts.append(_element(cursor))


def _report(cursor: _Cursor, function: int, parts: list[Part]) -> None:
    """Stations, times and what was observed then, to the end."""
    has_time = False
    step: Step | None = None  # of the element that follows
    while cursor.left:
        cursor.begin()
        mark = cursor.peek(2)
        if mark in _MARKED:
            parts.append(_MARKED[mark](cursor, function))
            has_time = mark == TIME_MARK or (has_time and mark != STATION_MARK)
            step = None
        elif not has_time:
            code, clause = ("no_text", "6.6.3.2") if function in _MANUAL else ("no_time", "6.6.2.11")
            raise BodyError(code, clause, received=mark.hex().upper(), offset=cursor.mark)
        elif mark == STEP_MARK:
            step = _step(cursor)
            parts.append(step)
        elif mark[:1] in {TIME_MARK[:1], STATION_MARK[:1], TEXT_MARK[:1], PICTURE_MARK[:1]}:
            raise BodyError("mark", "6.6.3.2", received=mark.hex().upper(), offset=cursor.mark)
        else:
            if step is None:
                parts.append(_element(cursor))
            else:
                _samples(cursor, function, step, parts)
            step = None


def _station(cursor: _Cursor, function: int) -> Part:
    cursor.take(2, "F1F1")
    address = cursor.take(_ADDRESS_SIZE, "F1F1").hex().upper()
    has_class = function in WITH_CLASS or (function not in _REPORTS and cursor.peek(2) != TIME_MARK and cursor.left)
    return Station(address, cursor.take(1, "F1F1")[0] if has_class else None)


def _observed_at(cursor: _Cursor, _function: int) -> Part:
    cursor.take(2, "F0F0")
    return ObservedAt(cursor.digits(_MINUTES_SIZE, "F0F0"))


def _text(cursor: _Cursor, _function: int) -> Part:
    cursor.take(2, "F2F2")
    return ManualText(cursor.rest())


def _picture(cursor: _Cursor, _function: int) -> Part:
    cursor.take(2, "F3F3")
    return Picture(cursor.rest())


_MARKED: dict[bytes, Callable[[_Cursor, int], Part]] = {
    STATION_MARK: _station,
    TIME_MARK: _observed_at,
    TEXT_MARK: _text,
    PICTURE_MARK: _picture,
}


def _step(cursor: _Cursor) -> Step:
    cursor.take(2, "0418")
    return Step(cursor.take(_STEP_SIZE, "0418").hex().upper())


def _identifier(cursor: _Cursor) -> tuple[bytes, int]:
    guide = cursor.take(1, "identifier")
    if guide == EXTENDED:
        guide += cursor.take(1, "identifier")
    return guide, cursor.take(1, guide.hex().upper())[0]


def _element(cursor: _Cursor) -> Element:
    is_batch = cursor.peek(2) == _BATCH_MARK
    identifier, defined = _identifier(cursor)
    name = identifier.hex().upper()
    if is_batch or array_size(identifier):
        return Element(identifier, defined, cursor.take(cursor.left if is_batch else array_size(identifier), name))
    if identifier == STATUS:
        return Element(identifier, defined, cursor.take(size_of(defined), name))
    return Element(identifier, defined, _number(cursor, size_of(defined), identifier))


def _number(cursor: _Cursor, size: int, identifier: bytes) -> bytes:
    """The bytes of a number; one more for a negative one where the sign is not counted."""
    name = identifier.hex().upper()
    data = cursor.take(size, name)
    is_negative = data[:1] == bytes([NEGATIVE]) and data.strip(data[:1]) != b""
    return data + cursor.take(1, name) if is_negative and not cursor.dialect.sign_counted else data


def _samples(cursor: _Cursor, function: int, step: Step, parts: list[Part]) -> None:
    """What a time step announces: samples up to the next time or station; one-hour arrays likewise in 31 and 38.

    A cut-off sample ends the body of a first packet and is wrong in any other; the whole ones before it count.
    """
    identifier, defined = _identifier(cursor)
    name = identifier.hex().upper()
    hour = array_size(identifier)
    if hour and (function not in _SERIES or step.interval is None):
        parts.append(Element(identifier, defined, cursor.take(hour, name)))
        return
    size = hour or size_of(defined)
    if not size:
        raise BodyError("no_size", "6.6.3.2", received=f"{defined:02X}", part=name)
    again = identifier + bytes([defined])
    samples: list[bytes] = []
    while cursor.left >= size and not _begins_time(cursor) and not (hour and samples and cursor.peek(2) == again):
        samples.append(cursor.take(size, name))
        if hour and len(samples) == 1 and _reads_as_elements(cursor):
            break
    if hour and samples:
        parts.append(Element(identifier, defined, b"".join(samples)))
        return
    parts.append(Series(identifier, defined, tuple(samples)))
    if cursor.left and not _begins_time(cursor):
        cursor.begin()
        raise BodyError("series", "6.6.4.4", part=name, expected=size, size=cursor.left)


def _reads_as_elements(cursor: _Cursor) -> bool:
    """Whether what follows an array is further elements, which 31 and 38 must not have, rather than its next hour."""
    rest = _Cursor(cursor.peek(cursor.left), cursor.dialect)
    try:
        while rest.left and not _begins_time(rest):
            element = _element(rest)
            is_known = element.kind is not None or element.identifier[:1] == EXTENDED
            if not (is_known and element.data):
                return False
    except BodyError:
        return False
    return True


def _begins_time(cursor: _Cursor) -> bool:
    """Whether a time or a station follows instead of a sample; no sample of digits looks like either."""
    mark = cursor.peek(2 + _MINUTES_SIZE)
    if mark[:2] == TIME_MARK:
        return moment_of(mark[2:].hex()) is not None
    return mark[:2] == STATION_MARK and len(mark) == 2 + _ADDRESS_SIZE


def _identifiers(cursor: _Cursor, parts: list[Part]) -> None:
    while cursor.left:
        cursor.begin()
        parts.append(Wanted(*_identifier(cursor)))


def _parameters(cursor: _Cursor, function: int, parts: list[Part]) -> None:
    while cursor.left:
        cursor.begin()
        if function in _BASIC:
            identifier, defined = _identifier(cursor)
            size = defined if identifier == _RELAYS else size_of(defined)
            parts.append(Element(identifier, defined, cursor.take(size, identifier.hex().upper())))
        else:
            parts.append(_parameter(cursor))


def _parameter(cursor: _Cursor) -> Element:
    """A run parameter: its numbers are its own, so nothing is a one-hour array here."""
    identifier, defined = _identifier(cursor)
    return Element(identifier, defined, _number(cursor, size_of(defined), identifier))
