"""The meter's side of DL/T 645: answers from an image of its data, for simulators and tests. Pure.

What an image is, `dlt645_image.py` says. `most` in it (bytes of data in one frame) makes it answer in several frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drivers.contract import BadChecksum, Malformed, Refusal, WireError, WrongAddress
from drivers.dlt645_exchange import FOLLOW, READ, refused
from drivers.dlt645_image import UNMERGED, data_of
from drivers.dlt645_table import EDITION_1997, EDITION_2007, edition_of
from drivers.dlt645_wire import (
    ERROR,
    FUNCTION,
    LEAST_SIZE,
    MORE,
    MOST_DATA,
    REPLY,
    START,
    WAKE,
    Candidate,
    address_bytes,
    address_text,
    candidates,
    found,
    frame_bytes,
    is_addressed,
    wake_count,
)

READ_ADDRESS = 0x13
MOST = "most"
_IDENTIFIER_SIZE = {EDITION_2007: 4, EDITION_1997: 2}
_NO_SUCH_DATA = 0x02
_NOT_AUTHORISED = 0x04  # what a meter says to whom it does not know


def request_size(head: bytes) -> int | None:
    """Length of the request that `head` begins with, noise before it included; None while it cannot be known."""
    for each in candidates(head):
        return None if each.size is None else each.at + each.size
    at = head.find(bytes([START]), max(0, len(head) - 7))  # it may still begin a frame
    if at >= 0 or not head.strip(bytes([WAKE])):
        return None
    return len(head)


def answer(request: bytes, memory: Mapping[str, Any]) -> bytes:
    """The reply of the first meter that is addressed; b"" when none is, or when the request is not sound."""
    asked = found(request)
    if asked is None or asked.control is None or asked.control & (REPLY | ERROR | MORE):
        return b""
    for text, image in memory.items():
        own = address_bytes(text)
        if is_addressed(asked.address, own):
            reply = _answer(asked, own, image)
            return bytes([WAKE]) * wake_count(request, asked.at) + reply if reply else b""
    return b""


def _answer(asked: Candidate, own: bytes, image: Mapping[str, Any]) -> bytes:
    control, data = asked.control, asked.data
    assert control is not None
    editions = {edition_of(key.partition("+")[0]) for key in image if key not in {MOST, UNMERGED}}
    if control == READ_ADDRESS and EDITION_2007 in editions:
        return frame_bytes(own, READ_ADDRESS | REPLY, own)
    edition = next((each for each in editions if control in {READ[each], FOLLOW[each]}), None)
    if edition is None:
        is_2007 = EDITION_2007 in editions and control > READ_ADDRESS
        return frame_bytes(own, control | REPLY | ERROR, bytes([_NOT_AUTHORISED])) if is_2007 else b""
    size = _IDENTIFIER_SIZE[edition]
    value = data_of(image, data[:size][::-1].hex().upper()) if len(data) >= size else None
    if value is None:
        return frame_bytes(own, control | REPLY | ERROR, bytes([_NO_SUCH_DATA]))
    most = int(image.get(MOST, MOST_DATA)) - size - 1
    is_numbered = control == FOLLOW[edition] and edition == EDITION_2007
    number = data[-1] if is_numbered else int(control == FOLLOW[edition])
    part = value[number * most : (number + 1) * most]
    goes_on = MORE if len(value) > (number + 1) * most else 0
    if control == FOLLOW[edition] and not part:
        return frame_bytes(own, control | REPLY | ERROR, bytes([_NO_SUCH_DATA]))
    return frame_bytes(own, control | REPLY | goes_on, data[:size] + part + (data[-1:] if is_numbered else b""))


def recalled(request: bytes, reply: bytes) -> dict[str, Any]:
    """The memory that a recorded question and its answer, follow-ups behind it included, prove.

    Raises WireError when they prove none.
    """
    asked, told = _recorded(request), _recorded(reply)
    assert asked.control is not None
    assert told.control is not None
    edition = next((each for each in READ if asked.control in {READ[each], FOLLOW[each]}), None)
    if edition is None:
        raise Malformed("the recorded request is no read", request)
    if not is_addressed(asked.address, told.address):
        answered = f"{address_text(told.address)} answered, {address_text(asked.address)} was asked"
        raise WrongAddress(answered, reply)
    if told.control & ~MORE == asked.control | REPLY | ERROR and told.data:
        raise refused(edition, told, Refusal.NEVER)
    size = _IDENTIFIER_SIZE[edition]
    if told.control & ~MORE != asked.control | REPLY or told.data[:size] != asked.data[:size] or len(told.data) < size:
        raise Malformed("the recorded reply does not answer the recorded request", reply)
    image = _proven(told, edition, 1)
    while told.control & MORE and (more := found(reply[told.at + len(told.raw) :])) is not None:
        told = replace(more, at=told.at + len(told.raw) + more.at)
        assert told.control is not None
        if told.control & ~MORE != FOLLOW[edition] | REPLY or told.data[:size] != asked.data[:size]:
            break
        image |= _proven(told, edition, len(image))
    return {address_text(told.address): image}


def _proven(told: Candidate, edition: str, number: int) -> dict[str, bytes]:
    """The data of one sound reply under its identifier; of a follow-up, with the number it has or (1997) `number`."""
    assert told.control is not None
    size = _IDENTIFIER_SIZE[edition]
    identifier, data = told.data[:size][::-1].hex().upper(), told.data[size:]
    if told.control & FUNCTION != FOLLOW[edition]:
        return {identifier: data}
    if edition == EDITION_1997:
        return {f"{identifier}+{number}": data}
    return {f"{identifier}+{data[-1] if data else number}": data[:-1]}


def _recorded(frame: bytes) -> Candidate:
    """The only frame in a recording. Raises WireError."""
    sound = found(frame)
    if sound is not None:
        return sound
    shaped = next((each for each in candidates(frame) if each.is_complete), None)
    error: type[WireError] = Malformed if shaped is None else BadChecksum
    detail = "no whole frame" if shaped is None else f"the check sum should be {shaped.sum:02X}"
    raise error(f"a recorded frame is not sound: {detail}", frame[:LEAST_SIZE] if shaped is None else shaped.raw)
