"""Single questions to meters that nobody polls: what a scan and a probe need of a line.

`Asking` hides whose port it is: `DirectAsking` owns the line; with a running daemon the questions go to it one by one
and are put between its own (`agent/asking.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.line.line import Line, NoReplyError
from agent.line.patience import Delay
from agent.line.ports import Port, WireSettings
from drivers.contract import Ask, Reply, WireError


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Who is asked: its protocol, its address there, and how it is spoken to on a serial port."""

    protocol: str
    address: str
    wire: WireSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one question brought: a reply, or the error that the bytes prove; neither when nothing came at all.

    `delay_s` is from the end of the request to the first byte; 0 when none came. `number` is what the exchange began
    with, so that another ask with the same request can decode the same reply.
    """

    reply: Reply | None
    error: WireError | None
    number: int
    request: bytes
    received: bytes
    delay_s: float


class Asking(Protocol):
    """Somebody who can put a question on one line."""

    @property
    def framing(self) -> str:
        """`rtu` or `tcp`."""
        ...

    @property
    def is_serial(self) -> bool:
        """A serial port, whose baud and parity count."""
        ...

    @property
    def share(self) -> float:
        """The part of the line's time that is ours, above 0 and at most 1; expected, not promised."""
        ...

    @property
    def is_guest(self) -> bool:
        """The line belongs to the daemon, which goes on polling."""
        ...

    def ask(self, ask: Ask, whom: Whom, *, wait_s: float) -> Heard:
        """Asks that meter and waits at most `wait_s` for its first byte. Raises LineDownError."""
        ...

    def listen(self, wire: WireSettings, seconds: float) -> bytes:
        """What comes although nobody asks; nothing where others ask on this line. Raises LineDownError."""
        ...

    def close(self) -> None:
        """Lets go of the line."""
        ...


class DirectAsking:
    """Asks on a line of its own."""

    share = 1.0
    is_guest = False

    def __init__(self, line: Line, port: Port, *, framing: str) -> None:
        self.framing = framing
        self.is_serial = port.is_serial
        self._line = line
        self._port = port

    def ask(self, ask: Ask, whom: Whom, *, wait_s: float) -> Heard:
        """Asks and waits. Raises LineDownError, LineHeldError."""
        self._line.open()
        number = self._line.next_number()
        exchange = ask.begin(number)
        found = self._line.transact(exchange, whom.wire, Delay(), timeout_s=wait_s)
        return Heard(
            reply=found.reply,
            error=None if isinstance(found.error, NoReplyError) else found.error,
            number=number,
            request=exchange.request,
            received=found.received,
            delay_s=max(0.0, found.at_s - found.asked_s),
        )

    def listen(self, wire: WireSettings, seconds: float) -> bytes:
        """What comes within `seconds`. Raises LineDownError, LineHeldError."""
        self._line.open()
        self._port.configure(wire)
        return self._port.read(seconds)

    def close(self) -> None:
        """Lets go of the port."""
        self._line.close()
