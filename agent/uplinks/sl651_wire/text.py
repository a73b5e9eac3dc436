"""The body of an ASCII frame: words between blanks. Pure.

Strategy: the text itself is the body, so that it is written as it was read. `read` makes parts of it, as far as its
words can be told apart: in this encoding a value is known by its place only. `compose` writes the parts of a binary
body as words.

Source: SL 651-2014 6.6.2 (words, blanks, names of table C.1; parameters by their hexadecimal number), 6.6.4.4 (samples
by time, M for a missing one).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agent.uplinks.sl651_wire.body import HEADER_SIZE, PARAMETERS, WITH_CLASS, header_of
from agent.uplinks.sl651_wire.codes import STANDARD, BodyError, Dialect, Encoding, Function
from agent.uplinks.sl651_wire.elements import IDENTIFIERS, KINDS, STATUS, Element, Fill, array_size, number_text
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.parts import (
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
)

MISSING = "M"  # 6.6.4.4 d
_HEAD = 2 * HEADER_SIZE
_STEP_WORD = re.compile(r"DR([DHN])(\d\d)")
_STEP_FORMS = {"D": "{}0000", "H": "00{}00", "N": "0000{}"}
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?|M|[0-9A-F]{8,}")
_TEXT_WORD, _PICTURE_WORD, _STATION_WORD, _TIME_WORD = b"RGZS", b"PIC", "ST", "TT"
_SETTING = PARAMETERS - {Function.READ_BASIC, Function.READ_RUN}
_MINUTES = re.compile(r"\d{10}")


@dataclass(frozen=True, slots=True)
class Word:
    """A name and the word behind it."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Words:
    """Samples behind a time step: the elements' names, and for each time a value of each of them."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


TextPart = Station | ObservedAt | Step | Word | Words | ManualText | Picture


def header(frame: Frame) -> Header | None:
    """Serial number and time; None in a minimal acknowledgement and in uplink packets behind the first.

    Raises:
        BodyError: they are not there.
    """
    found = header_of(frame)
    if found is None and frame.payload and not frame.is_follow_up:
        if len(frame.payload) < _HEAD:
            raise BodyError("header", "6.6.1", size=len(frame.payload), expected=_HEAD)
        raise BodyError("header_digits", "6.6.1", received=frame.payload[:_HEAD].decode("ascii", "replace"))
    return found


def body_of(frame: Frame) -> bytes:
    """What stands behind serial number and time."""
    return frame.payload[_HEAD:]


def read(frame: Frame, dialect: Dialect = STANDARD) -> list[TextPart]:
    """The parts of an uplink's text as far as its words can be told apart."""
    raw = body_of(frame)
    parts: list[TextPart] = []
    for word, part in ((_TEXT_WORD, ManualText), (_PICTURE_WORD, Picture)):
        before, found, behind = raw.partition(word + b" ")
        if found and (not before or before.endswith(b" ")):
            return [*_read(before.decode(dialect.text_encoding, "replace").split(), frame), part(behind)]
    parts += _read(raw.decode(dialect.text_encoding, "replace").split(), frame)
    return parts


def _read(words: Sequence[str], frame: Frame) -> list[TextPart]:
    parts: list[TextPart] = []
    at = 0
    while at < len(words):
        word, behind = words[at], words[at + 1 : at + 3]
        step = _STEP_WORD.fullmatch(word)
        if word == _STATION_WORD and behind:
            kind = ord(behind[1]) if frame.function in WITH_CLASS and len(behind) > 1 and len(behind[1]) == 1 else None
            parts.append(Station(behind[0].upper(), kind))
            at += 2 if kind is None else 3
        elif word == _TIME_WORD and behind and _MINUTES.fullmatch(behind[0]):
            parts.append(ObservedAt(behind[0]))
            at += 2
        elif step is not None:
            parts.append(Step(_STEP_FORMS[step[1]].format(step[2])))
            samples, at = _samples(words, at + 1)
            parts.append(samples)
        elif behind:
            parts.append(Word(word, behind[0]))
            at += 2
        else:
            break
    return parts


def _samples(words: Sequence[str], at: int) -> tuple[Words, int]:
    """What a time step announces, and where it ends; an unfinished last row is left out."""
    first = at
    while at < len(words) and not _NUMBER.fullmatch(words[at]):
        at += 1
    names = tuple(words[first:at])
    first = at
    while at < len(words) and _NUMBER.fullmatch(words[at]):
        at += 1
    width = len(names) or 1
    rows = tuple(tuple(words[row : row + width]) for row in range(first, at - width + 1, width))
    return Words(names, rows), at


def compose(parts: Iterable[Part], *, is_parameters: bool = False) -> bytes:
    """The parts as words, a blank behind each. `is_parameters`: identifiers are numbers, not names of table C.1.

    Raises:
        ValueError: for a part that has no form in this encoding.
    """
    words: list[bytes] = []
    series: list[Series] = []
    for part in parts:
        if isinstance(part, Series):
            series.append(part)
            continue
        words += _sampled(series)
        series = []
        words += _words(part, is_parameters=is_parameters)
    words += _sampled(series)
    return b"".join(word + b" " for word in words)


def _sampled(series: Sequence[Series]) -> list[bytes]:
    """All names, then all values of the first time, of the second …"""
    columns = [[_value(element) for element in each.elements] for each in series]
    if not columns:
        return []
    rows = zip(*columns, strict=True)
    return [_name(each.identifier).encode("ascii") for each in series] + [
        value.encode("ascii") for row in rows for value in row
    ]


def _words(part: Part, *, is_parameters: bool) -> list[bytes]:
    match part:
        case Version(text):
            return [b"%02X" % len(text), text]
        case ManualText(text):
            return [_TEXT_WORD, text]
        case Picture(data):
            return [_PICTURE_WORD, data]
        case Element(identifier):
            return [_name(identifier, is_parameters=is_parameters).encode("ascii"), _value(part).encode("ascii")]
        case Wanted(identifier):
            return [_name(identifier, is_parameters=is_parameters).encode("ascii")]
        case _:
            return [word.encode("ascii") for word in _plain_words(part)]


def _plain_words(part: Part) -> list[str]:
    match part:
        case Station(address, kind):
            return [_STATION_WORD, address, *([] if kind is None else [chr(kind)])]
        case ObservedAt(digits):
            return [_TIME_WORD, digits]
        case Step(digits):
            unit = next((unit for unit, at in (("D", 0), ("H", 2)) if digits[at : at + 2] != "00"), "N")
            return [f"DR{unit}{digits['DHN'.index(unit) * 2 :][:2]}"]
        case Period(first, last):
            return [first, last]
        case Events(counts):
            return [f"{count:04X}" for count in counts]
        case Raw(data):
            return [data.hex().upper()]
        case _:
            raise ValueError(f"{type(part).__name__} has no words of its own")


def _name(identifier: bytes, *, is_parameters: bool = False) -> str:
    kind = None if is_parameters else KINDS.get(identifier)
    return identifier.hex().upper() if kind is None else kind.name


def _value(element: Element) -> str:
    if element.identifier == STATUS or array_size(element.identifier):
        return element.data.hex().upper()
    value = element.value
    if isinstance(value, Fill):
        return MISSING
    return element.data.hex().upper() if value is None else number_text(value)


def requested(frame: Frame, dialect: Dialect = STANDARD) -> list[Part | Word]:
    """What a down frame asks for or sets: Period, Step, Wanted; a Word where a value follows (40, 42, 49)."""
    words = body_of(frame).decode(dialect.text_encoding, "replace").split()
    found: list[Part | Word] = []
    if len(words) > 1 and all(re.fullmatch(r"\d{8}", word) for word in words[:2]):
        found.append(Period(words[0], words[1]))
        words = words[2:]
    if frame.function in _SETTING:
        return found + [Word(name, value) for name, value in zip(words[::2], words[1::2], strict=False)]
    is_parameters = frame.function in {Function.READ_BASIC, Function.READ_RUN}
    for word in words:
        step = _STEP_WORD.fullmatch(word)
        if step is not None:
            found.append(Step(_STEP_FORMS[step[1]].format(step[2])))
        elif word in IDENTIFIERS and not is_parameters:
            found.append(Wanted(IDENTIFIERS[word], 0))
        elif re.fullmatch(r"(?:[0-9A-Fa-f]{2}){1,2}", word):
            found.append(Wanted(bytes.fromhex(word), 0))
        else:
            raise BodyError("word", "6.6.2.2", received=word)
    return found


def number_word(word: Word) -> Decimal | None:
    """The value of a word; None where it is M."""
    if word.value == MISSING:
        return None
    try:
        return Decimal(word.value)
    except ArithmeticError:
        raise BodyError("word", "6.6.2.2", received=word.value) from None


def payload_of(body: Body, encoding: Encoding, function: int) -> bytes:
    """The payload of a frame with `body` in either encoding."""
    if encoding is Encoding.BINARY:
        return body.encode()
    head = b"" if body.header is None else body.header.encode_text()
    return head + compose(body.parts, is_parameters=function in PARAMETERS)
