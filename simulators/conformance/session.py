"""A meter under test: exact exchanges with it, what its profile says of it, and what was learned on the way.

Every transmission passes `_exchange`, which refuses what any receiver could take for something else than a read.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.decode import bundles
from agent.decode import values as decoded
from agent.entries import Entry
from agent.model import Reason, Value
from agent.settings import Profile
from drivers.contract import Reply
from drivers.contract import WireError as AnswerError
from drivers.registry import DRIVERS
from simulators.conformance.dialects import DIALECTS, Dialect, ModbusDialect
from simulators.conformance.frames import Framing, read_pdu
from simulators.conformance.verdict import SERIAL_PORT, Heard
from simulators.conformance.wire import Wire, WireError

LATE_S = 1.5  # that long beyond the limit an answer is still waited for, to tell late from never
_TAIL_S = 0.025  # what comes so soon after an answer belongs to it: longer than a USB adapter holds bytes back (16 ms)
_GAP_S = 0.06  # within an answer, for slow adapters and gateways
_GAP_CHARACTERS = 20
_LEAST_QUIET_S = 0.3
_OWN_CHARACTERS = 1.0  # our own last bit may pass so much later than it was written
_MOST_BYTES = 2048
_ROUNDS = 3  # how often the profile's reads are made at least
_LEAST_SAMPLES = 6
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """A planned read, what was heard, the frame in it, and its values; None where it is not the right answer."""

    ask: Any
    heard: Heard
    seen: Any
    values: tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Reading:
    """All values of the profile from one pass over its reads; `at` is when each quantity's answer was there."""

    values: Mapping[str, Value]
    quality: Mapping[str, tuple[str, ...]]
    raws: Mapping[Any, Any]
    at: Mapping[str, float]
    heard: tuple[Heard, ...]


@dataclass(kw_only=True)
class Session:
    """One run against one meter. `limit_s`: an answer must begin within it; `watch_s`: how long totals are watched."""

    wire: Wire
    framing_name: str
    where: str
    profile: Profile
    address: str
    limit_s: float = 1.0
    watch_s: float = 10.0
    has_echo: bool = False
    trace: list[Heard] = field(default_factory=list)
    worst_s: float = 0.0  # the longest answer delay so far

    def __post_init__(self) -> None:
        self.dialect: Dialect = DIALECTS[self.profile.protocol](self.framing_name)
        self.asks: Sequence[Any] = planned(self.profile, self.address, self.framing_name)
        self._numbers = itertools.count(1)
        self._quiet_s = time.monotonic()  # nothing on the wire since then
        self._samples: list[Sample] = []
        self._readings: list[Reading] = []
        self._is_closed = False  # the far end hung up

    # --- what is sent

    @property
    def probe(self) -> Any:
        """The read with the smallest answer of the profile's."""
        return min(self.asks, key=lambda ask: ask.reply_size)

    @property
    def quiet_s(self) -> float:
        """How long to listen where nothing must come: three times the longest delay seen."""
        return min(max(_LEAST_QUIET_S, 3 * self.worst_s + 0.1), self.limit_s + LATE_S)

    @property
    def framing(self) -> Framing:
        """How Modbus PDUs travel here."""
        assert isinstance(self.dialect, ModbusDialect)
        return self.dialect.framing

    @property
    def unit(self) -> int:
        """The Modbus address."""
        return int(self.address)

    def frame(self, pdu: bytes, *, unit: int | None = None) -> bytes:
        """A Modbus request of a new transaction, to this meter unless `unit` says otherwise."""
        return self.framing.closed(self.unit if unit is None else unit, pdu, next(self._numbers))

    def probe_frame(self, *, unit: int | None = None) -> bytes:
        """A Modbus request of the smallest read."""
        return self.frame(read_pdu(self.probe.function, self.probe.start, self.probe.size), unit=unit)

    # --- exchanges

    def ask(self, ask: Any, *, back_to_back: bool = False) -> Sample:
        """A planned read; `back_to_back`: begun exactly when the silence is over, its tail not waited for."""
        exchange = ask.begin(next(self._numbers))
        tail_s = 0.0 if back_to_back else _TAIL_S
        heard = self._exchange(exchange.request, size=ask.reply_size, tail_s=tail_s)
        try:
            reply = exchange.receive(heard.data) if heard.chunks else None
        except AnswerError:
            reply = None
        values = reply.values if isinstance(reply, Reply) and reply.follow is None else None
        return Sample(ask, heard, self.dialect.found(heard.data), values)

    def send(self, frame: bytes, *, size: int | None = None, wait_s: float | None = None) -> tuple[Heard, Any]:
        """Any transmission, and the frame in what came; `size`: bytes expected, `wait_s`: for the first of them."""
        heard = self._exchange(frame, size=size, wait_s=wait_s)
        return heard, self.dialect.found(heard.data)

    def silence_after(self, frame: bytes) -> Heard:
        """A transmission that must stay unanswered."""
        return self._exchange(frame, wait_s=self.quiet_s)

    def is_alive(self) -> bool:
        """Whether an ordinary read is answered rightly now."""
        return self.ask(self.probe).values is not None

    def settle(self, quiet_s: float = 0.05) -> None:
        """Waits until nothing has come for `quiet_s`, at most 3 s; a connection that was closed is made again."""
        end_s = time.monotonic() + LATE_S * 2
        try:
            while (now := time.monotonic()) < end_s and self.wire.read(now + quiet_s):
                self._quiet_s = time.monotonic()
        except WireError:
            self.renew()

    def renew(self) -> None:
        """A new connection where there is such a thing. Raises WireError when there is none to be had."""
        self.wire.renew()
        self._is_closed = False
        self._quiet_s = time.monotonic()

    def _exchange(
        self, frame: bytes, *, size: int | None = None, wait_s: float | None = None, tail_s: float = _TAIL_S
    ) -> Heard:
        """The one place that sends. Raises WireError when the port is away, PermissionError for what is no read."""
        if not self.dialect.is_harmless(frame):
            raise PermissionError(f"not sent, a meter could take it for more than a read: {frame.hex()}")
        character_s = self.wire.character_s
        chunks: list[tuple[float, bytes]] = []
        if self._is_closed:
            self.renew()
        try:
            began_s = self.wire.send(frame, self._quiet_s + self.wire.silence_s)
        except WireError:
            self.renew()  # hung up since the last question, as a TCP meter may
            began_s = self.wire.send(frame, self._quiet_s + self.wire.silence_s)
        end_s = began_s + len(frame) * character_s
        self._quiet_s = end_s + _OWN_CHARACTERS * character_s
        try:
            for chunk in self._chunks(len(frame) if self.has_echo else 0, end_s, size, wait_s, tail_s):
                chunks.append(chunk)  # noqa: PERF402 - what came before a hang-up is kept
        except WireError:
            if self.where == SERIAL_PORT:
                raise
            self._is_closed = True
        heard = Heard(frame, began_s, end_s, tuple(chunks), character_s, self._is_closed)
        self.worst_s = max(self.worst_s, heard.delay_s or 0.0)
        self.trace.append(heard)
        return heard

    def _chunks(
        self, echoed: int, end_s: float, size: int | None, wait_s: float | None, tail_s: float
    ) -> Iterator[tuple[float, bytes]]:
        """What comes, until it is complete and quiet; the first `echoed` bytes are our own."""
        first_until_s = end_s + (self.limit_s + LATE_S if wait_s is None else wait_s)
        gap_s = max(_GAP_S, _GAP_CHARACTERS * self.wire.character_s)
        got = 0
        while got < _MOST_BYTES:
            if got == 0:
                until_s = first_until_s
            elif size is not None and got >= size:
                if tail_s == 0:
                    return
                until_s = self._quiet_s + tail_s
            else:
                until_s = self._quiet_s + gap_s
            data = self.wire.read(until_s)
            now = time.monotonic()
            if not data:
                return
            self._quiet_s = now
            own, data = data[:echoed], data[echoed:]
            echoed -= len(own)
            if data:
                got += len(data)
                yield now, data

    # --- what is learned

    def samples(self) -> Sequence[Sample]:
        """The profile's own reads, each several times; made once. None but the first three when none is answered."""
        if not self._samples:
            rounds = max(_ROUNDS, -(-_LEAST_SAMPLES // len(self.asks)))
            for ask in itertools.chain.from_iterable([self.asks] * rounds):
                self._samples.append(self.ask(ask))
                if len(self._samples) == _ROUNDS and not any(sample.heard.chunks for sample in self._samples):
                    break
        return self._samples

    def good(self) -> Sequence[Sample]:
        """Those of the samples that were answered rightly."""
        return [sample for sample in self.samples() if sample.values is not None]

    def readings(self) -> Sequence[Reading]:
        """The values over `watch_s`, some a second; watched once."""
        if not self._readings:
            began_s = time.monotonic()
            while True:
                pass_s = time.monotonic()
                self._readings.append(self._reading())
                if time.monotonic() - began_s >= self.watch_s:
                    break
                wait_s = pass_s + _POLL_S - time.monotonic()
                time.sleep(max(0.0, wait_s))
        return self._readings

    def _reading(self) -> Reading:
        raws: dict[Any, Any] = {}
        times: dict[Any, float] = {}
        heard: list[Heard] = []
        for ask in self.asks:
            sample = self.ask(ask)
            heard.append(sample.heard)
            raws |= dict.fromkeys(ask.items, Reason.NO_REPLY)
            if sample.values is not None:
                raws |= dict(zip(ask.items, sample.values, strict=True))
                times |= dict.fromkeys(ask.items, sample.heard.chunks[0][0])
        return _reading(self.profile.entries, raws, times, heard)


def _reading(
    entries: Sequence[Entry], raws: Mapping[Any, Any], times: Mapping[Any, float], heard: Sequence[Heard]
) -> Reading:
    """Raw values to the profile's quantities."""
    found, quality = decoded(entries, raws)
    at = {entry.quantity: times[item] for entry in entries if (item := _first_item(entry)) in times}
    return Reading(dict(zip((e.quantity for e in entries), found, strict=True)), quality, raws, at, tuple(heard))


def _first_item(entry: Entry) -> Any:
    return entry.flags[0].item if entry.flags else entry.parts[0].item


def planned(profile: Profile, address: str, framing: str) -> tuple[Any, ...]:
    """The profile's reads, bridging no register that it does not name. Raises SpecError for an impossible address."""
    driver = DRIVERS[profile.protocol](framing=framing)
    limits = {**profile.limits, "max_gap": 0} if profile.protocol == "modbus" else profile.limits
    return driver.plan(address, bundles(profile.entries), limits)
