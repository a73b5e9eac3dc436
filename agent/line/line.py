"""One owner of one port: puts a question on the wire, keeps the silences, and waits for exactly its answer.

Strategy: the answer's length is known, so reading costs three waits: until the first byte, one sleep for the missing
characters, then until complete. The silence counts from the moment the last byte was *read*, so on the wire it can
only be longer. After any error the line is heard out until it is quiet, and what comes is thrown away. All time is
monotonic.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.clock import Clock
from agent.line.patience import Delay
from agent.line.ports import LineDownError, Port, WireSettings
from drivers.contract import Exchange, NeedData, Refused, Reply, WireError

_QUIET_S = 0.05  # silence after an error before the line is trusted again
_LONGEST_QUIET_S = 1.0  # a babbling bus is not waited out for ever
_WAKE_EARLY_S = 0.001  # the one sleep ends this much before the last missing character
_SERIAL_TAIL_S = 0.03  # on top of the characters themselves: USB latency timers deliver 16 ms late
_NETWORK_TAIL_S = 0.5  # the rest of an answer may wait for a retransmission
_ADDED_S = 0.025  # what adapters and schedulers add to a meter's own delay; more is the meter's
_MOST_FOREIGN_BYTES = 1024  # more than this before our answer is babble
_LONGEST_WAIT_S = 5.0  # no single wait is longer, so that a stop is seen


class NoReplyError(Exception):
    """Nothing came in time. Belongs to the line: only it knows how long was waited."""

    def __init__(self, waited_s: float) -> None:
        super().__init__(f"no reply in {waited_s:.3g} s")
        self.waited_s = waited_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What one exchange gave: a reply or an error, when its first byte came, and every byte that was heard.

    `at_s` is the monotonic time at which the meter began to answer; `asked_s` when the request's last byte was on the
    wire; `received` the raw bytes.
    """

    reply: Reply | None
    error: WireError | NoReplyError | None
    asked_s: float
    at_s: float
    received: bytes


class Line:
    """The only caller that waits on a wire. Not thread-safe: one thread owns it."""

    def __init__(
        self, port: Port, *, clock: Clock, numbered: bool = False, echo: bool = False, timeout_s: float = 1.0
    ) -> None:
        self._port = port
        self.is_numbered = numbered  # answers carry their question's number (Modbus TCP): a late one cannot deceive
        self._clock = clock
        self._echo = echo
        self._tail_s = _SERIAL_TAIL_S if port.is_serial else _NETWORK_TAIL_S
        self._wire = WireSettings()
        self._quiet_since_s = 0.0
        self._is_open = False
        self._is_fresh = True
        self._number = 0
        self.timeout_s = timeout_s
        self.busy_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the port is open now."""
        return self._is_open

    @property
    def is_serial(self) -> bool:
        """A serial port, where silences matter and answers may come late."""
        return self._port.is_serial

    def open(self) -> None:
        """Opens the port when it is not. Raises LineDownError, LineHeldError."""
        if not self._is_open:
            self._port.open()
            self._is_open, self._is_fresh = True, True
            self._quiet_since_s = self._clock.monotonic()

    def close(self) -> None:
        """Lets go of the port."""
        self._port.close()
        self._is_open = False

    def next_number(self) -> int:
        """A transaction number this connection has not used lately."""
        self._number += 1
        return self._number

    def transact(
        self, exchange: Exchange, wire: WireSettings, delay: Delay, *, timeout_s: float | None = None
    ) -> Transaction:
        """Asks and waits. `delay` learns from the answer; `timeout_s` overrides what it would wait for the first byte.

        Raises LineDownError when the port is away; every other outcome is in the Transaction.
        """
        began_s = self._clock.monotonic()
        try:
            transaction = self._once(exchange, wire, delay, timeout_s)
        except LineDownError:
            is_stale = not self._is_fresh and not self.is_serial and exchange.end() is None
            self.close()
            if not is_stale:
                raise
            self.open()  # the far end had closed an idle connection: one immediate retry on a new one is right
            transaction = self._once(exchange, wire, delay, timeout_s)
        self._is_fresh = False
        self.busy_s += self._clock.monotonic() - began_s
        return transaction

    def _once(self, exchange: Exchange, wire: WireSettings, delay: Delay, timeout_s: float | None) -> Transaction:
        try:
            if not self.is_numbered:
                self._port.configure(wire)
                self._keep_silence(wire)
            return self._ask(exchange, wire, delay, timeout_s)
        except LineDownError:
            self.close()
            raise

    def _keep_silence(self, wire: WireSettings) -> None:
        """Waits out the silence of the old and the new settings; whatever still arrives is discarded and heard out."""
        silence_s = max(wire.silence_s, self._wire.silence_s) if self.is_serial else 0.0
        self._wire = wire
        give_up_s = self._clock.monotonic() + _LONGEST_QUIET_S
        while True:
            self._clock.pause(self._quiet_since_s + silence_s - self._clock.monotonic())
            if not self._port.read(0) or self._clock.monotonic() > give_up_s:
                return
            self._quiet_since_s = self._clock.monotonic()

    def _ask(self, exchange: Exchange, wire: WireSettings, delay: Delay, timeout_s: float | None) -> Transaction:
        character_s = wire.character_s if self.is_serial else 0.0
        asked_s = self._clock.monotonic() + len(exchange.request) * character_s
        self._port.write(exchange.request)
        wait_s = delay.timeout_s(self.timeout_s) if timeout_s is None else timeout_s
        hearing = _Hearing(exchange, skip=exchange.request if self._echo else b"", character_s=character_s)
        error: WireError | None = None
        try:
            self._hear(hearing, asked_s + wait_s, character_s)
        except WireError as refused:
            error = refused
        self._quiet_since_s = max(self._clock.monotonic(), asked_s)
        if hearing.reply is None and error is None:
            error = exchange.end()
        if hearing.reply is not None or (error is not None and hearing.first_s and isinstance(error, Refused)):
            delay.seen(max(0.0, hearing.first_s - asked_s))
        if hearing.reply is None:
            self._settle(wire)
        at_s = hearing.first_s
        if self.is_serial and delay.least_s is not None and at_s - asked_s - delay.least_s < _ADDED_S:
            at_s = asked_s + delay.least_s  # adapters and schedulers only ever add
        return Transaction(
            reply=hearing.reply,
            error=error or (None if hearing.reply else NoReplyError(wait_s)),
            asked_s=asked_s,
            at_s=at_s or asked_s,
            received=bytes(hearing.heard),
        )

    def _hear(self, hearing: _Hearing, deadline_s: float, character_s: float) -> None:
        """Feeds what arrives until the reply is there or the time is over. Raises Refused and what cannot be cured."""
        clock = self._clock
        while (left_s := deadline_s - clock.monotonic()) > 0:
            data = self._port.read(min(left_s, _LONGEST_WAIT_S))
            if not data:
                continue
            if hearing.take(data, clock.monotonic()):
                return
            missing = hearing.missing
            if len(hearing.heard) > _MOST_FOREIGN_BYTES:
                return
            clock.pause(missing * character_s - _WAKE_EARLY_S)
            deadline_s = max(deadline_s, clock.monotonic() + _WAKE_EARLY_S + self._tail_s)

    def _settle(self, wire: WireSettings) -> None:
        """After an error: hears the line out until it was quiet for 50 ms and throws away what came."""
        if self.is_numbered:
            return
        give_up_s = self._clock.monotonic() + _LONGEST_QUIET_S
        quiet_s = max(_QUIET_S, wire.silence_s)
        while self._clock.monotonic() < give_up_s and self._port.read(quiet_s):
            self._quiet_since_s = self._clock.monotonic()


class _Hearing:
    """Collects what is heard for one exchange: drops the echo, notes the first byte, feeds the exchange."""

    def __init__(self, exchange: Exchange, skip: bytes, character_s: float) -> None:
        self._exchange = exchange
        self._skip = skip
        self._character_s = character_s
        self._fed = 0
        self.heard = bytearray()
        self.first_s = 0.0
        self.reply: Reply | None = None

    def take(self, data: bytes, now_s: float) -> bool:
        """Takes in `data`; true when the reply is complete."""
        self.heard += data
        if self._skip:
            size = len(self._skip)
            if bytes(self.heard[:size]) == self._skip[: len(self.heard)]:
                if len(self.heard) < size:
                    return False
                data = bytes(self.heard[size:])
            else:
                data = bytes(self.heard)  # no echo after all: all of it is the meter's
            self._skip = b""
        if not data:
            return False
        # What an adapter hands over in one piece was on the wire one character after the other.
        self.first_s = self.first_s or now_s - (len(data) - 1) * self._character_s
        self._fed += len(data)
        reply = self._exchange.receive(data)
        if isinstance(reply, NeedData):
            return False
        self.reply = reply
        return True

    @property
    def missing(self) -> int:
        """Bytes still to come before asking the exchange again makes sense."""
        if self._skip:
            return len(self._skip) - len(self.heard)
        return max(1, self._exchange.want - self._fed)
