"""One owner of one port: puts a question on the wire, keeps the silences, and waits for exactly its answer.

Strategy: the answer's length is known, so reading costs three waits: until the first byte, one sleep for the missing
characters, then until complete. The silence counts from the moment the last byte was *read*, so on the wire it can
only be longer. After any error the line is heard out until it is quiet, and what comes is thrown away. All time is
monotonic.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass

from agent.clock import Clock
from agent.dtu import Strainer
from agent.line.patience import Delay
from agent.line.ports import LineDownError, Port, WireSettings
from drivers.contract import NEED_DATA, BadChecksum, Exchange, NeedData, Refused, Reply, WireError

_QUIET_S = 0.05  # silence after an error before the line is trusted again
_LONGEST_QUIET_S = 1.0  # a babbling bus is not waited out for ever
_WAKE_EARLY_S = 0.001  # the one sleep ends this much before the last missing character
_SERIAL_TAIL_S = 0.1  # on top of the characters themselves: latency timers, and meters that pause inside a frame
_NETWORK_TAIL_S = 0.5  # the rest of an answer may wait for a retransmission
_AIR_TAIL_S = 2.0  # over a cellular network for several
_LEAST_AIR_WAIT_S = 2.0  # a radio that slept answers a second or two later than the last time
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
        self,
        port: Port,
        *,
        clock: Clock,
        numbered: bool = False,
        echo: bool = False,
        timeout_s: float = 1.0,
        air: Strainer | None = None,
    ) -> None:
        """`air`: a DTU's cellular link is between, which stalls for seconds and carries packets of the DTU's own."""
        self._port = port
        self.is_numbered = numbered  # answers carry their question's number (Modbus TCP): a late one cannot deceive
        self._clock = clock
        self._echo = echo
        self._air = air
        self._tail_s = _SERIAL_TAIL_S if port.is_serial else _NETWORK_TAIL_S if air is None else _AIR_TAIL_S
        self._wire = WireSettings()
        self._quiet_since_s = 0.0
        self._is_open = False
        self._is_fresh = True
        self._has_asked = False
        self._owing: list[Delay] = []  # whose last answer may still be on its way through the air
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
            if any(owing is delay for owing in self._owing):
                trial = self._reopened(copy.deepcopy(exchange), wire, delay, timeout_s)
                if self._owing:
                    return trial
                self._settle(min(_LONGEST_WAIT_S, delay.timeout_s(self.timeout_s)))
            return self._reopened(exchange, wire, delay, timeout_s)
        finally:
            self.busy_s += self._clock.monotonic() - began_s

    def _reopened(self, exchange: Exchange, wire: WireSettings, delay: Delay, timeout_s: float | None) -> Transaction:
        """One transaction, on a new connection where the old one proves to have ended before anything was asked."""
        try:
            transaction = self._once(exchange, wire, delay, timeout_s)
        except LineDownError:
            is_owed = self._has_asked and self._air is not None  # the answer may come through the next connection
            is_stale = not self._is_fresh and not self.is_serial and not is_owed and exchange.end() is None
            self.close()
            if is_owed:
                self._note_owing(delay)
            if not is_stale:
                raise
            self.open()  # the far end had closed an idle connection: one immediate retry on a new one is right
            transaction = self._once(exchange, wire, delay, timeout_s)
        self._is_fresh = False
        if transaction.reply is not None or isinstance(transaction.error, Refused):
            self._owing.clear()  # connections keep the order: one answer brings all before it
        elif self._air is not None and not isinstance(transaction.error, BadChecksum):
            self._note_owing(delay)
        return transaction

    def _note_owing(self, delay: Delay) -> None:
        """A silent meter's answer may be stuck in the air, for longer than any pause.

        What that meter says next may be this old answer, so it is heard, the line waited out, and asked again.
        """
        if not self.is_numbered and not any(owing is delay for owing in self._owing):
            self._owing.append(delay)

    def _once(self, exchange: Exchange, wire: WireSettings, delay: Delay, timeout_s: float | None) -> Transaction:
        self._has_asked = False
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
        silence_s = max(wire.silence_s, self._wire.silence_s)
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
        self._has_asked = True
        wait_s = delay.timeout_s(self.timeout_s) if timeout_s is None else timeout_s
        if self._air is not None:
            wait_s = max(wait_s, min(self.timeout_s, _LEAST_AIR_WAIT_S))
            if not self.is_numbered:  # both frames also pass the far end's serial port
                wait_s += (len(exchange.request) + exchange.want) * wire.character_s
        hearing = self._hearing(exchange, character_s)
        error: WireError | None = None
        try:
            self._hear(hearing, asked_s + wait_s, character_s)
        except WireError as refused:
            error = refused
        self._quiet_since_s = max(self._clock.monotonic(), asked_s)
        if hearing.reply is None and error is None:
            error = hearing.end()
        if hearing.reply is not None or (error is not None and hearing.first_s and isinstance(error, Refused)):
            delay.seen(max(0.0, hearing.first_s - asked_s))
        if hearing.reply is None:
            self._settle(max(_QUIET_S, wire.silence_s))
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

    def _hearing(self, exchange: Exchange, character_s: float) -> _Hearing:
        skip = exchange.request if self._echo else b""
        if self._air is None:
            return _Hearing(exchange, skip=skip, character_s=character_s)
        return _StrainedHearing(exchange, skip=skip, air=self._air, numbered=self.is_numbered)

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
            # Counted from the first byte: each reading comes late by up to a character, and that must not add up.
            last_s = hearing.first_s + (hearing.fed - 1) * character_s if hearing.first_s else clock.monotonic()
            clock.pause(last_s + missing * character_s - _WAKE_EARLY_S - clock.monotonic())
            deadline_s = max(deadline_s, clock.monotonic() + _WAKE_EARLY_S + self._tail_s)

    def _settle(self, quiet_s: float) -> None:
        """After an error: hears the line out until it was quiet for so long and throws away what came."""
        if self.is_numbered:
            return
        give_up_s = self._clock.monotonic() + max(_LONGEST_QUIET_S, quiet_s)
        while self._clock.monotonic() < give_up_s and self._port.read(quiet_s):
            self._quiet_since_s = self._clock.monotonic()


class _Hearing:
    """Collects what is heard for one exchange: drops the echo, notes the first byte, feeds the exchange."""

    def __init__(self, exchange: Exchange, skip: bytes, character_s: float) -> None:
        self._exchange = exchange
        self._skip = skip
        self._character_s = character_s
        self.fed = 0
        self.heard = bytearray()
        self.first_s = 0.0
        self.reply: Reply | None = None

    def take(self, data: bytes, now_s: float) -> bool:
        """Takes in `data`; true when the reply is complete. Raises WireError as the exchange does."""
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
        self.fed += len(data)
        reply = self._read(data, now_s)
        if isinstance(reply, NeedData):
            return False
        self.reply = reply
        return True

    def _read(self, data: bytes, now_s: float) -> Reply | NeedData:
        # What an adapter hands over in one piece was on the wire one character after the other.
        self.first_s = self.first_s or now_s - (len(data) - 1) * self._character_s
        return self._exchange.receive(data)

    def end(self) -> WireError | None:
        """What was heard proves, at the deadline."""
        return self._exchange.end()

    @property
    def missing(self) -> int:
        """Bytes still to come before asking the exchange again makes sense."""
        if self._skip:
            return len(self._skip) - len(self.heard)
        return max(1, self._exchange.want - self.fed)


class _StrainedHearing(_Hearing):
    """The same where a DTU's own packets may come before, behind and inside the answer.

    Their bytes may also be a meter's. So every time more has come, all of it is read both as it is and without them;
    a check sum tells which is right. Modbus TCP has none, but a DTU that frames it puts nothing inside a frame.
    """

    def __init__(self, exchange: Exchange, skip: bytes, air: Strainer, *, numbered: bool) -> None:
        super().__init__(exchange, skip, 0.0)
        self._unfed = copy.deepcopy(exchange)
        self._air = air
        self._is_numbered = numbered
        self._all = b""

    def _read(self, data: bytes, now_s: float) -> Reply | NeedData:
        self._all += data
        strained = self._air.strained(self._all)
        if strained:
            self.first_s = self.first_s or now_s
        readings = (strained, self._all) if self._is_numbered else (self._all, strained)
        troubles = []
        for reading in dict.fromkeys(readings):
            try:
                found = copy.deepcopy(self._unfed).receive(reading) if reading else NEED_DATA
            except Refused:
                raise
            except WireError as error:
                troubles.append(error)
                continue
            if not isinstance(found, NeedData):
                return found
        if len(troubles) == len(set(readings)):
            raise troubles[0]
        return NEED_DATA

    def end(self) -> WireError | None:
        """What was heard proves, without the DTU's own packets."""
        exchange, strained = copy.deepcopy(self._unfed), self._air.strained(self._all)
        with contextlib.suppress(WireError):  # then the other reading is still open
            exchange.receive(strained)
        return exchange.end() if strained else None

    @property
    def missing(self) -> int:
        """Packets come whole: there is nothing to sleep for."""
        return 1
