"""What the parameters of a station are called and how long they are: basic (40, 41) and run (42, 43). Pure.

Only those that a station of withdrawal points has. Their numbers are another space than those of elements: the function
code tells them apart (6.6.3.2).

Source: SL 651-2014 annex D, tables D.1 and D.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from agent.uplinks.sl651_wire.elements import Element, definition, number
from agent.uplinks.sl651_wire.parts import Wanted

CENTRES: Final = b"\x01"  # four bytes, one per centre, 0 unused
STATION: Final = b"\x02"
PASSWORD: Final = b"\x03"
FIRST_CHANNEL, LAST_CHANNEL = 0x04, 0x0B  # main and backup of centres 1 to 4
WORKING_MODE: Final = b"\x0c"  # 1 reports, 2 reports with confirmation, 3 answers queries, 4 is being worked on
ELEMENTS: Final = b"\x0d"  # which elements are measured, a map of bits
RELAYS: Final = b"\x0e"
IDENTITY: Final = b"\x0f"  # of the communication device, text
CLEAR_STORAGE: Final = b"\x97"
FACTORY_RESET: Final = b"\x98"
BASE_READINGS: Final = range(0x99, 0xA1)  # of meters 1 to 8

BASIC_SIZES: Mapping[bytes, int] = MappingProxyType({CENTRES: 4, STATION: 5, PASSWORD: 2, WORKING_MODE: 1, ELEMENTS: 8})
"""Bytes of the basic parameters whose length is fixed."""


@dataclass(frozen=True, slots=True)
class Form:
    """N(D,d) and unit of a run parameter."""

    digits: int
    decimals: int
    unit: str


_SINGLE = {
    0x20: Form(2, 0, "h"),  # timed report every 1, 2, 3, 4, 6, 8, 12, 24 h
    0x21: Form(2, 0, "min"),  # additional report; 0 is off
    0x22: Form(2, 0, "h"),  # when the day begins
    0x23: Form(4, 0, "s"),  # sampling
    0x24: Form(2, 0, "min"),  # storing levels
    0x25: Form(2, 1, "mm"),
    0x26: Form(2, 1, "cm"),
    0x42: Form(6, 3, "m3/s"),  # a change of flow that is reported at once
    0x8D: Form(11, 3, "m3/s"),  # upper limit of flow
    0x96: Form(11, 3, "m3"),  # quota
}
_RANGES = (
    (range(0x28, 0x30), Form(7, 3, "m")),  # datum of level 1-8
    (range(0x30, 0x38), Form(5, 3, "m")),  # correction of level 1-8
    (range(0x49, 0x59), Form(4, 2, "m")),  # upper and lower limit of intake level 1-8
    (range(0x59, 0x69), Form(8, 2, "kPa")),  # upper and lower limit of intake pressure 1-8
    (range(0x8E, 0x96), Form(11, 3, "m3")),  # volume paid, meter 1-8
    (BASE_READINGS, Form(11, 3, "m3")),
    (range(0xA1, 0xA9), Form(11, 3, "m3")),  # alarm at this volume left, meter 1-8
)
RUN: Mapping[bytes, Form] = MappingProxyType(
    {
        bytes([guide]): form
        for guide, form in (_SINGLE | {guide: form for guides, form in _RANGES for guide in guides}).items()
    }
)


def run_parameter(identifier: bytes, value: Decimal) -> Element:
    """A run parameter with its value; decimals beyond its form are cut. Raises KeyError for one without a form here."""
    form = RUN[identifier]
    return number(identifier, value, digits=form.digits, decimals=form.decimals)


def basic_parameter(identifier: bytes, data: bytes) -> Element:
    """A basic parameter with its bytes. Raises ValueError where the table says another length."""
    if len(data) != BASIC_SIZES.get(identifier, len(data)):
        raise ValueError(f"{len(data)} bytes; {BASIC_SIZES[identifier]} wanted")
    return Element(identifier, len(data) if identifier == RELAYS else definition(len(data), 0), data)


def wanted(identifier: bytes, *, is_basic: bool) -> Wanted:
    """The parameter as a centre asks for it: with definition 00 where its length varies."""
    if is_basic:
        return Wanted(identifier, definition(BASIC_SIZES.get(identifier, 0), 0))
    form = RUN.get(identifier)
    return Wanted(identifier, 0 if form is None else definition((form.digits + 1) // 2, form.decimals))
