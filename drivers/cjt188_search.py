"""Finds CJ/T 188 meters: all of them answer the wildcard address and the wildcard type, with their own. Pure.

The protocol has no way to call only some of several meters on a line: they have to be told apart by their printed
addresses. Both byte orders of the identifier are tried, as meters of either edition hear one of them.

Source: CJ/T 188-2004, data link layer: address AA…, type AA, control codes 01 and 03; the byte order of 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.cjt188 import CjtDriver
from drivers.cjt188_wire import ANY_ADDRESS, HIGH_FIRST, LOW_FIRST, READ, READ_ADDRESS, WAKE_UP, sound_frames
from drivers.contract import Ask
from drivers.raw import RawProtocol
from drivers.search import Call

_FIRST_BYTE = {"id": "901F", "field": "uint", "at": 3, "size": 1, "meter_type": "AA"}  # of any meter's reading


@dataclass(frozen=True, slots=True)
class CjtCall:
    """Calls all meters that hear this order of the identifier."""

    ask: Ask
    address: str = ANY_ADDRESS

    def heard(self, received: bytes) -> str | None:
        """The address of the first meter that sent a sound frame."""
        return next((frame.address for _, frame in sound_frames(received) if frame.is_from_meter), None)

    def narrower(self) -> tuple[Call, ...]:
        """Nothing: everybody or one."""
        return ()


def cjt188_calls(*, framing: str, numbers: Sequence[int]) -> tuple[Call, ...]:
    """One call for each byte order; none on Modbus TCP. `numbers` are not how these meters are addressed."""
    del numbers
    if framing != "rtu":
        return ()
    driver = CjtDriver()
    items = [driver.item({**_FIRST_BYTE, "di_order": order}) for order in (HIGH_FIRST, LOW_FIRST)]
    return tuple(CjtCall(driver.plan(ANY_ADDRESS, [[item]], {})[0]) for item in items)


def _is_read(framing: str, request: bytes) -> bool:
    for at, frame in sound_frames(request):
        is_alone = len(request) == at + len(frame.raw) and not request[:at].strip(bytes([WAKE_UP]))
        return framing == "rtu" and is_alone and frame.control in {READ, READ_ADDRESS}
    return False


def _is_whole(request: bytes, received: bytes) -> bool:
    del request
    return any(frame.is_from_meter for _, frame in sound_frames(received))


RAW_CJT188 = RawProtocol(is_read=_is_read, is_whole=_is_whole)
