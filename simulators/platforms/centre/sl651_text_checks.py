"""What is wrong with the words of an ASCII body of SL 651: names, numbers, times, blanks, each with its rule. Pure.

Source: SL 651-2014 6.6.2; the sheet's §19: words between blanks, one blank behind the last, names of table C.1,
decimals with a point, M for what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from agent.uplinks.sl651_wire import text
from agent.uplinks.sl651_wire.body import WITH_CLASS
from agent.uplinks.sl651_wire.codes import STATION_CLASSES
from agent.uplinks.sl651_wire.elements import IDENTIFIERS, STATUS, array_size
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.parts import ObservedAt, Station, Step
from simulators.platforms.centre.contract import Wrong

Found = Iterator[tuple[str, str, bool, dict[str, object]]]
"""Code, clause, whether it fails, arguments."""

_RULE: Final = "sheet §19"
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_STATUS_DIGITS = 8
_VOLTAGE = "VT"
_FOLDED = {name.casefold(): name for name in IDENTIFIERS}
_BLANK = b" "


def judged_words(frame: Frame) -> list[Wrong]:
    """Everything that is wrong with the words of an uplink body; manual text and parameters are free."""
    found: list[Wrong] = []
    if frame.function in WITH_CLASS:
        for code, clause, is_failed, arguments in _all(frame, text.read(frame)):
            found.append(
                Wrong(station=frame.station, code=code, clause=clause, arguments=arguments, is_failed=is_failed)
            )
    return found


def _all(frame: Frame, parts: Sequence[text.TextPart]) -> Found:
    yield from _blanks(text.body_of(frame), parts)
    is_timed = False
    for part in parts:
        is_timed = is_timed or isinstance(part, ObservedAt)
        match part:
            case Station(address, kind):
                yield from _station(frame, address, kind)
            case text.Word(name, value):
                yield from _word(name, value, is_timed=is_timed)
            case text.Words():
                yield from _samples(part)
            case _:
                continue
    if not is_timed:
        yield "no_time", "6.6.2.11", True, {}


def _blanks(raw: bytes, parts: Sequence[text.TextPart]) -> Found:
    if not raw.endswith(_BLANK):
        yield "no_last_blank", _RULE, True, {}
    if _BLANK * 2 in raw:
        yield "two_blanks", _RULE, False, {}
    left = len(raw.split()) - sum(map(_size, parts))
    if left > 0 and not any(isinstance(part, text.Words) for part in parts):
        yield "lone_word", _RULE, True, {"received": raw.split()[-1].decode("ascii", "replace")}


def _word(name: str, value: str, *, is_timed: bool) -> Found:
    if not is_timed:
        yield "early_element", "6.6.2.11", True, {"element": name}
    yield from _element(name, [value])


def _samples(words: text.Words) -> Found:
    for at, name in enumerate(words.names):
        yield from _element(name, [row[at] for row in words.rows])
    if not words.rows:
        yield "no_samples", "sheet §10", True, {"element": " ".join(words.names)}


def _size(part: text.TextPart) -> int:
    """How many words a part has."""
    match part:
        case Station(_, kind):
            return 2 if kind is None else 3
        case Step():
            return 1
        case text.Words(names, rows):
            return len(names) * (len(rows) + 1)
        case _:
            return 2


def _station(frame: Frame, address: str, kind: int | None) -> Found:
    if address != frame.station:
        yield "other_station", "sheet §7", False, {"received": address, "expected": frame.station}
    if kind is None:
        yield "no_class", "sheet §7", True, {"function": f"{frame.function:02X}"}
    elif kind not in STATION_CLASSES:
        yield "station_class", "A", False, {"received": f"{kind:02X}"}


def _element(name: str, values: Sequence[str]) -> Found:
    identifier = IDENTIFIERS.get(name)
    if identifier is None:
        known = _FOLDED.get(name.casefold())
        if known is None:
            yield "reserved_element", "C.1", False, {"element": name}
        else:
            yield "element_case", "C.1", False, {"received": name, "expected": known}
            identifier = IDENTIFIERS[known]
    for value in values:
        if not _is_value(identifier, value):
            yield "word_number", _RULE, True, {"element": name, "received": value}


def _is_value(identifier: bytes | None, value: str) -> bool:
    if value == text.MISSING:
        return True
    if identifier == STATUS:
        return len(value) == _STATUS_DIGITS and bool(_HEX.fullmatch(value))
    if identifier is not None and array_size(identifier):
        return len(value) == 2 * array_size(identifier) and bool(_HEX.fullmatch(value))
    return bool(_NUMBER.fullmatch(value))


def has_voltage(frame: Frame) -> bool:
    """Whether the supply voltage is among the words."""
    return any(
        (isinstance(part, text.Word) and part.name == _VOLTAGE)
        or (isinstance(part, text.Words) and _VOLTAGE in part.names)
        for part in text.read(frame)
    )


def observed_digits(frame: Frame) -> list[str]:
    """The observation times, those that are one."""
    return [part.digits for part in text.read(frame) if isinstance(part, ObservedAt)]
