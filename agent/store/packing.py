"""How a round lies in its row: decimal texts at two characters a byte, reasons, raw replies. Pure.

Strategy: the half-bytes of a body are its characters, so that `hex(body)` in any SQLite shell is readable: digits are
themselves, C is the comma, D the dot, B the minus (below zero), A a value that is absent, F fills the last byte.
`1234.5,,-0.7` with the middle value absent is `1234D5CACB0D7F`. Whatever is not of this alphabet (an exponent, NaN)
is refused before it is numbered. Reasons are grouped, since a dead meter has one for all of its quantities.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from decimal import Decimal

from agent.model import Layout, QualityMap, Value
from agent.quantities import STATUS

_ABSENT = "~"
_TO_HEX = bytes.maketrans(b",.-~", b"cdba")
_FROM_HEX = bytes.maketrans(b"cdba", b",.-~")
_FILL = b"f"
_FROM_SQL = bytes.maketrans(b"CDBA", b",.-~")
_FILL_SQL = b"F"
_NOT_DECIMAL = b"abcdefABCDEF"  # would pass for half-bytes; anything else foreign stops unhexlify
_EVERY = "*"
_MORE = 0x80  # LEB128: another 7 bits follow
_BITS = 7


def pack(layout: Layout, values: Sequence[Value]) -> bytes:
    """The body of a round: its values in the order of `layout.quantities`, a status as its mask over `layout.flags`.

    Raises ValueError for a value that is no finite decimal, for a flag that the layout does not have, and when the
    numbers of values and quantities differ.
    """
    if len(values) != len(layout.quantities):
        raise ValueError(f"{len(values)} values for {len(layout.quantities)} quantities")
    if STATUS in layout.quantities:
        values = [_mask(layout, value) if isinstance(value, frozenset) else value for value in values]
    text = ",".join(map(str, values))
    if "N" in text or "E" in text:  # "None", and an exponent: the rarer spellings are written out
        text = ",".join(_ABSENT if value is None else format(value, "f") for value in values)
    return _packed(text)


def pack_texts(texts: Sequence[str | None]) -> bytes:
    """The body of these decimal texts; the inverse of `unpack`. Raises ValueError for other characters."""
    return _packed(",".join(_ABSENT if text is None else text for text in texts))


def unpack(body: bytes) -> tuple[str | None, ...]:
    """The decimal texts of a body, None where the value is absent."""
    return _split(binascii.hexlify(body).translate(_FROM_HEX, _FILL).decode("ascii"))


def unpack_many(bodies: str) -> list[tuple[str | None, ...]]:
    """As `unpack`, of many bodies as SQLite's `hex` writes them, with a space between two."""
    return [_split(text) for text in bodies.encode("ascii").translate(_FROM_SQL, _FILL_SQL).decode("ascii").split(" ")]


def _split(text: str) -> tuple[str | None, ...]:
    if _ABSENT in text:
        return tuple([None if each == _ABSENT else each for each in text.split(",")])
    return tuple(text.split(",")) if text else ()


def _packed(text: str) -> bytes:
    data = text.encode("ascii")
    if len(data.translate(None, _NOT_DECIMAL)) != len(data):
        raise ValueError(f"not decimal: {text}")
    data = data.translate(_TO_HEX)
    return binascii.unhexlify(data + _FILL if len(data) % 2 else data)


def _mask(layout: Layout, flags: frozenset[str]) -> Decimal:
    """The status value as a bit mask over the layout's flags, lowest first."""
    return Decimal(sum(1 << layout.flags.index(flag) for flag in flags))


def pack_quality(layout: Layout, quality: QualityMap) -> str | None:
    """Reasons and the positions that have them, `NO_REPLY:*;OUT_OF_RANGE+NEGATIVE_DELTA:0,3`; None: all is GOOD."""
    if not quality:
        return None
    places: dict[tuple[str, ...], list[str]] = {}
    for name, reasons in quality.items():
        if reasons:
            places.setdefault(tuple(reasons), []).append(str(layout.quantities.index(name)))
    everywhere = len(layout.quantities)
    groups = (
        f"{'+'.join(reasons)}:{_EVERY if len(where) == everywhere else ','.join(where)}"
        for reasons, where in places.items()
    )
    return ";".join(groups) or None


def unpack_quality(layout: Layout, text: str) -> dict[str, tuple[str, ...]]:
    """The inverse of `pack_quality`, by name, in the order of the layout."""
    found: dict[int, tuple[str, ...]] = {}
    for group in text.split(";"):
        reasons, _, where = group.partition(":")
        places = range(len(layout.quantities)) if where == _EVERY else map(int, where.split(","))
        found.update(dict.fromkeys(places, tuple(reasons.split("+"))))
    return {layout.quantities[place]: found[place] for place in sorted(found)}


def pack_raw(replies: Sequence[bytes]) -> bytes:
    """Byte strings, each behind its length (LEB128)."""
    return b"".join([_length(len(reply)) + reply for reply in replies])


def unpack_raw(data: bytes) -> tuple[bytes, ...]:
    """The inverse of `pack_raw`."""
    replies: list[bytes] = []
    at = 0
    while at < len(data):
        size = shift = 0
        more = True
        while more:
            size |= (data[at] & ~_MORE) << shift
            more = bool(data[at] & _MORE)
            shift += _BITS
            at += 1
        replies.append(data[at : at + size])
        at += size
    return tuple(replies)


def _length(size: int) -> bytes:
    if size < _MORE:
        return bytes((size,))
    octets = bytearray()
    while size >= _MORE:
        octets.append(size % _MORE | _MORE)
        size >>= _BITS
    octets.append(size)
    return bytes(octets)


def layout_row(layout: Layout) -> tuple[str, str, str, str, str, str, str, int, bytes]:
    """A layout as the columns of its table, in their order, without the id."""
    return (
        layout.meter,
        layout.profile,
        layout.version,
        layout.protocol,
        layout.address,
        ",".join(layout.quantities),
        ",".join(layout.flags),
        layout.period_ms,
        pack_raw(layout.requests),
    )


def layout_of(row: Sequence[object]) -> Layout:
    """The inverse of `layout_row`."""
    meter, profile, version, protocol, address, quantities, flags, period_ms, requests = row
    assert isinstance(period_ms, int)
    assert isinstance(requests, bytes)
    return Layout(
        meter=str(meter),
        profile=str(profile),
        version=str(version),
        protocol=str(protocol),
        address=str(address),
        quantities=tuple(str(quantities).split(",")) if quantities else (),
        flags=tuple(str(flags).split(",")) if flags else (),
        period_ms=period_ms,
        requests=unpack_raw(requests),
    )
