"""CJ/T 188-2004 and -2018: water meters that answer with whole records, one question for each data identifier.

Strategy: fields of one record share one question; `cjt188_exchange` recognises the answer. Both editions differ in the
byte order of the identifier, and meters of either age in which one they hear: `auto` asks in the other order after a
question that was not answered, and stays with what was.

Source: CJ/T 188-2004, data link and application layer. The 2018 edition: byte order as its meters have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drivers.cjt188_exchange import CjtAsk, Talk
from drivers.cjt188_item import TYPE_KEY, CjtItem, cjt_item
from drivers.cjt188_wire import (
    ADDRESS,
    ADDRESS_SIZE,
    ANY,
    ANY_ADDRESS,
    ERROR,
    FRAME_SIZE,
    FROM_METER,
    HEAD_SIZE,
    HEADER_SIZE,
    MORE,
    READ,
    READ_ADDRESS,
    START,
    WAKE_UP,
    Frame,
    built,
    sound_frames,
)
from drivers.contract import BadChecksum, Malformed, SpecError, WireCost, WrongAddress

BROADCAST = "99" * ADDRESS_SIZE  # never answered
_WAKE_UP_BYTES = 4  # 2 to 4 wake-up bytes are usual
_MOST_WAKE_UP_BYTES = 20
_DEFAULT_TYPE = 0x10
_REFUSAL_STATUS = b"\0\0"  # what follows the serial number of a refusal is each maker's own


class CjtDriver:
    """CJ/T 188 on a serial line, also behind a transparent TCP gateway or an M-Bus level converter."""

    def __init__(self, *, framing: str = "rtu", cost: WireCost | None = None) -> None:
        del cost  # a record is one question: there is nothing to merge or to split
        self._framing = framing

    def item(self, spec: Mapping[str, Any]) -> CjtItem:
        """Checks the protocol's keys of a profile entry. Raises SpecError."""
        return cjt_item(spec)

    def plan(self, address: str, bundles: Sequence[Sequence[CjtItem]], limits: Mapping[str, Any]) -> tuple[CjtAsk, ...]:
        """One question for each record. Raises SpecError (address, limits, a bundle from several records)."""
        self._check(address)
        wake = _wake(limits)
        records: dict[tuple[int, int, str], dict[CjtItem, None]] = {}
        for bundle in bundles:
            keys = {(item.identifier, item.meter_type, item.order) for item in bundle}
            if len(keys) > 1:
                shown = " ".join(sorted(f"{identifier:04X}" for identifier, _, _ in keys))
                raise SpecError("sum", "spec.cjt188-record", value=shown)
            records.setdefault(keys.pop(), {}).update(dict.fromkeys(bundle))
        talk = Talk()
        return tuple(CjtAsk(address.upper(), tuple(items), wake, talk) for items in records.values())

    def _check(self, address: str) -> None:
        if self._framing != "rtu":
            raise SpecError("framing", "spec.cjt188-framing", value=self._framing)
        is_number = len(address) == 2 * ADDRESS_SIZE and address.isascii() and address.isdigit()
        if not (is_number or address.upper() == ANY_ADDRESS) or address == BROADCAST:
            raise SpecError("address", "spec.cjt188-address", value=address)

    def request_size(self, head: bytes) -> int | None:
        """Meter's side: length of the request that `head` begins with, noise before it included; None while unknown."""
        for at, frame in sound_frames(head):
            return at + len(frame.raw)
        at = head.find(START)
        if at < 0:
            return len(head) if head.strip(bytes([WAKE_UP])) else None
        return at + FRAME_SIZE + head[at + HEADER_SIZE - 1] if len(head) >= at + HEADER_SIZE else None

    def answer(self, request: bytes, memory: Mapping[str, Any]) -> bytes:
        """Meter's side: the reply of the meter addressed in `memory`, b"" when none answers.

        `memory` maps addresses to {"901F": the bytes behind identifier and serial number, …}; `meter_type` ("10") and
        `di_order`, where given, are what it listens to.
        """
        frame = next((found for _, found in sound_frames(request)), None)
        if frame is None or frame.is_from_meter or not frame.has_identifier:
            return b""
        address = next((each for each in memory if frame.address in {ANY_ADDRESS, each}), None)
        if address is None:
            return b""
        image = memory[address]
        identifier, order = frame.identifier
        own_type = int(image[TYPE_KEY], 16) if TYPE_KEY in image else None
        is_heard = own_type is None or frame.meter_type in {ANY, own_type}
        if not is_heard or image.get("di_order", order) != order:
            return b""
        answering = own_type or (_DEFAULT_TYPE if frame.meter_type == ANY else frame.meter_type)
        record = _record(image, frame.function, identifier)
        if record is None:
            control, data = frame.function | FROM_METER | ERROR, frame.data[2:HEAD_SIZE] + _REFUSAL_STATUS
        else:
            control, data = frame.function | FROM_METER, frame.data[:HEAD_SIZE] + record
        return built(answering, address, control, data)

    def recall(self, request: bytes, reply: bytes) -> dict[str, Any]:
        """The memory that a recorded exchange proves. Raises WireError."""
        asked, answered = _recorded(request), _recorded(reply)
        if asked.is_from_meter or not asked.has_identifier or asked.function not in {READ, READ_ADDRESS}:
            raise Malformed("the recorded request is no read", request)
        if asked.address not in {ANY_ADDRESS, answered.address}:
            raise WrongAddress(f"address {answered.address} answered, {asked.address} was asked", reply)
        if answered.control & ~MORE != asked.control | FROM_METER or not answered.has_identifier:
            raise Malformed(f"control {answered.control:02X} does not answer {asked.control:02X}", reply)
        if answered.identifier[0] != asked.identifier[0]:
            detail = f"{answered.identifier[0]:04X} answered, {asked.identifier[0]:04X} was asked"
            raise Malformed(detail, reply)
        image: dict[str, Any] = {f"{asked.identifier[0]:04X}": answered.data[HEAD_SIZE:]}
        if answered.meter_type != ANY:
            image[TYPE_KEY] = f"{answered.meter_type:02X}"
        return {answered.address: image}


def _wake(limits: Mapping[str, Any]) -> int:
    """The profile's section `limits`. Raises SpecError."""
    for key in limits:
        if key != "wake":
            raise SpecError(key, "spec.unknown-key", value=key, allowed="wake")
    wake = limits.get("wake", _WAKE_UP_BYTES)
    if not isinstance(wake, int) or isinstance(wake, bool) or not 0 <= wake <= _MOST_WAKE_UP_BYTES:
        raise SpecError("wake", "spec.choice", value=str(wake), allowed=f"0…{_MOST_WAKE_UP_BYTES}")
    return wake


def _record(image: Mapping[str, Any], function: int, identifier: int) -> bytes | None:
    """What the meter answers behind identifier and serial number; None where it refuses."""
    if function == READ_ADDRESS:
        return b"" if identifier == ADDRESS else None
    record = image.get(f"{identifier:04X}") if function == READ else None
    return record if isinstance(record, bytes) else None


def _recorded(data: bytes) -> Frame:
    """The frame of a recording. Raises BadChecksum, Malformed."""
    found = [frame for _, frame in sound_frames(data)]
    if not found:
        if START in data:
            raise BadChecksum("the check sum of a recorded frame does not fit", data)
        raise Malformed("there is no frame in the recording", data)
    return found[0]
