"""The meter's side of DL/T 645: answers from an image of its data, for simulators and tests. Pure.

An image is {identifier as printed: data without 33H}. Blocks are put together from their members, and members are cut
out of a block that is there. `most` (bytes of data in one frame) makes it answer in several; `unmerged` makes it refuse
blocks that it does not hold as such. A follow-up that was recorded stands under the identifier with `+` and its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.contract import BadChecksum, Malformed, Refusal, WireError, WrongAddress
from drivers.dlt645_exchange import FOLLOW, READ, refused
from drivers.dlt645_table import EDITION_1997, EDITION_2007, block_of, edition_of, field_of, member_of
from drivers.dlt645_values import cut
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
MOST, UNMERGED = "most", "unmerged"
_IDENTIFIER_SIZE = {EDITION_2007: 4, EDITION_1997: 2}
_NO_SUCH_DATA = 0x02
_NOT_AUTHORISED = 0x04  # what a meter says to whom it does not know
_BLOCK_END = b"\xaa"
_MOST_TARIFFS = 64


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


def data_of(image: Mapping[str, Any], identifier: str) -> bytes | None:
    """The data behind an identifier; None when the image does not have it."""
    if identifier in image:
        parts, number = [bytes(image[identifier])], 1
        while (more := image.get(f"{identifier}+{number}")) is not None:
            parts.append(bytes(more))
            number += 1
        return b"".join(parts)
    home = block_of(identifier)
    if home is not None:
        return _member(image, *home)
    return None if UNMERGED in image else _block(image, identifier)


def _member(image: Mapping[str, Any], block: str, place: int) -> bytes | None:
    field = field_of(block)
    if field is None or block not in image:
        return None
    data = data_of(image, block) or b""
    items = cut(data, field.size, field.most, has_ends=edition_of(block) == EDITION_1997)[0]
    return items[place] if place < len(items) else None


def _block(image: Mapping[str, Any], block: str) -> bytes | None:
    """The members that are there, those between them as not available, and AA behind each (1997)."""
    field = field_of(block)
    if field is None or not field.is_block:
        return None
    missing = (b"\0" if field.kind == "bits" else b"\xff") * field.size
    members = [member_of(block, place) for place in range(field.most or _MOST_TARIFFS)]
    held = [image.get(member) if member else None for member in members]
    last = max((place for place, data in enumerate(held) if data is not None), default=-1)
    if last < 0:
        return None
    count = field.most or last + 1
    end = _BLOCK_END if edition_of(block) == EDITION_1997 else b""
    return b"".join((missing if data is None else bytes(data)) + end for data in held[:count])


def recalled(request: bytes, reply: bytes) -> dict[str, Any]:
    """The memory that a recorded question and its answer prove. Raises WireError when they prove none."""
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
    identifier, data = told.data[:size][::-1].hex().upper(), told.data[size:]
    if told.control & FUNCTION == FOLLOW[edition]:
        number = data[-1] if edition == EDITION_2007 and data else 1
        identifier, data = f"{identifier}+{number}", data[:-1] if edition == EDITION_2007 else data
    return {address_text(told.address): {identifier: data}}


def _recorded(frame: bytes) -> Candidate:
    """The only frame in a recording. Raises WireError."""
    sound = found(frame)
    if sound is not None:
        return sound
    shaped = next((each for each in candidates(frame) if each.is_complete), None)
    error: type[WireError] = Malformed if shaped is None else BadChecksum
    detail = "no whole frame" if shaped is None else f"the check sum should be {shaped.sum:02X}"
    raise error(f"a recorded frame is not sound: {detail}", frame[:LEAST_SIZE] if shaped is None else shaped.raw)
