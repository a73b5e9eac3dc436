"""In which ways the bytes of an answer may be read: the items that a probe tries, protocol by protocol. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from drivers.octets import crc16

Spec = Mapping[str, Any]
"""A protocol's part of a profile entry."""
Image = Mapping[str, Any]
"""The memory of one meter, as `Driver.recall` proves it."""

_MODBUS_KINDS = {  # registers of each type
    "u16": 1, "i16": 1, "bcd16": 1, "u32": 2, "i32": 2, "f32": 2, "bcd32": 2, "u48": 3, "i48": 3, "bcd48": 3,
    "u64": 4, "i64": 4, "f64": 4, "bcd64": 4,
}  # fmt: skip
_ORDERS = ("abcd", "cdab", "badc", "dcba")
_SHORT_ORDERS = ("abcd", "badc")  # one register has two
_TCP_HEAD = 6  # of a Modbus TCP frame, before the unit
_LAST_SERIAL_ADDRESS = 247  # Modbus over serial line V1.02, 2.2
_BCD_SIZES = (2, 3, 4)
_WHOLE_SIZES = (1, 2, 4)
_MOST_SIZE = 8
_CJT_HEAD = 3  # identifier and serial number, before a record


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """How one protocol is probed: `questions` are items whose answers hold the bytes at a place that somebody named,
    `specs` all ways to read what `Driver.recall` makes of them.
    """

    questions: Callable[[Mapping[str, Any]], list[Spec]]
    specs: Callable[[Image], Iterator[Spec]]


def rtu_frame(framing: str, frame: bytes) -> bytes:
    """The frame as on a serial line, as recordings hold it: a Modbus TCP frame gets a check sum for its head.

    A unit number that no serial meter has (0, above 247) becomes 1.
    """
    if framing != "tcp":
        return frame
    unit = frame[_TCP_HEAD] if 0 < frame[_TCP_HEAD] <= _LAST_SERIAL_ADDRESS else 1
    body = bytes([unit]) + frame[_TCP_HEAD + 1 :]
    return body + crc16(body)


def _modbus_questions(where: Mapping[str, Any]) -> list[Spec]:
    kind = "bit" if where["table"] in {"coil", "discrete"} else "u16"
    registers = range(where["from"], where["from"] + where["count"])
    missing: Spec = {} if kind == "bit" else {"missing": []}
    return [{"table": where["table"], "register": register, "type": kind, **missing} for register in registers]


def _modbus_specs(image: Image) -> Iterator[Spec]:
    for table, words in image.items():
        for register in sorted(words):
            if table in {"coil", "discrete"}:
                yield {"table": table, "register": register}
                continue
            for kind, count in _MODBUS_KINDS.items():
                if all(register + at in words for at in range(count)):
                    for order in _SHORT_ORDERS if count == 1 else _ORDERS:
                        yield {"table": table, "register": register, "type": kind, "order": order}


def _dlt645_questions(where: Mapping[str, Any]) -> list[Spec]:
    return [{"id": identifier, "type": "bits", "size": 1} for identifier in where["ids"]]


def _dlt645_specs(image: Image) -> Iterator[Spec]:
    for identifier, data in image.items():
        for size in dict.fromkeys((min(len(data), _MOST_SIZE), *_BCD_SIZES)):  # all of it, where it is one number
            for place in range(len(data) // size):
                shared = {"id": identifier, "size": size, **({"place": place} if place else {})}
                yield {**shared, "type": "bcd"}
                yield {**shared, "type": "bcd", "signed": True}
                if size in _WHOLE_SIZES:
                    yield {**shared, "type": "bits"}


def _cjt188_questions(where: Mapping[str, Any]) -> list[Spec]:
    return [
        {"id": identifier, "field": "uint", "at": _CJT_HEAD, "size": 1, "meter_type": "AA"}
        for identifier in where["ids"]
    ]


def _cjt188_specs(image: Image) -> Iterator[Spec]:
    for identifier, record in image.items():
        if not isinstance(record, bytes):
            continue
        shared = {"id": identifier, "meter_type": image.get("meter_type", "AA")}
        if identifier == "901F":
            yield from ({**shared, "field": field} for field in ("total", "settlement_total", "status"))
        for at in range(_CJT_HEAD, _CJT_HEAD + len(record)):
            rest = _CJT_HEAD + len(record) - at
            yield from ({**shared, "field": "bcd", "at": at, "size": size} for size in _BCD_SIZES if size <= rest)
            yield from ({**shared, "field": "uint", "at": at, "size": size} for size in _WHOLE_SIZES if size <= rest)


VIEWS: Mapping[str, Views] = MappingProxyType(
    {
        "modbus": Views(questions=_modbus_questions, specs=_modbus_specs),
        "dlt645": Views(questions=_dlt645_questions, specs=_dlt645_specs),
        "cjt188": Views(questions=_cjt188_questions, specs=_cjt188_specs),
    }
)
"""Protocol name to how it is probed."""
