"""Requests of DL/T 645 and CJ/T 188 made wrong on purpose, from right ones. Pure; every one of them is a read.

Source: DL/T 645-2007 and -1997, CJ/T 188-2004: frame format, control codes, addresses, as `docs/reference/` has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from drivers.cjt188_wire import (
    ADDRESS,
    ANY_ADDRESS,
    READ_ADDRESS,
    Frame,
    built,
    frame_at,
    identifier_bytes,
    sound_frames,
)
from drivers.cjt188_wire import START as CJT_START
from drivers.contract import Malformed
from drivers.dlt645_meter import READ_ADDRESS as DLT_READ_ADDRESS
from drivers.dlt645_wire import Candidate, address_bytes, candidates, frame_bytes
from drivers.dlt645_wire import found as sound_candidate
from simulators.conformance.frames import Seen

_FROM_METER, _ERROR, _MORE = 0x80, 0x40, 0x20  # bits of the control code, in both standards
_NO_SUCH_DATA = 0x02  # DL/T 645: bit 1 of the error byte
_READ_2007 = 0x11
_UNKNOWN_2007, _UNKNOWN_1997 = b"\xee\xee\xee\x0e", b"\xee\x0e"  # lowest byte first; no family of identifiers has 0E
_UNKNOWN_RECORD = 0xD1EE  # between the months of D1 and what the standard leaves open
_OTHER_END = 0x17
_FLIPPED = 0x55


class Sheet(Protocol):
    """One protocol's frames: what a request says, and requests like it that are not right."""

    broadcast: str

    def readdressed(self, request: bytes, address: str) -> bytes:
        """The same question to another address."""
        ...

    def unknown(self, request: bytes) -> bytes:
        """A question for data that do not exist."""
        ...

    def for_address(self, request: bytes) -> bytes | None:
        """The question to anyone for its address; None where the edition has none."""
        ...

    def is_whole(self, data: bytes) -> bool:
        """Whether a frame stands in it from its first to its last byte, sound or not."""
        ...

    def says_unknown(self, seen: Seen) -> bool:
        """Whether a refusal names the reason: no such data."""
        ...

    def identifier(self, data: bytes, control: int) -> bytes:
        """What identifies the data, in one byte order."""
        ...


def spoilt(request: bytes) -> tuple[bytes, ...]:
    """The request with a wrong check sum, and with a wrong end byte."""
    return request[:-2] + bytes([request[-2] ^ _FLIPPED, request[-1]]), request[:-1] + bytes([_OTHER_END])


def is_refusal(seen: Seen) -> bool:
    """Whether the meter says no."""
    return bool(seen.function & _FROM_METER and seen.function & _ERROR)


def answers_control(seen: Seen, control: int) -> bool:
    """Whether the control code of an answer is that of the question, with the bits of answers."""
    return seen.function & ~(_ERROR | _MORE) == control | _FROM_METER


class Dlt645Sheet:
    """DL/T 645."""

    broadcast = "99" * 6

    def _asked(self, request: bytes) -> Candidate:
        asked = sound_candidate(request)
        if asked is None or asked.control is None:
            raise Malformed("no request", request)
        return asked

    def readdressed(self, request: bytes, address: str) -> bytes:
        """The same question to another address."""
        asked = self._asked(request)
        assert asked.control is not None
        return request[: asked.at] + frame_bytes(address_bytes(address), asked.control, asked.data)

    def unknown(self, request: bytes) -> bytes:
        """A question for an identifier of no family."""
        asked = self._asked(request)
        assert asked.control is not None
        unknown = _UNKNOWN_2007 if asked.control == _READ_2007 else _UNKNOWN_1997
        return request[: asked.at] + frame_bytes(asked.address, asked.control, unknown)

    def for_address(self, request: bytes) -> bytes | None:
        """Function 13, which 1997 does not have."""
        asked = self._asked(request)
        if asked.control != _READ_2007:
            return None
        return request[: asked.at] + frame_bytes(address_bytes("AA" * 6), DLT_READ_ADDRESS)

    def is_whole(self, data: bytes) -> bool:
        """Whether any candidate is complete."""
        return any(each.is_complete for each in candidates(data))

    def says_unknown(self, seen: Seen) -> bool:
        """Bit 1 of the error byte."""
        return bool(seen.body and seen.body[0] & _NO_SUCH_DATA)

    def identifier(self, data: bytes, control: int) -> bytes:
        """Four bytes, in 1997 two."""
        return data[: 4 if control & ~(_FROM_METER | _ERROR | _MORE) == _READ_2007 else 2]


class Cjt188Sheet:
    """CJ/T 188."""

    broadcast = "99" * 7

    def _asked(self, request: bytes) -> tuple[int, Frame]:
        asked = next(sound_frames(request), None)
        if asked is None:
            raise Malformed("no request", request)
        return asked

    def readdressed(self, request: bytes, address: str) -> bytes:
        """The same question to another address."""
        at, asked = self._asked(request)
        return request[:at] + built(asked.meter_type, address, asked.control, asked.data)

    def unknown(self, request: bytes) -> bytes:
        """A question for a record that does not exist."""
        at, asked = self._asked(request)
        data = identifier_bytes(_UNKNOWN_RECORD, asked.identifier[1]) + asked.data[2:]
        return request[:at] + built(asked.meter_type, asked.address, asked.control, data)

    def for_address(self, request: bytes) -> bytes | None:
        """Control 03, identifier 810A."""
        at, asked = self._asked(request)
        data = identifier_bytes(ADDRESS, asked.identifier[1]) + asked.data[2:3]
        return request[:at] + built(asked.meter_type, ANY_ADDRESS, READ_ADDRESS, data)

    def is_whole(self, data: bytes) -> bool:
        """Whether the frame from the first start byte on is complete."""
        at = data.find(CJT_START)
        return at >= 0 and frame_at(data, at) is not None

    def says_unknown(self, seen: Seen) -> bool:
        """What follows the serial number of a refusal is each maker's own."""
        return is_refusal(seen)

    def identifier(self, data: bytes, control: int) -> bytes:  # noqa: ARG002 - all functions have the same
        """Two bytes, either of which may come first."""
        return bytes(sorted(data[:2]))


SHEETS: Mapping[str, Sheet] = MappingProxyType({"dlt645": Dlt645Sheet(), "cjt188": Cjt188Sheet()})
"""Protocol to what makes its frames."""
