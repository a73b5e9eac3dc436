"""A frame as one flat object, and back: what `qushui frame szy206` prints. Pure.

The keys are those of `docs/reference/szy206.en.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from agent.uplinks.szy206_wire.codecs import Content, hex_bytes
from agent.uplinks.szy206_wire.content import compose, decode
from agent.uplinks.szy206_wire.frame import ADDRESS, FIRST_FCB, Frame, parse
from agent.uplinks.szy206_wire.names import (
    STANDARD,
    AlarmOrder,
    ByteOrder,
    ContentError,
    Dialect,
    Edition,
    FlowBlock,
    FrameError,
)
from agent.uplinks.szy206_wire.words import OWN_ADDRESS

EDITIONS: Final = tuple(edition.value for edition in Edition)
OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "byte_order": tuple(order.value for order in ByteOrder),
        "flow_block": tuple(block.value for block in FlowBlock),
        "alarm_order": tuple(order.value for order in AlarmOrder),
    }
)
_OF_THE_FRAME = frozenset(
    {"L", "C", "dir", "div", "fcb", "func", "divs", "address", "admin_code", "station_le", "station_code"}
    | {"afn", "body", "cs"}
)


def fields_of(
    data: bytes,
    edition: str = EDITIONS[0],
    *,
    byte_order: str | None = None,
    flow_block: str | None = None,
    alarm_order: str | None = None,
) -> dict[str, Any]:
    """The fields of the frame that `data` is, ready for JSON: numbers are int or float of the exact decimal text.

    The options are those of `OPTIONS`; None is the default. Where `data` is no sound frame there is `error` alone,
    {code, arguments}.
    """
    dialect = Dialect(
        edition=Edition(edition),
        byte_order=ByteOrder(byte_order or ByteOrder.LOW),
        flow_block=FlowBlock(flow_block or FlowBlock.A),
        alarm_order=AlarmOrder(alarm_order or AlarmOrder.FIRST),
    )
    try:
        fields: dict[str, Any] = _plain(fields_of_frame(parse(data), dialect))
    except FrameError as wrong:
        return {"error": {"code": wrong.code, "arguments": wrong.arguments}}
    return fields


def fields_of_frame(frame: Frame, dialect: Dialect = STANDARD) -> Content:
    """The fields of a frame; numbers are Decimals."""
    fields: Content = {
        "L": frame.length,
        "C": f"{frame.control:02X}",
        "dir": int(frame.is_up),
        "div": int(frame.divs is not None),
        "fcb": frame.fcb,
        "func": frame.func,
    }
    if frame.divs is not None:
        fields["divs"] = frame.divs
    fields["address"] = frame.address.hex().upper()
    fields |= OWN_ADDRESS.read(frame.address, [])
    fields |= {"afn": f"{frame.afn:02X}", "body": frame.body.hex().upper(), "cs": f"{frame.check:02X}"}
    return fields | decode(frame, dialect)


def frame_of(fields: Mapping[str, Any], dialect: Dialect = STANDARD) -> Frame:
    """The frame with these fields.

    `afn` and an address are needed; `dir` and `func` count 0, `fcb` 3 where they are not given, and `C`, `L`, `cs` are
    made. A `body` is kept where it says what the other keys say: some fields can be sent in several ways, and some
    frames have no other fields. Else the body is made from them.

    Raises:
        ContentError: a field is missing, unknown or does not fit.
    """
    content = {key: _exact(value) for key, value in fields.items() if key not in _OF_THE_FRAME}
    try:
        bare = Frame(
            is_up=bool(fields.get("dir", 0)),
            func=fields.get("func", 0),
            fcb=fields.get("fcb", FIRST_FCB),
            divs=fields.get("divs"),
            address=hex_bytes(fields["address"], ADDRESS) if "address" in fields else OWN_ADDRESS.write(fields),
            afn=hex_bytes(fields["afn"], 1)[0],
            is_image="declared_block_len" in fields,
        )
    except KeyError as error:
        raise ContentError(f"a frame needs {error}") from error
    if "body" in fields:
        kept = replace(bare, body=hex_bytes(fields["body"], len(fields["body"]) // 2))
        said = decode(kept, dialect)
        if all(key in said and said[key] == value for key, value in content.items()):
            return kept
    made = replace(bare, body=compose(content, is_up=bare.is_up, afn=bare.afn, func=bare.func, dialect=dialect))
    unknown = content.keys() - decode(made, dialect).keys() - {"tp"}
    if unknown:
        raise ContentError(f"AFN {bare.afn:02X} has no {', '.join(sorted(unknown))}")
    return made


def _exact(value: Any) -> Any:
    """`value` with each float as the decimal that its shortest text is."""
    match value:
        case float():
            return Decimal(repr(value))
        case dict():
            return {key: _exact(each) for key, each in value.items()}
        case list():
            return [_exact(each) for each in value]
    return value


def _plain(value: Any) -> Any:
    """`value` with each Decimal as the int or float that JSON has for it."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
    return value
