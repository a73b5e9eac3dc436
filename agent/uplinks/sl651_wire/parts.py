"""What the body of an SL 651 frame is made of. Pure.

Strategy: a body is a header and a flat list of parts in the order of the wire, because the standard gives them no other
structure: a time counts for what follows it, a station for the times that follow it. Each part can write itself in the
binary encoding, so a body that was read writes the same bytes. Times are digits as sent; they name no zone.

Source: SL 651-2014 6.6.1 (tables 24, 25), 6.6.2.4-6.6.2.8, annex C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Final, Self

from agent.uplinks.sl651_wire.elements import NEGATIVE, STEP, Element, definition, form, number_bytes

CHINA: Final = timezone(timedelta(hours=8))  # the standard names no zone; every deployment seen uses this one
SECOND, MINUTE, HOUR = "%y%m%d%H%M%S", "%y%m%d%H%M", "%y%m%d%H"
TIME_MARK, STATION_MARK, TEXT_MARK, PICTURE_MARK = b"\xf0\xf0", b"\xf1\xf1", b"\xf2\xf2", b"\xf3\xf3"
STEP_MARK: Final = STEP + b"\x18"  # annex C: three bytes of digits
LAST_SERIAL: Final = 65_535
EVENTS: Final = 32  # counters of function 50, two bytes each
_FORMS = {12: SECOND, 10: MINUTE, 8: HOUR}
_CENTURY = "20"


def following(serial: int) -> int:
    """The serial number of the next message; 1 after 65535, never 0 (6.6.2.4)."""
    return serial % LAST_SERIAL + 1


def digits_of(at: datetime, form: str, zone: timezone = CHINA) -> str:
    """The digits of an aware moment in the station's zone."""
    return at.astimezone(zone).strftime(form)


def moment_of(digits: str, zone: timezone = CHINA) -> datetime | None:
    """The aware moment of YYMMDDHH[mm[SS]] in this century; None where there is no such moment."""
    if len(digits) not in _FORMS or not (digits.isascii() and digits.isdecimal()):
        return None
    try:
        return datetime.strptime(_CENTURY + digits, f"%Y{_FORMS[len(digits)][2:]}").replace(tzinfo=zone)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Header:
    """Serial number (0 from the centre, else 1…65535) and send time, 12 digits."""

    serial: int
    sent: str

    def encode(self) -> bytes:
        """Eight bytes. Raises ValueError for a serial number above 65535."""
        if not 0 <= self.serial <= LAST_SERIAL:
            raise ValueError(f"serial number {self.serial}: 0 to {LAST_SERIAL} wanted")
        return self.serial.to_bytes(2, "big") + bytes.fromhex(self.sent)

    def encode_text(self) -> bytes:
        """Sixteen characters of the ASCII encoding."""
        return f"{self.serial:04X}{self.sent}".encode("ascii")


@dataclass(frozen=True, slots=True)
class Station:
    """The station what follows belongs to: 10 hex digits; its class byte in reports."""

    address: str
    kind: int | None = None

    def encode(self) -> bytes:
        """F1F1, address, class."""
        kind = b"" if self.kind is None else bytes([self.kind])
        return STATION_MARK + bytes.fromhex(self.address) + kind


@dataclass(frozen=True, slots=True)
class ObservedAt:
    """The observation time of what follows, 10 digits."""

    digits: str

    def encode(self) -> bytes:
        """F0F0 and the digits."""
        return TIME_MARK + bytes.fromhex(self.digits)


@dataclass(frozen=True, slots=True)
class Step:
    """The interval of the samples that follow: 6 digits ddhhmm, all zero with one-hour arrays only (annex C)."""

    digits: str

    @classmethod
    def of(cls, interval: timedelta) -> Self:
        """The step of 1…59 minutes, 1…23 hours or 1…31 days; raises ValueError for another interval."""
        for unit, most, pattern in (
            (timedelta(days=1), 31, "{:02d}0000"),
            (timedelta(hours=1), 23, "00{:02d}00"),
            (timedelta(minutes=1), 59, "0000{:02d}"),
        ):
            count, rest = divmod(interval, unit)
            if not rest and 1 <= count <= most:
                return cls(pattern.format(count))
        raise ValueError(f"{interval}: only whole days to 31, hours to 23, minutes to 59")

    @property
    def interval(self) -> timedelta | None:
        """The time between two samples; None where the digits are none, or all zero."""
        if not self.digits.isdecimal():
            return None
        days, hours, minutes = (int(self.digits[at : at + 2]) for at in (0, 2, 4))
        return timedelta(days=days, hours=hours, minutes=minutes) or None

    def encode(self) -> bytes:
        """04 18 and the digits."""
        return STEP_MARK + bytes.fromhex(self.digits)


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one element at equal intervals from the observation time on, all of the same length."""

    identifier: bytes
    definition: int
    samples: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Identifier, definition, samples."""
        return self.identifier + bytes([self.definition]) + b"".join(self.samples)

    @property
    def elements(self) -> tuple[Element, ...]:
        """The samples, each as an element of its own."""
        return tuple(Element(self.identifier, self.definition, each) for each in self.samples)


def series(
    identifier: bytes,
    values: Sequence[Decimal | None],
    *,
    digits: int | None = None,
    decimals: int | None = None,
) -> Series:
    """Samples of one length, that of the longest; None is sent as FF. Defaults and cut as `elements.number`."""
    least, places = form(identifier, digits, decimals)
    numbers = [None if value is None else number_bytes(value, places, size=least) for value in values]
    size = max((len(number) for number in numbers if number is not None), default=least)
    samples = tuple(b"\xff" * size if number is None else _padded(number, size) for number in numbers)
    return Series(identifier, definition(size, places), samples)


def _padded(number: bytes, size: int) -> bytes:
    """`number` with zeros behind its sign."""
    sign = number[:1] if number[0] == NEGATIVE else b""
    return sign + number[len(sign) :].rjust(size - len(sign), b"\0")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An identifier without data: the centre asks for it."""

    identifier: bytes
    definition: int

    def encode(self) -> bytes:
        """Identifier, definition."""
        return self.identifier + bytes([self.definition])


@dataclass(frozen=True, slots=True)
class Period:
    """First and last hour a centre asks for, 8 digits each."""

    first: str
    last: str

    def encode(self) -> bytes:
        """Eight bytes of digits."""
        return bytes.fromhex(self.first + self.last)


@dataclass(frozen=True, slots=True)
class ManualText:
    """A manual entry: all text up to the end of the body, blanks included."""

    text: bytes

    def encode(self) -> bytes:
        """F2F2 and the text."""
        return TEXT_MARK + self.text


@dataclass(frozen=True, slots=True)
class Picture:
    """Picture bytes: all up to the end of the body."""

    data: bytes

    def encode(self) -> bytes:
        """F3F3 and the bytes."""
        return PICTURE_MARK + self.data


@dataclass(frozen=True, slots=True)
class Version:
    """The software version, at most 255 bytes."""

    text: bytes

    def encode(self) -> bytes:
        """Its length and the text."""
        return bytes([len(self.text)]) + self.text


@dataclass(frozen=True, slots=True)
class Events:
    """The 32 event counters, ERC1 first."""

    counts: tuple[int, ...]

    def encode(self) -> bytes:
        """Two bytes each."""
        if len(self.counts) != EVENTS:
            raise ValueError(f"{len(self.counts)} counters; there are {EVENTS}")
        return b"".join(each.to_bytes(2, "big") for each in self.counts)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes this codec does not take apart: a packet behind the first, a control's switches, a rest."""

    data: bytes

    def encode(self) -> bytes:
        """The bytes."""
        return self.data


Part = Station | ObservedAt | Step | Element | Series | Wanted | Period | ManualText | Picture | Version | Events | Raw


@dataclass(frozen=True, slots=True)
class Body:
    """Header and parts; no header in a minimal acknowledgement (LEN 0) and in uplink packets behind the first."""

    header: Header | None
    parts: tuple[Part, ...] = ()

    def encode(self) -> bytes:
        """The payload of a binary frame."""
        head = b"" if self.header is None else self.header.encode()
        return head + b"".join(part.encode() for part in self.parts)
