"""What every meter protocol gives: plans, exchanges, replies, and the errors a wire can prove.

A driver is pure. It plans requests, recognises their replies and, for simulators, answers as the meter would. It never
waits, opens or logs: the line owns the port and the deadlines, and feeds an exchange whatever arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, Protocol


class NeedData(Enum):
    """The one answer of `Exchange.receive` that is not a reply."""

    NEED_DATA = "need-data"


NEED_DATA = NeedData.NEED_DATA


class NoValue(StrEnum):
    """Why the bytes of an item are no number. Each is also the quality word of the reading that has no value."""

    NOT_A_NUMBER = "NOT_A_NUMBER"  # IEEE 754 NaN or infinity
    NOT_AVAILABLE = "NOT_AVAILABLE"  # the pattern with which this meter says "I do not have it" (all ones)
    NOT_BCD = "NOT_BCD"  # a half-byte above 9 in a decimal-coded field
    UNKNOWN_CODE = "UNKNOWN_CODE"  # the unit code beside it is none that makes it this quantity


RawValue = Decimal | NoValue
"""What an item's bytes are: an exact number, or the reason why they are none."""


class WireError(Exception):
    """What the received bytes prove against the exchange. `received` holds them for the trace."""

    def __init__(self, detail: str, received: bytes = b"") -> None:
        super().__init__(detail)
        self.detail = detail
        self.received = received


class BadChecksum(WireError):
    """A frame of the right shape came whose check sum does not fit: noise, termination, two meters at once."""


class WrongAddress(WireError):
    """A sound frame came from another meter: a duplicate address, or a late answer."""


class Malformed(WireError):
    """Bytes came that are not the answer to this request: other function, other count, cut or foreign."""


class Refusal(StrEnum):
    """What a refusal means for whoever asks."""

    NEVER = "never"  # this meter does not do that
    NARROWER = "narrower"  # it may answer if less is asked at once
    LATER = "later"  # it is there and asks for time
    ABSENT = "absent"  # a gateway speaks for a meter that did not answer


class Refused(WireError):
    """The meter understood and said no. `code` is the protocol's own (Modbus: exception code)."""

    def __init__(self, code: int, kind: Refusal, detail: str, received: bytes = b"") -> None:
        super().__init__(detail, received)
        self.code = code
        self.kind = kind


class SpecError(Exception):
    """A profile entry the protocol cannot read: `key` is the offending key, `code` names a sentence in locale/.

    `arguments` fill the sentence's placeholders (value, limit, allowed).
    """

    def __init__(self, key: str, code: str, **arguments: str) -> None:
        super().__init__(f"{key}: {code} {arguments}")
        self.key = key
        self.code = code
        self.arguments = arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class WireCost:
    """What a request costs on this line; the planner merges reads by it. Times in seconds."""

    character_s: float = 0.0  # time of one character on the wire; 0 for TCP
    request_s: float = 0.001  # fixed cost of one more request: turnaround and silences (serial), round trip (TCP)
    register_s: float = 20e-6  # cost of carrying one register too many (serial: two characters)


class Item(Protocol):
    """One field a driver can read, hashable; equal items are read once. Its own protocol knows the rest.

    `taken`, `put` and `spoilt` are the meter's side: simulators keep a meter's image (what `Driver.answer` maps an
    address to) by them, whatever its form.
    """

    @property
    def kind(self) -> str:
        """Its type; those that begin with `f` carry fractions (floating or fixed point), all others are whole."""
        ...

    @property
    def decode(self) -> Callable[[bytes], RawValue]:
        """Reads the number in its bytes; the inverse of `encode`."""
        ...

    def encode(self, value: Decimal) -> bytes:
        """The meter's bytes for `value` (for simulators and tests). Raises ValueError when it does not fit."""
        ...

    def taken(self, image: Mapping[str, Any]) -> bytes | None:
        """Its bytes in a meter's image; None when the image does not hold them all."""
        ...

    def put(self, image: MutableMapping[str, Any], data: bytes, *, whole: bool = False) -> None:
        """Writes its bytes into the image; a cut-out of something larger leaves the rest, unless `whole`."""
        ...

    def spoilt(self, how: NoValue) -> bytes | None:
        """Bytes that decode to `how` (as far as the profile knows it); None where no bytes of this type do."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """A checked answer: one raw value per item of the ask, in its order, and the frame as it was received.

    `follow`: the meter has more, and not all items are there yet; the reply to this ask has all values, these included.
    """

    values: tuple[RawValue, ...]
    frame: bytes
    follow: Ask | None = None


class Exchange(Protocol):
    """One question and the state that recognises its answer. One-shot: never reused."""

    @property
    def request(self) -> bytes:
        """The bytes to put on the wire."""
        ...

    @property
    def want(self) -> int:
        """The number of bytes received in total after which asking again makes sense."""
        ...

    def receive(self, data: bytes) -> Reply | NeedData:
        """Feeds what arrived. Raises only a WireError that no further byte can cure (a sound refusal)."""
        ...

    def end(self) -> WireError | None:
        """What the bytes received so far prove, asked at the deadline; None when nothing came at all."""
        ...


class Ask(Protocol):
    """A planned request, frozen and reused at every poll; `begin` makes the one-shot exchange."""

    @property
    def items(self) -> tuple[Any, ...]:
        """What it reads, in the order of `Reply.values`."""
        ...

    @property
    def request_size(self) -> int:
        """Bytes of the request."""
        ...

    @property
    def reply_size(self) -> int:
        """Bytes of the expected reply."""
        ...

    def begin(self, number: int) -> Exchange:
        """A new exchange; `number` is the transaction number where the protocol has one (Modbus TCP, modulo 65536)."""
        ...

    def parts(self) -> tuple[Ask, ...]:
        """Narrower asks for the same items, without what lies between; itself alone when nothing is left to cut."""
        ...


class Driver(Protocol):
    """A protocol bound to its framing and to what a request costs on the line."""

    def item(self, spec: Mapping[str, Any]) -> Item:
        """Checks the protocol's part of a profile entry. Raises SpecError."""
        ...

    def plan(self, address: str, bundles: Sequence[Sequence[Any]], limits: Mapping[str, Any]) -> tuple[Ask, ...]:
        """The fewest (cheapest) asks that read all items; the items of one bundle are never split over two asks.

        `limits` is the profile's section of that protocol (Modbus: max_registers, max_gap). Raises SpecError for
        an address this protocol cannot have, and for a bundle no single request can read.
        """
        ...

    def request_size(self, head: bytes) -> int | None:
        """Meter's side: length of the request that begins with `head`; None while it cannot be known yet."""
        ...

    def answer(self, request: bytes, memory: Mapping[str, Any]) -> bytes:
        """Meter's side, for simulators and tests: the reply of meters with this memory; b"" when none answers.

        `memory` maps address text to that meter's image (Modbus: {"holding": {register: word}, "input": {…}, …}).
        """
        ...

    def recall(self, request: bytes, reply: bytes) -> dict[str, Any]:
        """The memory, as `answer` takes it, that a recorded exchange proves; profiles test themselves by it.

        Raises WireError when the frames are not sound or not a question and its answer.
        """
        ...
