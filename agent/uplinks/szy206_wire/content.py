"""Bodies of SZY206 frames as fields, and fields as bodies: data, password, time tag. Pure.

A frame does not announce its password and time tag. They are found by length, in the order that the sources give, and a
time tag is one only where it is a valid time; what is left must be a body of its AFN. A few lengths fit two editions:
there the older is taken, unless the dialect names the edition.

Source: SZY206, additional information; AFN by AFN in `layouts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.uplinks.szy206_wire.codecs import Content, Unread, hex_bytes
from agent.uplinks.szy206_wire.frame import HEAD, TAIL, Frame
from agent.uplinks.szy206_wire.items import Rules
from agent.uplinks.szy206_wire.layouts import WITH_ITEMS, layouts_of
from agent.uplinks.szy206_wire.names import (
    CONFIRMED,
    REPORTS,
    STANDARD,
    Afn,
    ByteOrder,
    ContentError,
    Dialect,
    Edition,
    Kind,
    is_setting,
    kind_name,
)
from agent.uplinks.szy206_wire.times import LONG_TAG, SHORT_TAG, read_tag, write_tag

PASSWORD: Final = 2
_EDITIONS = {SHORT_TAG: Edition.SZY206, LONG_TAG: Edition.SLT427}
_KIB_TEXT = "1 KiB of image bytes, not the user-data length"


@dataclass(frozen=True, slots=True)
class _Tail:
    """What may stand behind the data: a password, a time tag of so many bytes (0: none)."""

    password: int
    tag: int


_NOTHING = _Tail(0, 0)
_LINK_TAILS = (_NOTHING, _Tail(PASSWORD, SHORT_TAG))
_SETTING_TAILS = (_Tail(PASSWORD, SHORT_TAG), _Tail(PASSWORD, LONG_TAG), _NOTHING)
_REPORT_TAILS = (_Tail(0, SHORT_TAG), _Tail(0, LONG_TAG), _NOTHING)
# Behind the mode byte 7 bytes are a time tag, never a password and a short one: often both would be valid times.
_CONFIRM_TAILS = (_NOTHING, _Tail(0, SHORT_TAG), _Tail(0, LONG_TAG), _Tail(PASSWORD, 0))


def decode(frame: Frame, dialect: Dialect = STANDARD) -> Content:
    """The fields of a frame's body; numbers are Decimals.

    `data_fits` is False, and nothing else there, where the body is none of its AFN. `unreadable` lists the bytes (hex)
    of numbers and times that are none; their value is None. Parts of split messages, composites and AFNs without a
    known body have no fields.
    """
    if frame.is_image:
        total = len(frame.user_data) + HEAD + TAIL
        return {"L_unit": _KIB_TEXT, "declared_block_len": frame.block_length, "total_bytes": total}
    if frame.divs is not None or _is_composite(frame):
        return {}
    # The first counts; but a report of kind 13 is alarm and state, with a voltage only where it cannot be that.
    found = min(
        _readings(frame, dialect), key=lambda read: frame.afn in CONFIRMED and "voltage_v" in read, default=None
    )
    content: Content = {"data_fits": False} if found is None else found
    if frame.afn == Afn.QUERY_REALTIME and not frame.is_up:
        edition = Edition.SZY206 if dialect.edition is Edition.AUTO else dialect.edition
        content["query"] = kind_name(frame.func, edition)
    return content


def _is_composite(frame: Frame) -> bool:
    return frame.is_up and frame.func == Kind.COMPOSITE and frame.afn in WITH_ITEMS


def _readings(frame: Frame, dialect: Dialect) -> Iterator[Content]:
    """The ways to read the body, the one that counts first."""
    for tail in _tails(frame, dialect):
        size = len(frame.body) - tail.password - tail.tag
        tag = read_tag(frame.body[-tail.tag :], high_first=_high(dialect)) if tail.tag and size >= 0 else None
        if size < 0 or (tail.tag and tag is None):
            continue
        content = _data(frame, frame.body[:size], Rules(_edition(dialect, tail.tag), dialect))
        if content is None:
            continue
        if tail.password:
            content["pw_hex"] = frame.body[size : size + tail.password].hex().upper()
        if tag is not None or (frame.is_up and frame.afn in REPORTS):
            content["tp"] = tag
        yield content


def _tails(frame: Frame, dialect: Dialect) -> Iterator[_Tail]:
    tails: tuple[_Tail, ...] = (_NOTHING,)
    if frame.afn == Afn.LINK:
        tails = _LINK_TAILS
    elif frame.is_up:
        tails = _REPORT_TAILS if frame.afn in REPORTS else tails
    elif frame.afn in CONFIRMED:
        tails = _CONFIRM_TAILS
    elif is_setting(frame.afn):
        tails = _SETTING_TAILS
    for tail in tails:
        is_other = tail.tag and dialect.edition not in {Edition.AUTO, _EDITIONS[tail.tag]}
        is_later = tail.tag == LONG_TAG and _high(dialect) and dialect.edition is Edition.AUTO
        if not (is_other or is_later):
            yield tail


def _high(dialect: Dialect) -> bool:
    return dialect.byte_order is ByteOrder.HIGH


def _edition(dialect: Dialect, tag: int) -> Edition:
    return _EDITIONS.get(tag, Edition.SZY206) if dialect.edition is Edition.AUTO else dialect.edition


def _data(frame: Frame, data: bytes, rules: Rules) -> Content | None:
    """The fields of the data without password and time tag; None where it is no such data."""
    kind = data[0] >> 4 if data else None
    layouts = layouts_of(is_up=frame.is_up, afn=frame.afn, func=frame.func, rules=rules, kind=kind)
    if layouts is None:
        return {}
    for layout in layouts:
        unread: Unread = []
        content = layout.read(data, unread)
        if content is not None:
            content |= _records(content, rules)
            return content | ({"unreadable": unread} if unread else {})
    return None


def _records(content: Content, rules: Rules) -> Content:
    """What is said about the records of a stored series."""
    known = rules.stored(content["kind"]) if "records" in content else None
    return {} if known is None else {"record_size": known[0].size, "record_unit": known[1]}


def compose(content: Mapping[str, Any], *, is_up: bool, afn: int, func: int = 0, dialect: Dialect = STANDARD) -> bytes:
    """The body of a frame with these fields, the inverse of `decode`; keys that only explain may be left out.

    Without an edition in the dialect, a time tag tells it: `time` is 2021, `sec min hour day` 206, none is 206.

    Raises:
        ContentError: a field is missing, is not one of this AFN's, or does not fit.
    """
    tag = content.get("tp")
    written = b"" if tag is None else _composed_tag(tag, dialect)
    rules = Rules(_edition(dialect, len(written)), dialect)
    layouts = layouts_of(is_up=is_up, afn=afn, func=func, rules=rules, kind=content.get("kind"))
    if layouts is None:
        raise ContentError(f"no layout is known for AFN {afn:02X}")
    password = hex_bytes(content["pw_hex"], PASSWORD) if "pw_hex" in content else b""
    missing = ""
    for layout in layouts:
        try:
            data = layout.write(content)
        except KeyError as error:
            missing = str(error)
            continue
        return data + password + written
    raise ContentError(f"AFN {afn:02X} needs {missing}")


def _composed_tag(tag: Mapping[str, Any], dialect: Dialect) -> bytes:
    try:
        written = write_tag(tag, high_first=_high(dialect))
    except KeyError as error:
        raise ContentError(f"the time tag needs {error}") from error
    if dialect.edition not in {Edition.AUTO, _EDITIONS[len(written)]}:
        raise ContentError(f"a time tag of {len(written)} bytes is not one of edition {dialect.edition}")
    return written
