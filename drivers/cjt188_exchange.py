"""One CJ/T 188 question and the state that recognises its answer. Pure.

Strategy: every sound frame in what arrived is compared with the question: meter type, address, function, identifier.
The serial number only tells a late answer to an earlier question, because some meters send 00 whatever was asked.

Source: CJ/T 188-2004, data link layer: frame, control code, serial number.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cached_property

from drivers.cjt188_item import AUTO, CjtItem
from drivers.cjt188_wire import (
    ADDRESS,
    ADDRESS_SIZE,
    ANY,
    ANY_ADDRESS,
    FRAME_SIZE,
    FROM_METER,
    HEAD_SIZE,
    HEADER_SIZE,
    HIGH_FIRST,
    LOW_FIRST,
    MONTHS,
    READ,
    READ_ADDRESS,
    READING,
    START,
    WAKE_UP,
    WATER,
    Frame,
    built,
    frame_at,
    identifier_bytes,
)
from drivers.contract import (
    NEED_DATA,
    BadChecksum,
    Malformed,
    NeedData,
    NoValue,
    RawValue,
    Refusal,
    Refused,
    Reply,
    WireError,
    WrongAddress,
)

_DATA_SIZES = {READING: 22, ADDRESS: HEAD_SIZE, **dict.fromkeys(MONTHS, 8)}  # DATA of a reply as the standard has it
_SERIALS = 255  # 1 to 255; 0 is what meters send that keep none
_KEPT_SERIALS = 4
_KEPT_BYTES = 1024  # of what was heard, as evidence
_FAILURES_TO_DOUBT = 3


@dataclass(slots=True)
class Talk:
    """What the questions to one meter have taught: the order of identifiers it hears, and what it left unanswered.

    `serials` are the numbers of the last questions, by identifier.
    """

    order: str = HIGH_FIRST
    unanswered: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT_SERIALS))
    serials: dict[int, int] = field(default_factory=dict)
    _is_proven: bool = False
    _failures: int = 0
    _is_doubted: bool = False

    def next_order(self) -> str:
        """The order to ask in."""
        if self._is_doubted:
            self.order = LOW_FIRST if self.order == HIGH_FIRST else HIGH_FIRST
            self._is_doubted = False
        return self.order

    def understood(self) -> None:
        """The meter answered: it hears this order."""
        self._is_proven, self._failures, self._is_doubted = True, 0, False
        self.unanswered.clear()

    def not_understood(self) -> None:
        """Nothing of this meter came, or a refusal. A proven order is not given up for one lost answer."""
        self._failures += 1
        self._is_doubted = not self._is_proven or self._failures >= _FAILURES_TO_DOUBT


@dataclass(frozen=True)
class CjtAsk:
    """One question for a record; its items are cut from the one reply. `wake` wake-up bytes go before it."""

    address: str
    items: tuple[CjtItem, ...]
    wake: int
    talk: Talk = field(compare=False, repr=False)

    @property
    def identifier(self) -> int:
        """The record."""
        return self.items[0].identifier

    @property
    def meter_type(self) -> int:
        """The type byte it is sent to."""
        return self.items[0].meter_type

    @property
    def function(self) -> int:
        """Read, or read address."""
        return READ_ADDRESS if self.identifier == ADDRESS else READ

    @cached_property
    def is_water(self) -> bool:
        """Something of it is laid out for water meters only."""
        return any(item.is_water for item in self.items)

    @property
    def request_size(self) -> int:
        """Bytes of the request with its wake-up bytes."""
        return self.wake + FRAME_SIZE + HEAD_SIZE

    @cached_property
    def reply_size(self) -> int:
        """Bytes of the reply, without wake-up bytes of its own."""
        return FRAME_SIZE + max(
            _DATA_SIZES.get(self.identifier, 0), *(item.end for item in self.items if not _in_header(item)), HEAD_SIZE
        )

    def begin(self, number: int) -> CjtExchange:
        """A new exchange. Its serial number follows from `number` (0: as it was asked last, to be looked at only)."""
        serial = (number - 1) % _SERIALS + 1 if number else self.talk.serials.get(self.identifier, 0)
        self.talk.serials[self.identifier] = serial
        order = self.items[0].order
        if order == AUTO:
            order = self.talk.next_order() if number else self.talk.order
        data = identifier_bytes(self.identifier, order) + bytes([serial])
        frame = built(self.meter_type, self.address, self.function, data)
        return CjtExchange(self, bytes([WAKE_UP]) * self.wake + frame, serial)

    def parts(self) -> tuple[CjtAsk, ...]:
        """Itself: a record is never cut."""
        return (self,)

    def is_type(self, meter_type: int) -> bool:
        """Whether a meter of this type may answer; what is laid out for water needs a water meter."""
        if self.is_water and meter_type not in WATER:
            return False
        return self.meter_type in {ANY, meter_type}

    def is_address(self, address: str) -> bool:
        """Whether the meter with this address may answer."""
        return self.address in {ANY_ADDRESS, address}

    def values(self, frame: Frame) -> tuple[RawValue, ...]:
        """The raw values of all items; what a shorter record does not hold is not available."""
        found: list[RawValue] = []
        for item in self.items:
            data = frame.raw[2 : 2 + ADDRESS_SIZE] if _in_header(item) else frame.data[item.at : item.end]
            found.append(item.decode(data) if len(data) == item.size else NoValue.NOT_AVAILABLE)
        return tuple(found)


def _in_header(item: CjtItem) -> bool:
    return item.field == "address"


class CjtExchange:
    """One question. Its answer is found behind any noise; what is not ours is never taken."""

    def __init__(self, ask: CjtAsk, request: bytes, serial: int) -> None:
        self.request = request
        self._ask = ask
        self._serial = serial
        self._buffer = bytearray()
        self._before = 0  # bytes that came before those in the buffer
        self._settled = 0  # no frame can begin before this place of the buffer
        self._evidence: WireError | None = None
        self._is_garbled = False

    @property
    def want(self) -> int:
        """Bytes in total after which asking again makes sense."""
        size = len(self._buffer)
        wants = [size + FRAME_SIZE]
        at = self._buffer.find(START, self._settled)
        while at >= 0:
            if self._may_be_ours(at) and frame_at(self._buffer, at) is None:
                is_sized = at + HEADER_SIZE <= size
                wants.append(at + (FRAME_SIZE + self._buffer[at + HEADER_SIZE - 1] if is_sized else HEADER_SIZE))
            at = self._buffer.find(START, at + 1)
        return self._before + min(wants)

    def _may_be_ours(self, at: int) -> bool:
        """Whether what has come of a header fits our answer."""
        head = self._buffer[at : at + HEADER_SIZE - 1]
        if len(head) > 1 and not self._ask.is_type(head[1]):
            return False
        if self._ask.address != ANY_ADDRESS:
            address = bytes.fromhex(self._ask.address)[::-1]
            if not address.startswith(head[2 : 2 + ADDRESS_SIZE]):
                return False
        return len(head) < HEADER_SIZE - 1 or bool(head[-1] & FROM_METER)

    def receive(self, data: bytes) -> Reply | NeedData:
        """Our answer if it is complete and sound. Raises Refused when the meter refuses."""
        buffer = self._buffer
        buffer += data
        at, is_settled = buffer.find(START, self._settled), True
        while at >= 0:
            frame = frame_at(buffer, at)
            step = 1
            if frame is None:
                is_settled = False  # it may still become one; but it may also be noise, with our answer behind it
            elif frame.is_sound:
                if self._is_ours(frame):
                    return Reply(self._ask.values(frame), frame.raw)
                step = len(frame.raw)
            elif self._may_be_ours(at):
                self._is_garbled = True
            if is_settled:
                self._settled = at + step
            at = buffer.find(START, at + step)
        if is_settled:
            self._settled = len(buffer)
        self._trim()
        return NEED_DATA

    def _trim(self) -> None:
        surplus = min(self._settled, len(self._buffer) - _KEPT_BYTES)
        if surplus > 0:
            del self._buffer[:surplus]
            self._before += surplus
            self._settled -= surplus

    def _is_ours(self, frame: Frame) -> bool:
        """Whether this sound frame answers the question; if not it is kept as evidence. Raises Refused."""
        ask, talk = self._ask, self._ask.talk
        foreign = self._foreign(frame)
        if foreign is not None:
            self._evidence = self._evidence or foreign
            return False
        if frame.is_error:
            talk.not_understood()
            shown = frame.data.hex(" ").upper()
            detail = f"control {frame.control:02X}, the meter refuses {ask.identifier:04X}; data {shown}"
            raise Refused(frame.control, Refusal.NEVER, detail, frame.raw)
        talk.understood()
        return True

    def _foreign(self, frame: Frame) -> WireError | None:
        """Why a sound frame is not the answer, if it is not."""
        ask, heard = self._ask, frame.raw
        if self.request.endswith(frame.raw):
            return Malformed("our own request came back: the adapter echoes", heard)
        if not frame.is_from_meter:
            return Malformed(f"a request to {frame.address}: another master asks on this line", heard)
        if not ask.is_address(frame.address):
            return WrongAddress(f"address {frame.address} answered, {ask.address} was asked", heard)
        if not ask.is_type(frame.meter_type):
            return WrongAddress(f"meter type {frame.meter_type:02X} answered, {ask.meter_type:02X} was asked", heard)
        other = self._other_answer(frame)
        return None if other is None else Malformed(other, heard)

    def _other_answer(self, frame: Frame) -> str | None:
        """To what else our meter's sound frame is an answer, if it is none to our question."""
        ask = self._ask
        if frame.function != ask.function:
            return f"control {frame.control:02X}, {ask.function | FROM_METER:02X} was expected"
        if frame.is_error:
            return None
        if not frame.has_identifier or frame.identifier[0] != ask.identifier:
            shown = f"{frame.identifier[0]:04X}" if frame.has_identifier else "no identifier"
            return f"{shown} answered, {ask.identifier:04X} was asked"
        if frame.serial != self._serial and frame.serial in ask.talk.unanswered:
            return f"a late answer to question {frame.serial}, {self._serial} was asked"
        return None

    def end(self) -> WireError | None:
        """What the bytes prove at the deadline."""
        talk = self._ask.talk
        if not self._is_garbled:
            talk.not_understood()
        if self._serial and self._serial not in talk.unanswered:
            talk.unanswered.append(self._serial)
        if self._evidence is not None:
            return self._evidence
        heard, count = bytes(self._buffer[-_KEPT_BYTES:]), self._before + len(self._buffer)
        if not count:
            return None
        if self._is_garbled:
            return BadChecksum("frame of the right shape, check sum or end byte do not fit", heard)
        if count >= self._ask.reply_size:
            return BadChecksum(f"{count} bytes, no sound frame among them", heard)
        return Malformed(f"{count} of {self._ask.reply_size} bytes", heard)
