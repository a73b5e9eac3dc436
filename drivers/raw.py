"""Questions that somebody else has made: the request goes out as it is, and whatever answers it comes back. Pure.

A process that owns a line asks so for another, which made the request and judges the answer. What is known of the
protocol only tells when the answer is complete, so that nobody waits longer than needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drivers.contract import NEED_DATA, NeedData, Reply

_NUMBER_SIZE = 2  # the transaction number at the head of a Modbus TCP frame

IsWhole = Callable[[bytes, bytes], bool]
"""Told the request and what was received: whether the answer is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawProtocol:
    """What must be known of a protocol: `is_read` tells whether a request (framing and bytes) only reads."""

    is_read: Callable[[str, bytes], bool]
    is_whole: IsWhole


@dataclass(frozen=True, slots=True)
class RawAsk:
    """A request in bytes. `is_numbered`: its first two bytes are a number of which this side takes care."""

    request: bytes
    is_whole: IsWhole
    is_numbered: bool = False

    @property
    def items(self) -> tuple[Any, ...]:
        """Nothing that this side knows of."""
        return ()

    @property
    def request_size(self) -> int:
        """Bytes of the request."""
        return len(self.request)

    @property
    def reply_size(self) -> int:
        """Unknown."""
        return 0

    def begin(self, number: int) -> RawExchange:
        """A new exchange, with its own number where the protocol has one."""
        head = (number & 0xFFFF).to_bytes(_NUMBER_SIZE, "big") if self.is_numbered else self.request[:_NUMBER_SIZE]
        return RawExchange(head + self.request[_NUMBER_SIZE:], self.is_whole)

    def parts(self) -> tuple[RawAsk, ...]:
        """Itself: nothing can be cut."""
        return (self,)


class RawExchange:
    """One such question: its reply is everything received once that is complete."""

    def __init__(self, request: bytes, is_whole: IsWhole) -> None:
        self.request = request
        self._is_whole = is_whole
        self._buffer = b""

    @property
    def want(self) -> int:
        """Any byte more may complete it."""
        return len(self._buffer) + 1

    def receive(self, data: bytes) -> Reply | NeedData:
        """Everything received, once it is complete."""
        self._buffer += data
        return Reply((), self._buffer) if self._is_whole(self.request, self._buffer) else NEED_DATA

    def end(self) -> None:
        """Proves nothing: whoever asked judges the bytes."""
        return
