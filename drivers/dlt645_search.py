"""Finds DL/T 645 meters: a wildcard address is answered by every meter, with its own address in the header. Pure.

Strategy: 2007 meters tell their address when asked for it (function 13); 1997 has no such function, there a read of the
total is tried. Where several answer at once nothing can be read; then the last two digits are given, the others left
open, pair by pair until only one answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.contract import Ask
from drivers.dlt645 import WILDCARD, AddressAsk, Dlt645Driver
from drivers.dlt645_exchange import FOLLOW, READ
from drivers.dlt645_meter import READ_ADDRESS
from drivers.dlt645_wire import REPLY, WAKE, address_text, candidates, found
from drivers.raw import RawProtocol
from drivers.search import Call

_TOTALS = {"2007": "00010000", "1997": "9010"}
_READS = frozenset({READ_ADDRESS, *READ.values(), *FOLLOW.values()})
_ANY = "AA"


@dataclass(frozen=True, slots=True)
class Dlt645Call:
    """Calls all meters of one edition whose last digits are those of `address`."""

    ask: Ask
    address: str
    edition: str

    def heard(self, received: bytes) -> str | None:
        """The address in the first sound answer."""
        for frame in candidates(received):
            if frame.is_sound and frame.raw[8] & REPLY and address_text(frame.address).isdigit():
                return address_text(frame.address)
        return None

    def narrower(self) -> tuple[Call, ...]:
        """The hundred calls with two digits more; none when all twelve are given."""
        open_pairs = self.address.count(_ANY)
        known = self.address[2 * open_pairs :]
        if not open_pairs:
            return ()
        return tuple(_call(f"{_ANY * (open_pairs - 1)}{pair:02d}{known}", self.edition) for pair in range(100))


def _call(address: str, edition: str) -> Dlt645Call:
    """A read of the total: every meter has one, and a refusal tells as much."""
    driver = Dlt645Driver()
    (ask,) = driver.plan(address, [(driver.item({"id": _TOTALS[edition]}),)], {})
    return Dlt645Call(ask, address, edition)


def dlt645_calls(*, framing: str, numbers: Sequence[int]) -> tuple[Call, ...]:  # noqa: ARG001 - addresses are no numbers to walk
    """One call for the meters of each edition; none on Modbus TCP."""
    if framing != "rtu":
        return ()
    return Dlt645Call(AddressAsk(), WILDCARD, "2007"), _call(WILDCARD, "1997")


def is_dlt645_read(framing: str, request: bytes) -> bool:
    """Whether `request` is one sound frame that reads, and does nothing else."""
    frame = found(request)
    if framing != "rtu" or frame is None or frame.raw != request.lstrip(bytes([WAKE])):
        return False
    return frame.control in _READS


def is_whole_dlt645(request: bytes, received: bytes) -> bool:
    """Whether a sound frame of a meter is among what was received."""
    rest = received.removeprefix(request)
    return any(frame.is_sound and frame.raw[8] & REPLY for frame in candidates(rest))


RAW_DLT645 = RawProtocol(is_read=is_dlt645_read, is_whole=is_whole_dlt645)
