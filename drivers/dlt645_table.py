"""What the data identifiers of DL/T 645 stand for: format, sign and unit, and which block holds which of them. Pure.

Only what at least two public sources agree on, or what is marked in `docs/reference/dlt645.en.md`; a profile reads any
other identifier by saying its digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

EDITION_1997, EDITION_2007 = "1997", "2007"
_LAST_TARIFF = 0x3F
_LAST_SETTLEMENT = 0x0C
_BLOCK = 0xFF
_BLOCK_1997 = 0x0F
_WORDS = 7


@dataclass(frozen=True, slots=True)
class Field:
    """The format of one identifier. `kind`: `bcd` a number of `size` bytes with `decimals` behind the point, `bits` a
    status word, `date`, `time`, `moment` (with date), `name` digits that are no number, `text`.

    A block holds as many of them one after the other as there are, `most` at most (0: no limit).
    """

    kind: str
    size: int
    decimals: int = 0
    signed: bool = False
    unit: str = ""
    is_block: bool = False
    most: int = 1


def edition_of(identifier: str) -> str:
    """The edition an identifier belongs to: four hex digits are 1997, eight are 2007."""
    return EDITION_1997 if len(identifier) == 4 else EDITION_2007  # noqa: PLR2004 - two bytes


def field_of(identifier: str) -> Field | None:
    """The format of an identifier as written (DI3…DI0, or DI1 DI0); None for one that is not in the tables."""
    if edition_of(identifier) == EDITION_1997:
        return _field_1997(identifier)
    if identifier in _LISTED:
        return _LISTED[identifier]
    di3, di2, di1, di0 = bytes.fromhex(identifier)
    if di3 == 0x00 and di2 in _ENERGY:
        return _energy_field(di2, di1, di0)
    if di3 == 0x02 and di2 in _INSTANT and di0 == 0x00:  # noqa: PLR2004 - the number is the standard's
        field, first = _INSTANT[di2]
        if di1 == _BLOCK:
            return replace(field, is_block=True, most=4 - first)
        return field if first <= di1 <= 3 else None  # noqa: PLR2004 - phase C
    return None


def _energy_field(di2: int, di1: int, di0: int) -> Field | None:
    if not (di1 <= _LAST_TARIFF or di1 == _BLOCK) or not (di0 <= _LAST_SETTLEMENT or di0 == _BLOCK):
        return None
    is_block = _BLOCK in {di1, di0}
    return replace(_ENERGY[di2], is_block=is_block, most=0 if is_block else 1)


def _field_1997(identifier: str) -> Field | None:
    if identifier in _LISTED_1997:
        return _LISTED_1997[identifier]
    family = _FAMILIES_1997.get(identifier[:3])
    if family is None:
        return None
    field, first, last, most = family
    if identifier[3] == "F":
        return replace(field, is_block=True, most=most)
    return field if first <= int(identifier[3], 16) <= last else None


def block_of(identifier: str) -> tuple[str, int] | None:
    """The block that holds an identifier, and its place there, counted from 0; None when there is none."""
    field = field_of(identifier)
    if field is None or field.is_block or identifier in _BLOCKLESS:
        return None
    if edition_of(identifier) == EDITION_1997:
        family = _FAMILIES_1997.get(identifier[:3])
        return None if family is None else (identifier[:3] + "F", int(identifier[3], 16) - family[1])
    if identifier.startswith("040005"):
        return "040005FF", int(identifier[6:], 16) - 1
    di3, di2, di1, _ = bytes.fromhex(identifier)
    if di3 == 0x00:
        return f"{identifier[:4]}FF{identifier[6:]}", di1
    if di2 in _INSTANT:
        return f"{identifier[:4]}FF00", di1 - _INSTANT[di2][1]
    return None


def member_of(block: str, place: int) -> str | None:
    """The identifier at a place of a block; None when the block has no such place, or it is no block of ours."""
    for member in _possible_members(block, place):
        if field_of(member) is not None and block_of(member) == (block, place):
            return member
    return None


def _possible_members(block: str, place: int) -> list[str]:
    if edition_of(block) == EDITION_1997:
        return [f"{block[:3]}{number:X}" for number in (place, place + 1) if number < _BLOCK_1997]
    if block == "040005FF":
        return [f"040005{place + 1:02X}"]
    return [f"{block[:4]}{number:02X}{block[6:]}" for number in (place, place + 1) if number < _BLOCK]


def _energy_kinds() -> Mapping[int, Field]:
    active = Field("bcd", 4, 2, unit="kWh")
    reactive, apparent = replace(active, unit="kvarh"), replace(active, unit="kVAh")
    kinds = {0x00: replace(active, signed=True), 0x01: active, 0x02: active}
    kinds |= dict.fromkeys((0x03, 0x04), replace(reactive, signed=True))
    kinds |= dict.fromkeys(range(0x05, 0x09), reactive)
    kinds |= dict.fromkeys((0x09, 0x0A), apparent)
    for phase in (0x15, 0x29, 0x3D):
        kinds |= dict.fromkeys((phase, phase + 1), active)
        kinds |= dict.fromkeys(range(phase + 4, phase + 8), reactive)
    return MappingProxyType(kinds)


_ENERGY = _energy_kinds()
"""DI2 of energies."""

_POWER = Field("bcd", 3, 4, signed=True, unit="kW")
_INSTANT: Mapping[int, tuple[Field, int]] = MappingProxyType(
    {
        0x01: (Field("bcd", 2, 1, unit="V"), 1),
        0x02: (Field("bcd", 3, 3, signed=True, unit="A"), 1),
        0x03: (_POWER, 0),
        0x04: (replace(_POWER, unit="kvar"), 0),
        0x05: (replace(_POWER, unit="kVA"), 0),
        0x06: (Field("bcd", 2, 3, signed=True), 0),
        0x07: (Field("bcd", 2, 1, unit="deg"), 1),
    }
)
"""DI2 of instantaneous values: format, and the first DI1 (0 total, 1 phase A)."""

_DEMAND = Field("bcd", 3, 4, unit="kW")
_COUNT = Field("bcd", 3)
_VOLTS = Field("bcd", 2, 2, unit="V")
_LISTED: Mapping[str, Field] = MappingProxyType(
    {
        "00900100": Field("bcd", 4, 2, unit="kWh"),
        "00900200": Field("bcd", 4, 2, unit="CNY"),
        "00900101": Field("bcd", 4, 2, unit="kWh"),
        "00900201": Field("bcd", 4, 2, unit="CNY"),
        "02800001": Field("bcd", 3, 3, unit="A"),
        "02800002": Field("bcd", 2, 2, unit="Hz"),
        "02800003": _POWER,
        "02800004": _DEMAND,
        "02800005": replace(_DEMAND, unit="kvar"),
        "02800006": replace(_DEMAND, unit="kVA"),
        "02800007": Field("bcd", 2, 1, signed=True, unit="C"),
        "02800008": _VOLTS,
        "02800009": _VOLTS,
        "0280000A": Field("bcd", 4, unit="min"),
        "03300D00": _COUNT,
        "04000101": Field("date", 4),
        "04000102": Field("time", 3),
        "04000401": Field("name", 6),
        "04000402": Field("name", 6),
        "04000403": Field("text", 32),
        "04000404": Field("text", 6),
        "04000405": Field("text", 6),
        "04000406": Field("text", 6),
        "04000407": Field("text", 4),
        "04000409": replace(_COUNT, unit="imp/kWh"),
        "0400040A": replace(_COUNT, unit="imp/kvarh"),
        **{f"040005{word:02X}": Field("bits", 2) for word in range(1, _WORDS + 1)},
        "040005FF": Field("bits", 2, is_block=True, most=_WORDS),
        "05060001": Field("moment", 5),
        "05060101": Field("bcd", 4, 2, unit="kWh", is_block=True, most=0),
        "1D000001": _COUNT,
    }
)
_BLOCKLESS = frozenset(identifier for identifier in _LISTED if not identifier.startswith("040005"))

_ENERGY_1997 = Field("bcd", 4, 2, unit="kWh")
_FAMILIES_1997: Mapping[str, tuple[Field, int, int, int]] = MappingProxyType(
    {
        "901": (_ENERGY_1997, 0, 4, 0),
        "902": (_ENERGY_1997, 0, 0, 0),
        "911": (replace(_ENERGY_1997, unit="kvarh"), 0, 0, 0),
        "912": (replace(_ENERGY_1997, unit="kvarh"), 0, 0, 0),
        "B61": (Field("bcd", 2, unit="V"), 1, 3, 3),
        "B62": (Field("bcd", 2, 2, unit="A"), 1, 3, 3),
        "B63": (Field("bcd", 3, 4, unit="kW"), 0, 3, 4),
    }
)
"""First three digits: format, first and last digit of its single identifiers, most in a block."""

_LISTED_1997: Mapping[str, Field] = MappingProxyType(
    {
        "C010": Field("date", 4),
        "C011": Field("time", 3),
        "C032": Field("name", 6),
    }
)
