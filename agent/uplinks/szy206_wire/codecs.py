"""Fields of SZY206 bodies, each in both directions: packed decimals, flows, volumes, words of bits, times. Pure.

A codec has a `size` and turns so many bytes into a value and back. Numbers are exact Decimals, lowest pair of digits
first; all bytes AA ("not measured") or all FF ("no data") are None, and None is sent as AA. Bytes that are no such
number are None too, and are kept in `unread`. A number with more digits than its field has places is cut, never
rounded up.

Source: SZY206, data items; SL/T 427-2021, flow and soil items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, InvalidOperation, localcontext
from typing import Any, Final, Protocol

from agent.uplinks.szy206_wire.names import ContentError

NOT_MEASURED: Final = 0xAA
NO_DATA: Final = 0xFF
_DIGITS_OF_VALUES = 40  # far more than any field has places
Content = dict[str, Any]
Unread = list[str]


class Codec(Protocol):
    """`size` bytes as a value."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def read(self, data: bytes, unread: Unread) -> Any:
        """The value of `size` bytes."""
        ...

    def write(self, value: Any) -> bytes:
        """The bytes of `value`. Raises ContentError, or KeyError for a field that is not given."""
        ...


def is_blank(data: bytes) -> bool:
    """Whether these bytes say that there is no value."""
    return bool(data) and (data.count(NOT_MEASURED) == len(data) or data.count(NO_DATA) == len(data))


def digits_of(data: bytes) -> int | None:
    """The number in packed decimals, highest pair first; None where a half-byte is above 9."""
    text = data.hex()
    return int(text) if text.isdigit() else None


def scaled(value: Any, decimals: int) -> int:
    """`value` in units of its last place, cut towards zero. Raises ContentError for what is no number."""
    try:
        with localcontext(prec=_DIGITS_OF_VALUES):
            return int(Decimal(value).scaleb(decimals).to_integral_value(ROUND_DOWN))
    except (InvalidOperation, TypeError, ValueError, OverflowError) as error:
        raise ContentError(f"{value!r} is no number that could be sent") from error


@dataclass(frozen=True, slots=True)
class Number:
    """A packed decimal of `size` bytes with `decimals` places behind the point.

    `sign`: bits of the highest half-byte that are set for a negative number: 0 none, 0xF0 the whole half-byte (level,
    velocity), 0x80 its top bit (volumes; the other three are a digit 0...7). `high_first`: highest pair first.
    """

    size: int
    decimals: int = 0
    sign: int = 0
    high_first: bool = False

    @property
    def highest(self) -> int:
        """The largest magnitude in units of the last place."""
        top = {0x00: 10, 0xF0: 1, 0x80: 8}[self.sign]
        return int(top * 10 ** (2 * self.size - 1) - 1)

    def read(self, data: bytes, unread: Unread) -> Decimal | None:
        """The number; None where there is none."""
        if is_blank(data):
            return None
        high = data if self.high_first else data[::-1]
        is_negative = self.sign != 0 and high[0] & self.sign == self.sign
        number = digits_of(bytes([high[0] & ~self.sign & 0xFF if is_negative else high[0]]) + high[1:])
        if number is None or number > self.highest:
            unread.append(data.hex().upper())
            return None
        return Decimal(-number if is_negative else number).scaleb(-self.decimals)

    def write(self, value: Any) -> bytes:
        """The bytes of a Decimal, an integer or None."""
        if value is None:
            return bytes([NOT_MEASURED]) * self.size
        number = scaled(value, self.decimals)
        if abs(number) > self.highest or (number < 0 and not self.sign):
            raise ContentError(f"{value} does not fit {self.size} bytes with {self.decimals} decimals")
        high = bytearray.fromhex(str(abs(number)).zfill(2 * self.size))
        if number < 0:
            high[0] |= self.sign
        return bytes(high if self.high_first else high[::-1])


@dataclass(frozen=True, slots=True)
class Flow:
    """An instant flow as the field `key`: 5 bytes, 0.001; with `has_unit` (2021) also `unit`, m3/s or m3/h.

    The sign is D7 and D6 of the highest byte in both editions, the unit of the 2021 edition D5 and D4; a 206 reader
    passes over these.
    """

    key: str
    has_unit: bool
    high_first: bool = False

    size = 5
    _DECIMALS = 3
    _HIGHEST = 999_999_999
    _UNITS = ("m3/s", None, None, "m3/h")
    _NEGATIVE = 0b11

    def read(self, data: bytes, unread: Unread) -> Content:
        """`key` and, where there is one, `unit`."""
        if is_blank(data):
            return {self.key: None}
        high = data if self.high_first else data[::-1]
        sign, unit = high[0] >> 6, high[0] >> 4 & 0b11
        number = digits_of(bytes([high[0] & 0x0F]) + high[1:])
        if number is None or sign not in {0, self._NEGATIVE}:
            unread.append(data.hex().upper())
            return {self.key: None}
        content: Content = {self.key: Decimal(-number if sign else number).scaleb(-self._DECIMALS)}
        if self.has_unit and self._UNITS[unit]:
            content["unit"] = self._UNITS[unit]
        return content

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The bytes of a mapping with `key` and, where the edition has it, `unit`."""
        if value[self.key] is None:
            return bytes([NOT_MEASURED]) * self.size
        number = scaled(value[self.key], self._DECIMALS)
        if abs(number) > self._HIGHEST:
            raise ContentError(f"a flow of {value[self.key]} does not fit its field")
        high = bytearray.fromhex(str(abs(number)).zfill(2 * self.size))
        if not self.has_unit:
            high[0] |= 0xF0 if number < 0 else 0
        elif value["unit"] in {"m3/s", "m3/h"}:
            high[0] |= (self._NEGATIVE << 6 if number < 0 else 0) | self._UNITS.index(value["unit"]) << 4
        else:
            raise ContentError(f"a flow is sent in m3/s or m3/h, not {value['unit']!r}")
        return bytes(high if self.high_first else high[::-1])


@dataclass(frozen=True, slots=True)
class Wind:
    """Speed (0.01 m/s) and direction (0...8, in the highest half-byte), or None."""

    high_first: bool = False

    size = 3
    _HIGHEST = 99_999
    _DIRECTIONS = 8

    def read(self, data: bytes, unread: Unread) -> Content | None:
        """`speed_m_s` and `direction`."""
        if is_blank(data):
            return None
        high = data if self.high_first else data[::-1]
        number = digits_of(bytes([high[0] & 0x0F]) + high[1:])
        if number is None:
            unread.append(data.hex().upper())
            return None
        return {"speed_m_s": Decimal(number).scaleb(-2), "direction": high[0] >> 4}

    def write(self, value: Mapping[str, Any] | None) -> bytes:
        """The bytes of both."""
        if value is None:
            return bytes([NOT_MEASURED]) * self.size
        number, direction = scaled(value["speed_m_s"], 2), value["direction"]
        if not (0 <= number <= self._HIGHEST and 0 <= direction <= self._DIRECTIONS):
            raise ContentError(f"wind {value} does not fit its field")
        high = bytearray.fromhex(str(number).zfill(2 * self.size))
        high[0] |= direction << 4
        return bytes(high if self.high_first else high[::-1])


@dataclass(frozen=True, slots=True)
class Binary:
    """An unsigned number, lowest byte first."""

    size: int = 1

    def read(self, data: bytes, unread: Unread) -> int:  # noqa: ARG002 - every pattern is a number
        """The number."""
        return int.from_bytes(data, "little")

    def write(self, value: Any) -> bytes:
        """Its bytes."""
        try:
            return int(value).to_bytes(self.size, "little")
        except (OverflowError, TypeError, ValueError) as error:
            raise ContentError(f"{value!r} does not fit {self.size} bytes") from error


@dataclass(frozen=True, slots=True)
class Hex:
    """Bytes as they are, in hex."""

    size: int

    def read(self, data: bytes, unread: Unread) -> str:  # noqa: ARG002 - nothing to fail
        """Upper-case digits in the order sent."""
        return data.hex().upper()

    def write(self, value: str) -> bytes:
        """The bytes."""
        return hex_bytes(value, self.size)


@dataclass(frozen=True, slots=True)
class Bits:
    """A map of bits as the ascending list of those set; D0 is the lowest bit of the first byte."""

    size: int

    def read(self, data: bytes, unread: Unread) -> list[int]:  # noqa: ARG002 - every pattern is a map
        """The numbers of the bits set."""
        number = int.from_bytes(data, "little")
        return [bit for bit in range(8 * self.size) if number >> bit & 1]

    def write(self, value: Any) -> bytes:
        """The bytes of the map."""
        number = 0
        for bit in value:
            if not 0 <= bit < 8 * self.size:
                raise ContentError(f"there is no bit {bit} in {self.size} bytes")
            number |= 1 << bit
        return number.to_bytes(self.size, "little")


@dataclass(frozen=True, slots=True)
class Keyed:
    """A codec's value under a key."""

    key: str
    codec: Codec

    @property
    def size(self) -> int:
        """Bytes."""
        return self.codec.size

    def read(self, data: bytes, unread: Unread) -> Content:
        """`{key: value}`."""
        return {self.key: self.codec.read(data, unread)}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The bytes of `value[key]`."""
        return self.codec.write(value[self.key])


@dataclass(frozen=True, slots=True)
class Record:
    """Several codecs of fields, one behind the other, as one mapping."""

    parts: tuple[Codec, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.size for part in self.parts)

    def read(self, data: bytes, unread: Unread) -> Content:
        """The fields of all parts."""
        content: Content = {}
        at = 0
        for part in self.parts:
            content |= part.read(data[at : at + part.size], unread)
            at += part.size
        return content

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The bytes of all parts."""
        return b"".join(part.write(value) for part in self.parts)


def hex_bytes(text: Any, size: int) -> bytes:
    """`size` bytes from hex digits. Raises ContentError."""
    try:
        data = bytes.fromhex(text)
    except (TypeError, ValueError) as error:
        raise ContentError(f"{text!r} is not hex") from error
    if len(data) != size:
        raise ContentError(f"{text!r} is not {size} bytes")
    return data
