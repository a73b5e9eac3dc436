"""Judges the payload of `qushui/STATION/rounds`: which rounds it holds, and what is wrong with it, by name. Pure.

The payload is a JSON array of rounds, plain or zlib-compressed; a receiver trusts nothing in it. Everything wrong is a
`Complaint`: its code, where it is, and what was found there. A round with a complaint is not kept.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.quantities import FLAGS, QUANTITIES, STATUS

MAXIMUM_JSON_BYTES = 16_000_000  # a compressed megabyte can unfold to a gigabyte
ZLIB_CONTENT_TYPE = "application/json+zlib"

_ZLIB_HEAD = 0x78  # RFC 1950: deflate, 32 kB window; no JSON text begins with it
_DETAIL_CHARACTERS = 120
_KEYS = frozenset({"id", "meter", "at", "slot", "resent", "values", "quality"})
_SOURCE = {  # what an intake's reading rests on: allowed, and what each of them has to be
    "origin": str, "coefficient": str, "model": str, "u": str, "from": str, "to": str, "flags": list, "qc": int,
}  # fmt: skip
_ORIGINS = frozenset({"measured", "derived", "manual"})
_ID = re.compile(r"[0-9a-f]{8}-[1-9][0-9]{0,17}")
_METER = re.compile(r"[a-z0-9-]{1,32}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(Z|[+-]\d\d:\d\d)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_REASON = re.compile(r"[A-Z][A-Z0-9_]*")


class Fall(StrEnum):
    """What a vendor can do wrong, each with the clause of the payload's description it breaks."""

    NOT_ZLIB = "NOT_ZLIB"  # content type json+zlib: one complete zlib stream
    NOT_JSON = "NOT_JSON"  # UTF-8 JSON, no NaN, no key twice
    TOO_LARGE = "TOO_LARGE"  # at most 16 MB of JSON
    NOT_ROUNDS = "NOT_ROUNDS"  # a JSON array of objects, not empty
    MISSING_KEY = "MISSING_KEY"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    BAD_ID = "BAD_ID"  # id: EPOCH-ROUND, 8 hex digits and a number from 1
    BAD_METER = "BAD_METER"  # meter: [a-z0-9-]{1,32}
    BAD_TIME = "BAD_TIME"  # at, slot: ISO 8601 with offset, or both null; the slot is not after at
    BAD_RESENT = "BAD_RESENT"  # resent: true or false
    UNKNOWN_QUANTITY = "UNKNOWN_QUANTITY"
    BAD_VALUE = "BAD_VALUE"  # decimal text, null, or for status a list of flags
    VALUE_WITHOUT_REASON = "VALUE_WITHOUT_REASON"  # null has its reason in quality
    BAD_SOURCE = "BAD_SOURCE"  # origin … qc: of an intake's reading, as the schema has them
    BAD_QUALITY = "BAD_QUALITY"  # quality: a quantity of this round to its reasons
    WRONG_TOPIC = "WRONG_TOPIC"  # qushui/STATION/rounds, …/state and …/head
    CHANGED_REPEAT = "CHANGED_REPEAT"  # one id, one content, for ever


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong: its code, the round's id (or "" where there is none) and what was found."""

    code: Fall
    id: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRound:
    """A round as published, checked. Values are decimal text, flags or None.

    `source`: what an intake's reading rests on; empty for a meter's.
    """

    id: str
    meter: str
    at: str | None
    slot: str | None
    resent: bool
    values: Mapping[str, str | list[str] | None]
    quality: Mapping[str, list[str]]
    source: Mapping[str, object] = field(default_factory=dict)

    @property
    def epoch(self) -> str:
        """Which database the round was numbered in."""
        return self.id[:8]

    @property
    def number(self) -> int:
        """The round's number in its epoch."""
        return int(self.id[9:])


def judge(payload: bytes, content_type: str | None) -> tuple[list[PublishedRound], list[Complaint]]:
    """The sound rounds of a message and everything wrong with the others."""
    rounds: list[PublishedRound] = []
    complaints: list[Complaint] = []
    try:
        found = json.loads(
            _unpacked(payload, content_type).decode(), object_pairs_hook=_without_doubles, parse_constant=_no_constant
        )
    except zlib.error as error:
        return rounds, [Complaint(Fall.NOT_ZLIB, "", str(error))]
    except _TooLargeError as error:
        return rounds, [Complaint(Fall.TOO_LARGE, "", str(error))]
    except (ValueError, RecursionError) as error:
        return rounds, [Complaint(Fall.NOT_JSON, "", _short(error))]
    if not isinstance(found, list) or not found:
        return rounds, [Complaint(Fall.NOT_ROUNDS, "", _short(found))]
    for each in found:
        wrong = [Complaint(code, _id_of(each), _short(detail)) for code, detail in _falls(each)]
        if wrong:
            complaints += wrong
        else:
            source = {key: each.pop(key) for key in sorted(_SOURCE.keys() & each.keys())}
            rounds.append(PublishedRound(**each, source=source))
    return rounds, complaints


def milliseconds_of(at: str) -> int:
    """UTC ms since 1970 of an ISO time with offset. Raises ValueError."""
    return round(datetime.fromisoformat(at).timestamp() * 1000)


class _TooLargeError(Exception):
    """More JSON than a message may hold."""


def _unpacked(payload: bytes, content_type: str | None) -> bytes:
    is_packed = content_type == ZLIB_CONTENT_TYPE or (content_type is None and payload[:1] == bytes((_ZLIB_HEAD,)))
    if is_packed:
        unpacker = zlib.decompressobj()
        payload = unpacker.decompress(payload, MAXIMUM_JSON_BYTES + 1)
        if len(payload) <= MAXIMUM_JSON_BYTES and (not unpacker.eof or unpacker.unused_data):
            raise zlib.error("the stream is cut, or something follows it")
    if len(payload) > MAXIMUM_JSON_BYTES:
        raise _TooLargeError(f"more than {MAXIMUM_JSON_BYTES} bytes of JSON")
    return payload


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key twice among {[key for key, _ in pairs]}")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _falls(found: object) -> Iterator[tuple[Fall, object]]:
    if not isinstance(found, dict):
        yield Fall.NOT_ROUNDS, found
        return
    for key in sorted(_KEYS - found.keys()):
        yield Fall.MISSING_KEY, key
    for key in sorted(found.keys() - _KEYS - _SOURCE.keys()):
        yield Fall.UNKNOWN_KEY, key
    for key, kind in _SOURCE.items():
        if key in found and (not isinstance(found[key], kind) or (key == "origin" and found[key] not in _ORIGINS)):
            yield Fall.BAD_SOURCE, f"{key}: {found[key]}"
    if found.keys() >= _KEYS:
        if not _fits(_ID, found["id"]):
            yield Fall.BAD_ID, found["id"]
        if not _fits(_METER, found["meter"]):
            yield Fall.BAD_METER, found["meter"]
        if not isinstance(found["resent"], bool):
            yield Fall.BAD_RESENT, found["resent"]
        yield from _time_falls(found["at"], found["slot"])
        yield from _value_falls(found["values"], found["quality"])


def _fits(pattern: re.Pattern[str], found: object) -> bool:
    return isinstance(found, str) and pattern.fullmatch(found) is not None


def _time_falls(at: object, slot: object) -> Iterator[tuple[Fall, object]]:
    if at is None and slot is None:  # a boot that never had a date, where the station lets it go undated
        return
    try:
        is_good = _fits(_TIME, at) and _fits(_TIME, slot) and milliseconds_of(str(slot)) <= milliseconds_of(str(at))
    except ValueError:  # the 30th of February
        is_good = False
    if not is_good:
        yield Fall.BAD_TIME, f"at {at}, slot {slot}"


def _value_falls(values: object, quality: object) -> Iterator[tuple[Fall, object]]:
    if not isinstance(values, dict) or not values:
        yield Fall.BAD_VALUE, values
        return
    if not isinstance(quality, dict):
        yield Fall.BAD_QUALITY, quality
        return
    for quantity, reasons in quality.items():
        if quantity not in values or not _are_reasons(reasons):
            yield Fall.BAD_QUALITY, f"{quantity}: {reasons}"
    for quantity, value in values.items():
        if quantity not in QUANTITIES:
            yield Fall.UNKNOWN_QUANTITY, quantity
        elif value is None:
            if quantity not in quality:
                yield Fall.VALUE_WITHOUT_REASON, quantity
        elif not (_are_flags(value) if quantity == STATUS else _fits(_NUMBER, value)):
            yield Fall.BAD_VALUE, f"{quantity}: {value}"


def _are_reasons(found: object) -> bool:
    return isinstance(found, list) and bool(found) and all(_fits(_REASON, each) for each in found)


def _are_flags(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(each, str) and each in FLAGS for each in found)


def _id_of(found: object) -> str:
    candidate = found.get("id") if isinstance(found, dict) else None
    return candidate if isinstance(candidate, str) and _ID.fullmatch(candidate) else ""


def _short(found: object) -> str:
    return str(found)[:_DETAIL_CHARACTERS]
