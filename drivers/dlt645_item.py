"""One number behind a DL/T 645 data identifier: how to read it exactly, or say why it is none. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from drivers.contract import NoValue, RawValue, SpecError
from drivers.dlt645_image import held
from drivers.dlt645_table import block_of, edition_of, field_of
from drivers.dlt645_values import clock_time, day, number, number_bytes
from drivers.octets import bcd_bytes

_KEYS = ("id", "type", "size", "signed", "place")
_KINDS = ("bcd", "bits", "date", "time")
_IDENTIFIER = re.compile(r"[0-9A-F]{4}|[0-9A-F]{8}")
_DATE_SIZE, _TIME_SIZE = 4, 3
_SIZES = {"date": _DATE_SIZE, "time": _TIME_SIZE}
_MOST_SIZE = 8
_MOST_PLACE = 63
_NOT_BCD_BYTE = 0xAB


@dataclass(frozen=True, slots=True)
class Dlt645Item:
    """The `size` bytes at `place` (0: the first such number) of the data behind `identifier`.

    `kind`: `bcd` digits, lowest byte first (`signed`: the top bit is the sign); `bits` of a status word; `date` as the
    number YYYYMMDD; `time` as hhmmss.
    """

    identifier: str
    kind: str
    size: int
    signed: bool = False
    place: int = 0

    @property
    def edition(self) -> str:
        """`1997` or `2007`."""
        return edition_of(self.identifier)

    @property
    def home(self) -> tuple[str, int] | None:
        """The block that also holds it, and its place there; None when there is none."""
        return None if self.place else block_of(self.identifier)

    def decode(self, data: bytes) -> RawValue:
        """The number in its bytes."""
        if not data.strip(b"\xff"):
            return NoValue.NOT_AVAILABLE
        match self.kind:
            case "bits":
                return Decimal(int.from_bytes(data, "little"))
            case "date":
                on = day(data[1:])
                return NoValue.NOT_BCD if on is None else Decimal(f"{on:%Y%m%d}")
            case "time":
                at = clock_time(data)
                return NoValue.NOT_BCD if at is None else Decimal(f"{at:%H%M%S}")
            case _:
                return number(data, signed=self.signed)

    def encode(self, value: Decimal) -> bytes:
        """The wire bytes of `value`; a fraction is cut toward zero. Raises ValueError when it does not fit."""
        whole = int(value)
        match self.kind:
            case "bits":
                if not 0 <= whole < 1 << 8 * self.size:
                    raise ValueError(f"{value} does not fit {self.size} bytes")
                return whole.to_bytes(self.size, "little")
            case "date":
                return b"\0" + bcd_bytes(whole % 1000000, _DATE_SIZE - 1)[::-1]
            case "time":
                return bcd_bytes(whole, _TIME_SIZE)[::-1]
            case _:
                return number_bytes(value, self.size, signed=self.signed)

    def taken(self, image: Mapping[str, Any]) -> bytes | None:
        """Meter's side: its bytes in the image {identifier: data}, under its identifier or in its block."""
        data = (held(image, self.identifier) or b"")[self.place * self.size : (self.place + 1) * self.size]
        return data if len(data) == self.size else None

    def put(self, image: MutableMapping[str, Any], data: bytes, *, whole: bool = False) -> None:  # noqa: ARG002 - it is a whole always
        """Meter's side: writes its bytes; places before it that nobody gave hold 0."""
        low = self.place * self.size
        known = bytes(image.get(self.identifier, b"")).ljust(low, b"\0")
        image[self.identifier] = known[:low] + data + known[low + self.size :]

    def spoilt(self, how: NoValue) -> bytes | None:
        """Meter's side: bytes that are no value in this way."""
        if how is NoValue.NOT_AVAILABLE:
            return b"\xff" * self.size
        return bytes([_NOT_BCD_BYTE]) * self.size if how is NoValue.NOT_BCD and self.kind != "bits" else None


def dlt645_item(spec: Mapping[str, Any]) -> Dlt645Item:
    """Checks the DL/T 645 part of a profile entry: id, type, size, signed, place. Raises SpecError."""
    for key in spec:
        if key not in _KEYS:
            raise SpecError(key, "spec.unknown-key", value=key, allowed=" ".join(_KEYS))
    identifier = _identifier(spec)
    field = field_of(identifier)
    if field is not None and field.kind == "name":
        field = replace(field, kind="bcd")  # the digits of a name are as good as a number where they must be compared
    usual = field.kind if field is not None and field.kind in _KINDS else "bcd"
    kind = spec.get("type", usual)
    if kind not in _KINDS:
        raise SpecError("type", "spec.choice", value=str(kind), allowed=" ".join(_KINDS))
    is_known = field is not None and field.kind == kind
    return Dlt645Item(
        identifier=identifier,
        kind=str(kind),
        size=_size(spec, str(kind), field.size if is_known and field is not None else None),
        signed=_signed(spec, str(kind), default=is_known and field is not None and field.signed),
        place=_place(spec),
    )


def _identifier(spec: Mapping[str, Any]) -> str:
    given = spec.get("id")
    if given is None:
        raise SpecError("id", "spec.missing-key", value="None", allowed="id")
    text = str(given).replace(" ", "").upper()
    if not isinstance(given, str) or not _IDENTIFIER.fullmatch(text):
        raise SpecError("id", "spec.dlt645-id", value=str(given))
    return text


def _size(spec: Mapping[str, Any], kind: str, usual: int | None) -> int:
    size = spec.get("size")
    if kind in _SIZES:
        if size is not None:
            raise SpecError("size", "spec.dlt645-type", value=kind)
        return _SIZES[kind]
    if size is None and usual is not None:
        return usual
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _MOST_SIZE:
        raise SpecError("id" if size is None else "size", "spec.dlt645-size", limit=str(_MOST_SIZE))
    return size


def _signed(spec: Mapping[str, Any], kind: str, *, default: bool) -> bool:
    signed = spec.get("signed", default)
    if not isinstance(signed, bool):
        raise SpecError("signed", "spec.choice", value=str(signed), allowed="true false")
    if signed and kind != "bcd":
        raise SpecError("signed", "spec.dlt645-type", value=kind)
    return signed


def _place(spec: Mapping[str, Any]) -> int:
    place = spec.get("place", 0)
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place <= _MOST_PLACE:
        raise SpecError("place", "spec.choice", value=str(place), allowed=f"0…{_MOST_PLACE}")
    return place
