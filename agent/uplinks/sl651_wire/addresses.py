"""Station addresses, and channel addresses of the basic configuration. Pure.

Source: SL 651-2014 6.2.3.2 (tables 13, 14), annex D (table D.1), 6.6.3.3 b (padding A).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Final

HYDROLOGICAL: Final = "00"  # table 13: the first byte; the other four are the code of SL 502
BROADCAST: Final = "FFFF"  # table 14: 65535 in the last two bytes
LAST_STATION: Final = 60_000  # table 14: above it are relays
IPV4: Final = 2  # table D.1: channel type
_OCTET_DIGITS, _PORT_DIGITS, _OCTETS = 3, 6, 4
_ADMINISTRATIVE = re.compile(r"\d{6}")


def station_address(administrative: str, number: int) -> str:
    """The 10 hex digits of a station that is none of hydrology: 6 digits of GB/T 2260 and its own number, 1…60000.

    Raises:
        ValueError: for anything else.
    """
    if _ADMINISTRATIVE.fullmatch(administrative) is None or not 1 <= number <= LAST_STATION:
        raise ValueError(f"{administrative} {number}: 6 digits and 1 to {LAST_STATION} wanted")
    return f"{administrative}{number:04X}"


def is_for(address: str, station: str) -> bool:
    """Whether a down frame with `address` is meant for `station`: its own, or the broadcast number."""
    return address.endswith(BROADCAST) or address == station


def channel(data: bytes) -> tuple[int, str] | None:
    """Type and address of a channel: `a.b.c.d:port` of type 2, else the digits as sent; None without bytes."""
    if not data:
        return None
    kind = int(data[:1].hex()) if data[:1].hex().isdecimal() else data[0]
    digits = data[1:].hex().upper()
    if kind == IPV4 and digits.isdecimal() and len(digits) == _OCTETS * _OCTET_DIGITS + _PORT_DIGITS:
        octets = (int(digits[at : at + _OCTET_DIGITS]) for at in range(0, _OCTETS * _OCTET_DIGITS, _OCTET_DIGITS))
        return kind, f"{'.'.join(map(str, octets))}:{int(digits[-_PORT_DIGITS:])}"
    return kind, digits


def ipv4_channel(host: IPv4Address, port: int) -> bytes:
    """The ten bytes of an IPv4 channel."""
    octets = "".join(f"{each:03d}" for each in host.packed)
    return bytes([IPV4]) + bytes.fromhex(f"{octets}{port:06d}")


def number_channel(kind: int, number: str) -> bytes:
    """A channel that is called by number: an odd number of digits gets an A in front."""
    return bytes([kind]) + bytes.fromhex(("A" if len(number) % 2 else "") + number)
