"""DL/T 645-2007 and -1997: plans the reads of electricity meters, recognises their answers, answers as a meter.

Strategy: one data identifier is one question, so what belongs to a block (voltages, tariffs, status words) is read as
the block as soon as two of it are wanted; a meter that refuses the block is asked one by one. An answer in several
frames continues through `Reply.follow`. Only reads are ever planned; the broadcast of the time is a builder of its own,
and nothing here can write, freeze, clear or switch.

Source: DL/T 645-2007 and DL/T 645-1997, as `docs/reference/dlt645.en.md` says what of them is known and how surely.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from drivers.contract import NEED_DATA, Malformed, NeedData, Reply, SpecError, WireCost, WireError, WrongAddress
from drivers.dlt645_exchange import USUAL_WAKE, Dlt645Ask, Dlt645Exchange, Sifter
from drivers.dlt645_item import Dlt645Item, dlt645_item
from drivers.dlt645_meter import READ_ADDRESS, answer, recalled, request_size
from drivers.dlt645_values import moment_bytes, number
from drivers.dlt645_wire import LEAST_SIZE, REPLY, WAKE, address_bytes, frame_bytes, is_addressed

__all__ = ["AddressAsk", "Dlt645Ask", "Dlt645Driver", "Dlt645Exchange", "Dlt645Item", "broadcast_time", "meter_clock"]

WILDCARD = "AA" * 6
BROADCAST = "99" * 6
DATE, TIME = "04000101", "04000102"  # the meter's clock (1997: C010, C011)
_ADDRESS = re.compile(r"(AA)*([0-9]{2})*")
_ADDRESS_SIZE = 6
_MOST_WAKE = 16
_LIMITS = ("wake", "blocks")
_BROADCAST_TIME = 0x08


class Dlt645Driver:
    """DL/T 645 on a serial line or behind a transparent serial server (`framing` "rtu")."""

    def __init__(self, *, framing: str = "rtu", cost: WireCost | None = None) -> None:
        del cost  # a request costs more than the numbers a block brings too many, at any speed
        self._framing = framing

    def item(self, spec: Mapping[str, Any]) -> Dlt645Item:
        """Checks id, type, size, signed, place of a profile entry. Raises SpecError."""
        return dlt645_item(spec)

    def plan(
        self, address: str, bundles: Sequence[Sequence[Dlt645Item]], limits: Mapping[str, Any]
    ) -> tuple[Dlt645Ask, ...]:
        """One ask per identifier or block. Raises SpecError: address, limits, a bundle that no single block holds."""
        if self._framing != "rtu":
            raise SpecError("framing", "spec.dlt645-serial")
        wire, wake, takes_blocks = _address(address), *_limits(limits)
        single = {
            item: Dlt645Ask(wire, item.identifier, ((item, item.place),), wake) for bundle in bundles for item in bundle
        }
        families: dict[tuple[str, int], list[Dlt645Item]] = {}
        for item in single:
            block, _ = item.home or (item.identifier, 0)
            families.setdefault((block, item.size), []).append(item)
        asks: list[Dlt645Ask] = []
        joint = {item for bundle in bundles if len(set(bundle)) > 1 for item in bundle}
        for (block, _), items in families.items():
            family = _family(block, items, single, takes_blocks=takes_blocks)
            asks += [replace(ask, narrower=()) if joint & set(ask.items) else ask for ask in family]
        for bundle in bundles:
            if not any(set(bundle) <= set(ask.items) for ask in asks):
                raise SpecError("sum", "spec.too-wide", value=str(len(bundle)), limit="1")
        return tuple(asks)

    def request_size(self, head: bytes) -> int | None:
        """Meter's side: length of the request that begins with `head`; None while it cannot be known."""
        return request_size(head)

    def answer(self, request: bytes, memory: Mapping[str, Any]) -> bytes:
        """Meter's side: the reply of the meter addressed in `memory` ({address: {identifier: data}})."""
        return answer(request, memory)

    def recall(self, request: bytes, reply: bytes) -> dict[str, Any]:
        """The memory that a recorded exchange proves. Raises WireError."""
        return recalled(request, reply)


def _family(
    block: str, items: Sequence[Dlt645Item], single: Mapping[Dlt645Item, Dlt645Ask], *, takes_blocks: bool
) -> list[Dlt645Ask]:
    """The asks for the items of one block: the block where it saves requests, else one by one."""
    asks = [single[item] for item in items]
    if all(item.identifier == block for item in items):  # places of something that exists as a block only
        return [Dlt645Ask(asks[0].address, block, tuple((item, item.place) for item in items), asks[0].wake)]
    if len(items) == 1 or not takes_blocks:
        return asks
    picks = tuple((item, item.home[1] if item.home else item.place) for item in items)
    return [Dlt645Ask(asks[0].address, block, picks, asks[0].wake, tuple(asks))]


def _address(text: str) -> bytes:
    """The address on the wire. Raises SpecError."""
    if len(text) != 2 * _ADDRESS_SIZE or not _ADDRESS.fullmatch(text) or text == BROADCAST:
        raise SpecError("address", "spec.dlt645-address", value=text)
    return address_bytes(text)


def _limits(limits: Mapping[str, Any]) -> tuple[int, bool]:
    """Wake-up bytes, and whether blocks are asked for. Raises SpecError."""
    for key in limits:
        if key not in _LIMITS:
            raise SpecError(key, "spec.unknown-key", value=key, allowed=" ".join(_LIMITS))
    wake, blocks = limits.get("wake", USUAL_WAKE), limits.get("blocks", True)
    if isinstance(wake, bool) or not isinstance(wake, int) or not 0 <= wake <= _MOST_WAKE:
        raise SpecError("wake", "spec.choice", value=str(wake), allowed=f"0…{_MOST_WAKE}")
    if not isinstance(blocks, bool):
        raise SpecError("blocks", "spec.choice", value=str(blocks), allowed="true false")
    return wake, blocks


@dataclass(frozen=True, slots=True)
class AddressAsk:
    """Asks a 2007 meter for its address (function 13). Only for one meter on the line: all of them answer.

    The reply's one value is the address as a number; `address_of` gives its 12 digits.
    """

    address: str = WILDCARD
    wake: int = USUAL_WAKE
    items: tuple[str, ...] = ("address",)

    @property
    def request(self) -> bytes:
        """The bytes on the wire."""
        return bytes([WAKE]) * self.wake + frame_bytes(address_bytes(self.address), READ_ADDRESS)

    @property
    def request_size(self) -> int:
        """Bytes of the request."""
        return self.wake + LEAST_SIZE

    @property
    def reply_size(self) -> int:
        """Bytes of the reply."""
        return self.wake + LEAST_SIZE + _ADDRESS_SIZE

    def begin(self, number: int) -> AddressExchange:  # noqa: ARG002 - this protocol numbers nothing
        """A new exchange."""
        return AddressExchange(self)

    def parts(self) -> tuple[AddressAsk, ...]:
        """Itself alone."""
        return (self,)

    @staticmethod
    def address_of(value: Decimal) -> str:
        """The 12 digits that a configuration has."""
        return f"{int(value):012d}"


class AddressExchange:
    """One question for the address."""

    def __init__(self, ask: AddressAsk) -> None:
        self.request = ask.request
        self._ask = ask
        self._sifter = Sifter()

    @property
    def want(self) -> int:
        """Bytes in total after which asking again makes sense."""
        return self._sifter.want or self._ask.reply_size

    def receive(self, data: bytes) -> Reply | NeedData:
        """The address when a sound answer is there, the same in its header and in its data."""
        for frame in self._sifter.frames(data):
            own = frame.data[:_ADDRESS_SIZE]
            if frame.control == READ_ADDRESS | REPLY and len(own) == _ADDRESS_SIZE:
                if own == frame.address and is_addressed(address_bytes(self._ask.address), own):
                    return Reply((number(own, signed=False),), frame.raw)
                self._sifter.error = WrongAddress("header and data hold different addresses", frame.raw)
            elif self._sifter.error is None:
                self._sifter.error = Malformed("no answer to the question for the address", frame.raw)
        return NEED_DATA

    def end(self) -> WireError | None:
        """What the bytes prove at the deadline."""
        return self._sifter.end()


def broadcast_time(at: datetime, *, wake: int = USUAL_WAKE) -> bytes:
    """The frame that sets the clocks of all meters on the line to the local time `at`. Nobody answers.

    Meters take it only when they are off by at most 5 minutes, and once a day. It is never part of a plan: whoever
    sends it has been told to.
    """
    return bytes([WAKE]) * wake + frame_bytes(address_bytes(BROADCAST), _BROADCAST_TIME, moment_bytes(at))


def meter_clock(date: Decimal, time: Decimal) -> datetime:
    """The local time of a meter from its items of type `date` (YYYYMMDD) and `time` (hhmmss)."""
    return datetime.strptime(f"{int(date):08d}{int(time):06d}", "%Y%m%d%H%M%S")  # noqa: DTZ007 - a meter has no time zone
