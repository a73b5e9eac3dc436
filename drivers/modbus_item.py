"""One Modbus register field: how to cut its number out of a reply, exactly, or say why it is none. Pure.

Source: Modbus application protocol V1.1b3, 4.3 (data model); types and word orders as meters' own manuals use them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from drivers.contract import NoValue, RawValue, SpecError
from drivers.octets import bcd_bytes, bcd_number, float32_decimal, float64_decimal, order_indices

WORD_TABLES = ("holding", "input")
BIT_TABLES = ("coil", "discrete")
_TABLES = (*WORD_TABLES, *BIT_TABLES)
_KINDS = {
    "u16": 1, "i16": 1, "u32": 2, "i32": 2, "u48": 3, "i48": 3, "u64": 4, "i64": 4, "f32": 2, "f64": 4,
    "bcd16": 1, "bcd32": 2, "bcd48": 3, "bcd64": 4, "bit": 1,
}  # fmt: skip  # registers of each type; `bit` is one coil or discrete input
_KEYS = ("table", "register", "type", "order", "bits", "missing")
_LAST_ADDRESS = 0xFFFF
_NOT_A_NUMBER = {"f32": bytes.fromhex("7fc00000"), "f64": bytes.fromhex("7ff8000000000000")}  # IEEE 754: a quiet NaN
_NOT_BCD_BYTE = 0xAB  # half-bytes above 9


@dataclass(frozen=True)
class ModbusItem:
    """A field of `count` registers (or one bit) from zero-based `register` of `table`.

    `bits` cuts (lowest, highest) out of an unsigned value. `missing` holds the patterns, most significant byte first,
    with which this meter says that it has no value.
    """

    table: str
    register: int
    kind: str
    order: tuple[int, ...]
    bits: tuple[int, int] | None
    missing: frozenset[bytes] = field(default=frozenset())

    def __hash__(self) -> int:
        """Computed once: every value of every round is looked up by its item."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.table, self.register, self.kind, self.order, self.bits, self.missing))

    @cached_property
    def count(self) -> int:
        """Registers (or bits) that it covers."""
        return _KINDS[self.kind]

    @cached_property
    def end(self) -> int:
        """First address behind it."""
        return self.register + self.count

    @cached_property
    def decode(self) -> Callable[[bytes], RawValue]:
        """Reads the number in the item's registers as they came on the wire (a bit: one byte, 0 or 1).

        A function made once: every value of every round passes through it.
        """
        read = _reader(self.kind, self.bits)
        missing, order = self.missing, self.order
        is_plain = order == tuple(range(len(order)))

        def decoded(data: bytes) -> RawValue:
            if not is_plain:
                data = bytes([data[index] for index in order])
            return NoValue.NOT_AVAILABLE if data in missing else read(data)

        return decoded

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its fields alone: what is computed from them holds for one process."""
        return ModbusItem, (self.table, self.register, self.kind, self.order, self.bits, self.missing)

    def encode(self, value: Decimal) -> bytes:
        """The wire bytes of `value`; integers are cut toward minus infinity. Raises ValueError when it does not fit."""
        try:
            data = self._plain_bytes(value)
        except (OverflowError, struct.error) as error:
            raise ValueError(f"{value} does not fit {self.kind}") from error
        return self._ordered(data)

    def taken(self, image: Mapping[str, Any]) -> bytes | None:
        """Meter's side: its bytes in the registers of `image`; None when one of them is not there."""
        words = image.get(self.table, {})
        if any(register not in words for register in range(self.register, self.end)):
            return None
        return b"".join(words[register].to_bytes(self._step, "big") for register in range(self.register, self.end))

    def put(self, image: MutableMapping[str, Any], data: bytes, *, whole: bool = False) -> None:
        """Meter's side: writes its bytes; a cut-out (`bits`) leaves the other bits, unless all of it is meant."""
        words, step = image.setdefault(self.table, {}), self._step
        mask = b"\xff" * len(data) if whole or self.bits is None else self._mask
        for at in range(self.count):
            part = slice(at * step, (at + 1) * step)
            kept = words.get(self.register + at, 0) & ~int.from_bytes(mask[part], "big")
            words[self.register + at] = kept | int.from_bytes(data[part], "big")

    def spoilt(self, how: NoValue) -> bytes | None:
        """Meter's side: bytes that are no value in this way; None where every pattern of this type is one."""
        size = 2 * self.count
        match how:
            case NoValue.NOT_A_NUMBER:
                plain = _NOT_A_NUMBER.get(self.kind)
                return None if plain is None else self._ordered(plain)
            case NoValue.NOT_AVAILABLE:
                return None if self.kind == "bit" else b"\xff" * size
            case NoValue.NOT_BCD:
                return bytes([_NOT_BCD_BYTE]) * size if self.kind.startswith("bcd") else None
            case NoValue.UNKNOWN_CODE:
                return None  # a unit code is a field of its own

    @property
    def _step(self) -> int:
        return 1 if self.table in BIT_TABLES else 2

    @cached_property
    def _mask(self) -> bytes:
        assert self.bits is not None
        low, high = self.bits
        return self.encode(Decimal((1 << high - low + 1) - 1))

    def _ordered(self, data: bytes) -> bytes:
        wire = bytearray(len(data))
        for place, index in enumerate(self.order):
            wire[index] = data[place]
        return bytes(wire)

    def _plain_bytes(self, value: Decimal) -> bytes:
        size = 2 * self.count
        if self.kind == "bit":
            return bytes([1 if value else 0])
        if self.kind[0] == "f":
            return struct.pack(">f" if self.kind == "f32" else ">d", float(value))
        number = int(value.to_integral_value(rounding="ROUND_FLOOR"))
        if self.kind.startswith("bcd"):
            return bcd_bytes(number, size)
        if self.bits is not None:
            number <<= self.bits[0]
        return number.to_bytes(size, "big", signed=self.kind[0] == "i")


def _reader(kind: str, bits: tuple[int, int] | None) -> Callable[[bytes], RawValue]:
    """What reads bytes of this type in their natural order."""
    if kind == "bit":
        return lambda data: Decimal(data[0])
    if kind.startswith("bcd"):
        return lambda data: NoValue.NOT_BCD if (digits := bcd_number(data)) is None else Decimal(digits)
    if kind[0] == "f":
        number = float32_decimal if kind == "f32" else float64_decimal
        return lambda data: NoValue.NOT_A_NUMBER if (value := number(data)) is None else value
    if bits is not None:
        return lambda data: Decimal(_cut(int.from_bytes(data, "big"), bits))
    is_signed = kind[0] == "i"
    return lambda data: Decimal(int.from_bytes(data, "big", signed=is_signed))


def modbus_item(spec: Mapping[str, Any]) -> ModbusItem:
    """Checks the Modbus part of a profile entry: table, register, type, order, bits, missing. Raises SpecError."""
    for key in spec:
        if key not in _KEYS:
            raise SpecError(key, "spec.unknown-key", value=key, allowed=" ".join(_KEYS))
    table = _choice(spec, "table", _TABLES)
    kinds = ("bit",) if table in BIT_TABLES else tuple(kind for kind in _KINDS if kind != "bit")
    kind = _choice(spec, "type", kinds, "bit" if table in BIT_TABLES else None)
    register = spec.get("register")
    if not isinstance(register, int) or not 0 <= register <= _LAST_ADDRESS - _KINDS[kind] + 1:
        raise SpecError("register", "spec.register", value=str(register), limit=str(_LAST_ADDRESS - _KINDS[kind] + 1))
    size = 1 if kind == "bit" else 2 * _KINDS[kind]
    order = (0,) if kind == "bit" else order_indices(str(spec.get("order", "abcd")), size)
    if order is None:
        raise SpecError("order", "spec.order", value=str(spec.get("order")), allowed="abcd cdab badc dcba")
    return ModbusItem(
        table=table,
        register=register,
        kind=kind,
        order=order,
        bits=_bits(spec, kind),
        missing=_missing(spec, kind, size),
    )


def _choice(spec: Mapping[str, Any], key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    value = spec.get(key, default)
    if value not in allowed:
        code = "spec.missing-key" if value is None else "spec.choice"
        raise SpecError(key, code, value=str(value), allowed=" ".join(allowed))
    return str(value)


def _bits(spec: Mapping[str, Any], kind: str) -> tuple[int, int] | None:
    bits = spec.get("bits")
    if bits is None:
        return None
    width = 16 * _KINDS[kind]
    sound = isinstance(bits, list | tuple) and len(bits) == 2 and all(isinstance(bit, int) for bit in bits)  # noqa: PLR2004 - low, high
    if not (sound and kind[0] == "u" and 0 <= bits[0] <= bits[1] < width):
        raise SpecError("bits", "spec.bits", value=str(bits), limit=str(width - 1))
    return int(bits[0]), int(bits[1])


def _missing(spec: Mapping[str, Any], kind: str, size: int) -> frozenset[bytes]:
    """All ones by default for unsigned numbers; a signed one reads them as -1, so there the profile must say."""
    given = spec.get("missing")
    if given is None:
        return frozenset({b"\xff" * size}) if kind[0] == "u" else frozenset()
    patterns = set()
    for text in given if isinstance(given, list | tuple) else [given]:
        try:
            patterns.add(int(str(text), 16).to_bytes(size, "big"))
        except (ValueError, OverflowError) as error:
            raise SpecError("missing", "spec.missing", value=str(text), limit=str(2 * size)) from error
    if patterns and kind[0] == "u":
        patterns.add(b"\xff" * size)
    return frozenset(patterns)


def _cut(number: int, bits: tuple[int, int]) -> int:
    low, high = bits
    return number >> low & (1 << high - low + 1) - 1
