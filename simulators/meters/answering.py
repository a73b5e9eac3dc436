"""The meters on one line: who answers which request, and the record of it. Shared by serial and TCP lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.contract import Driver
from drivers.registry import DRIVERS
from simulators.meters.envelope import envelope_of
from simulators.meters.image import Snapshot
from simulators.meters.line_settings import SimulatedLineSettings
from simulators.meters.meter import Attempt, SimulatedMeter
from simulators.meters.record import Answered, LineStats, Observer


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request as one protocol of the line reads it."""

    protocol: str
    driver: Driver
    data: bytes


@dataclass(slots=True)
class Pending:
    """A request that will be answered, until the last byte of its answer is on its way. Times are monotonic seconds."""

    attempt: Attempt
    driver: Driver
    heard_s: float
    early: bool = False
    character_s: float = 0.0
    reply: bytes = b""
    snapshot: Snapshot | None = None
    first_s: float = 0.0  # when the first byte of the reply had passed the wire
    free_s: float = 0.0  # when a perfect client could have begun the next request


class Answering:
    """Finds requests in what arrived, asks the meters, and keeps the record. Belongs to its line's thread."""

    def __init__(
        self,
        settings: SimulatedLineSettings,
        meters: Sequence[SimulatedMeter],
        *,
        stats: LineStats,
        observers: Sequence[Observer],
    ) -> None:
        self._settings = settings
        self._meters = meters
        self._stats = stats
        self._observers = observers
        self._drivers = {
            protocol: DRIVERS[protocol](framing=settings.framing)
            for protocol in dict.fromkeys(meter.profile.protocol for meter in meters)
        }
        self._envelopes = {protocol: envelope_of(protocol, settings.framing) for protocol in self._drivers}
        stats.meters.update({meter.name: 0 for meter in meters})

    def requests(self, buffer: bytes) -> list[Request]:
        """The request at the head of `buffer`, as each protocol of the line reads it; none while it is incomplete.

        Where several protocols share a line, one that a meter understands counts as soon as it is there, and the
        others only when none can become such a one any more.
        """
        found, is_complete = [], True
        for protocol, driver in self._drivers.items():
            size = driver.request_size(buffer)
            if size is not None and len(buffer) >= size:
                found.append(Request(protocol, driver, buffer[:size]))
            else:
                is_complete = False
        if len(self._drivers) == 1:
            return found
        understood = [request for request in found if self._is_understood(request)]
        return understood or (found if is_complete else [])

    def _is_understood(self, request: Request) -> bool:
        return any(
            meter.profile.protocol == request.protocol and meter.reply_to(request.data, request.driver)
            for meter in self._meters
        )

    def attempts(self, requests: Sequence[Request], baud: int | None, heard_s: float) -> list[Pending]:
        """The answers to come. Meters set to another rate than `baud` hear nothing (None: no serial line)."""
        found = []
        for request in requests:
            for meter in self._meters:
                if meter.profile.protocol != request.protocol or baud not in {None, self.baud_of(meter)}:
                    continue
                attempt = meter.hear(request.data, request.driver, self._settings.latency_s)
                if attempt is not None:
                    found.append(Pending(attempt, request.driver, heard_s))
        return found

    def baud_of(self, meter: SimulatedMeter) -> int:
        """The rate this meter is set to."""
        return self._settings.baud if meter.baud is None else meter.baud

    def hears(self, baud: int) -> bool:
        """Whether any meter is set to this rate."""
        return any(self.baud_of(meter) == baud for meter in self._meters)

    def fix(self, pending: Pending) -> bytes:
        """The meter fixes its registers: the bytes that go on the wire."""
        envelope = self._envelopes[pending.attempt.meter.profile.protocol]
        pending.reply, pending.snapshot = pending.attempt.frame(pending.driver, envelope)
        return pending.reply

    def answered(self, pending: Pending, last_s: float) -> None:
        """Counts and records an answer whose last byte went out at `last_s`."""
        stats, meter = self._stats, pending.attempt.meter
        stats.answered += 1
        stats.meters[meter.name] += 1
        stats.bytes_out += len(pending.reply)
        stats.ideal_s += pending.free_s - pending.heard_s
        stats.last_s = last_s
        if not self._observers:
            return
        assert pending.snapshot is not None
        record = Answered(
            line=self._settings.name,
            meter=meter.name,
            request=pending.attempt.request,
            reply=pending.reply,
            early=pending.early,
            heard_ns=round(pending.heard_s * 1e9),
            at_ns=round(pending.first_s * 1e9),
            snapshot=pending.snapshot,
        )
        for observer in self._observers:
            observer(record)
