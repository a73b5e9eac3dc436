"""One field of a CJ/T 188 record: how to cut its number out of a reply, exactly, or say why it is none. Pure.

Totals come out in m3: the unit code stands beside the digits and counts at every reading. What the standard does not
lay out (heat meters, makers' own records) is read by its place: `bcd` and `uint`.

Source: CJ/T 188-2004, water meter record of identifier 901F; unit codes; status ST.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from drivers.cjt188_wire import (
    ADDRESS,
    ADDRESS_SIZE,
    ANY,
    CUBIC_METRES,
    HEAD_SIZE,
    HIGH_FIRST,
    LITRES,
    LOW_FIRST,
    MONTHS,
    MOST_LITRE_DECIMALS,
    READING,
    REGISTER_SIZE,
    VOLUME_FACTORS,
    WATER,
    digit_factor,
    digits_of,
    is_blank,
)
from drivers.contract import NoValue, RawValue, SpecError

AUTO = "auto"
TYPE_KEY = "meter_type"
"""The key of a meter's image beside its records."""

_KEYS = ("id", "field", "meter_type", "di_order", "at", "size", "bits", "litre_decimals")
_PLACES = {  # field: identifier and where it begins in DATA
    "total": {READING: 3},
    "settlement_total": {READING: 8, **dict.fromkeys(MONTHS, 3)},
    "status": {READING: 20},
    "address": {ADDRESS: HEAD_SIZE},
}
_BY_PLACE = ("bcd", "uint")
_FIELDS = (*_PLACES, *_BY_PLACE)
_REGISTERS = ("total", "settlement_total")
_MOST_DATA = 0x64  # bytes of DATA in a reply
_MOST_SIZE = 8
_STATUS_SIZE = 2
_DIGITS = 8
_NOT_BCD_BYTE = 0xAB  # half-bytes above 9
_BLANK_READING = bytes.fromhex("000000002c 000000002c 00000000000000 0000")  # zeros in m3, no clock, no alarm
_BLANK_MONTH = bytes.fromhex("000000002c")


@dataclass(frozen=True)
class CjtItem:
    """`size` bytes at `at` of DATA (the identifier is at 0) in the record `identifier` of meters of type `meter_type`.

    `order` is how the identifier is sent: `high_first`, `low_first` or `auto`; `bits` cuts (lowest, highest) out of a
    whole number, the byte sent first being the lowest.
    """

    identifier: int
    field: str
    meter_type: int
    order: str
    at: int
    size: int
    bits: tuple[int, int] | None = None
    litre_decimals: int | None = None

    @property
    def kind(self) -> str:
        """`fixed` for totals, which carry their own decimals; else a whole number."""
        return "fixed" if self.field in _REGISTERS else self.field

    @property
    def end(self) -> int:
        """The first place in DATA behind it."""
        return self.at + self.size

    @property
    def is_water(self) -> bool:
        """It is laid out for water meters only."""
        return self.identifier == READING and self.field in _PLACES

    @cached_property
    def decode(self) -> Callable[[bytes], RawValue]:
        """Reads the number in its bytes: totals in m3, anything else as it stands."""
        if self.field in _REGISTERS:
            return self._total
        if self.field in {"bcd", "address"}:
            return _digits
        return self._whole

    def _total(self, data: bytes) -> RawValue:
        factor = digit_factor(data[-1], self.litre_decimals)
        if factor is None:
            return NoValue.UNKNOWN_CODE
        digits = _digits(data[:-1])
        return digits * factor if isinstance(digits, Decimal) else digits

    def _whole(self, data: bytes) -> RawValue:
        number = int.from_bytes(data, "little")
        if self.bits is None:
            return Decimal(number)
        low, high = self.bits
        return Decimal(number >> low & (1 << high - low + 1) - 1)

    def encode(self, value: Decimal) -> bytes:
        """The meter's bytes for `value`, cut at the last digit; a total in the finest unit that holds it, from m3 on.

        Raises ValueError when it does not fit.
        """
        if self.field in _REGISTERS:
            return self._total_bytes(value)
        number = int(value)
        if self.field in {"bcd", "address"}:
            return _digit_bytes(number, self.size)
        low, high = self.bits or (0, 8 * self.size - 1)
        if not 0 <= number < 1 << high - low + 1:
            raise ValueError(f"{value} does not fit {high - low + 1} bits")
        return (number << low).to_bytes(self.size, "little")

    def _total_bytes(self, value: Decimal) -> bytes:
        units = [LITRES] if self.litre_decimals is not None else []
        units += [unit for unit in VOLUME_FACTORS if unit >= CUBIC_METRES]
        for unit in units:
            factor = digit_factor(unit, self.litre_decimals)
            assert factor is not None
            if 0 <= value < factor.scaleb(_DIGITS):
                return _digit_bytes(int(value / factor), REGISTER_SIZE - 1) + bytes([unit])
        raise ValueError(f"{value} m3 does not fit")

    def taken(self, image: Mapping[str, Any]) -> bytes | None:
        """Meter's side: its bytes in the record of `image`; None when the record does not hold them."""
        record: bytes = image.get(f"{self.identifier:04X}", b"")
        data = record[self.at - HEAD_SIZE : self.end - HEAD_SIZE]
        return data if len(data) == self.size else None

    def put(self, image: MutableMapping[str, Any], data: bytes, *, whole: bool = False) -> None:
        """Meter's side: writes its bytes; a cut-out (`bits`) leaves the other bits, unless all of it is meant."""
        if self.field == "address":
            return  # it is the key of the meter's image
        key, at = f"{self.identifier:04X}", self.at - HEAD_SIZE
        if self.meter_type != ANY:
            image[TYPE_KEY] = f"{self.meter_type:02X}"
        blank = _BLANK_READING if self.is_water else _BLANK_MONTH if self.identifier in MONTHS else b""
        record = bytearray(image.get(key, blank).ljust(at + self.size, b"\0"))
        mask = b"\xff" * self.size
        if self.bits is not None and not whole:
            mask = self.encode(Decimal((1 << self.bits[1] - self.bits[0] + 1) - 1))
        for place, (byte, covered) in enumerate(zip(data, mask, strict=True), at):
            record[place] = record[place] & ~covered & 0xFF | byte & covered
        image[key] = bytes(record)

    def spoilt(self, how: NoValue) -> bytes | None:
        """Meter's side: bytes that are no value in this way; None where every pattern of this field is one."""
        is_total = self.field in _REGISTERS
        unit = bytes([LITRES if self.litre_decimals is not None else CUBIC_METRES]) if is_total else b""
        size = self.size - len(unit)
        if how is NoValue.UNKNOWN_CODE:
            return b"\0" * size + b"\xff" if is_total else None
        if not is_total and self.field != "bcd":
            return None
        fill = {NoValue.NOT_AVAILABLE: 0xFF, NoValue.NOT_BCD: _NOT_BCD_BYTE}.get(how)
        return None if fill is None else bytes([fill]) * size + unit


def _digits(data: bytes) -> RawValue:
    if is_blank(data):
        return NoValue.NOT_AVAILABLE
    digits = digits_of(data)
    return NoValue.NOT_BCD if digits is None else Decimal(digits)


def _digit_bytes(number: int, size: int) -> bytes:
    text = str(number)
    if number < 0 or len(text) > 2 * size:
        raise ValueError(f"{number} does not fit {2 * size} decimal digits")
    return bytes.fromhex(text.zfill(2 * size))[::-1]


def cjt_item(spec: Mapping[str, Any]) -> CjtItem:
    """Checks the CJ/T 188 part of a profile entry. Raises SpecError."""
    for key in spec:
        if key not in _KEYS:
            raise SpecError(key, "spec.unknown-key", value=key, allowed=" ".join(_KEYS))
    identifier = _hexadecimal(spec, "id", 4, "901F")
    field = str(spec.get("field"))
    if field not in _FIELDS:
        code = "spec.missing-key" if "field" not in spec else "spec.choice"
        raise SpecError("field", code, value=field, allowed=" ".join(_FIELDS))
    order = str(spec.get("di_order", AUTO))
    if order not in {AUTO, HIGH_FIRST, LOW_FIRST}:
        raise SpecError("di_order", "spec.choice", value=order, allowed=f"{AUTO} {HIGH_FIRST} {LOW_FIRST}")
    at, size = _place(spec, identifier, field)
    item = CjtItem(
        identifier=identifier,
        field=field,
        meter_type=_hexadecimal(spec, "meter_type", 2, "10"),
        order=order,
        at=at,
        size=size,
        bits=_bits(spec, field, size),
        litre_decimals=_litre_decimals(spec, field),
    )
    if item.is_water and item.meter_type not in {*WATER, ANY}:
        raise SpecError("meter_type", "spec.choice", value=f"{item.meter_type:02X}", allowed="10…19 AA")
    return item


def _hexadecimal(spec: Mapping[str, Any], key: str, size: int, example: str) -> int:
    text = str(spec.get(key, "" if key == "id" else example))
    if not text:
        raise SpecError(key, "spec.missing-key", value="None", allowed=example)
    if len(text) != size or not set(text) <= set("0123456789ABCDEFabcdef"):
        raise SpecError(key, "spec.cjt188-hex", value=text, limit=str(size), example=example)
    return int(text, 16)


def _place(spec: Mapping[str, Any], identifier: int, field: str) -> tuple[int, int]:
    """Where the field begins in DATA, and its bytes."""
    if field in _BY_PLACE:
        at, size = spec.get("at"), spec.get("size")
        if not _is_whole(size, 1, _MOST_SIZE):
            raise SpecError("size", "spec.cjt188-size", value=str(size), limit=str(_MOST_SIZE))
        assert isinstance(size, int)
        if not _is_whole(at, HEAD_SIZE, _MOST_DATA - size):
            raise SpecError("at", "spec.cjt188-place", value=str(at), low=str(HEAD_SIZE), limit=str(_MOST_DATA - size))
        assert isinstance(at, int)
        return at, size
    for key in ("at", "size"):
        if key in spec:
            raise SpecError(key, "spec.cjt188-only-with", value=field, allowed=" ".join(_BY_PLACE))
    if identifier not in _PLACES[field]:
        allowed = [f"{each:04X}" for each in _PLACES[field]]
        raise SpecError("id", "spec.choice", value=f"{identifier:04X}", allowed=" ".join(allowed))
    sizes = {"status": _STATUS_SIZE, "address": ADDRESS_SIZE}
    return _PLACES[field][identifier], sizes.get(field, REGISTER_SIZE)


def _bits(spec: Mapping[str, Any], field: str, size: int) -> tuple[int, int] | None:
    bits = spec.get("bits")
    if bits is None:
        return None
    width = 8 * size
    sound = isinstance(bits, list | tuple) and len(bits) == 2 and all(_is_whole(bit, 0, width - 1) for bit in bits)  # noqa: PLR2004 - low, high
    if not sound or bits[0] > bits[1] or field not in {"status", "uint"}:
        raise SpecError("bits", "spec.bits", value=str(bits), limit=str(width - 1))
    return int(bits[0]), int(bits[1])


def _litre_decimals(spec: Mapping[str, Any], field: str) -> int | None:
    decimals = spec.get("litre_decimals")
    if decimals is None:
        return None
    if field not in _REGISTERS:
        raise SpecError("litre_decimals", "spec.cjt188-only-with", value=field, allowed=" ".join(_REGISTERS))
    if not _is_whole(decimals, 0, MOST_LITRE_DECIMALS):
        raise SpecError("litre_decimals", "spec.choice", value=str(decimals), allowed="0 1 2 3")
    return int(decimals)


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
