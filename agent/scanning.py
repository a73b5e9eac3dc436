"""A scan put together: whose line, which settings, which profiles, and what it finds as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from agent.asking import Place, wire_of
from agent.clock import Clock
from agent.form.problems import FormErrors
from agent.line.asking import Asking
from agent.model import Value
from agent.profiles import Library
from agent.scan.found import FoundMeter
from agent.scan.identify import Candidate
from agent.scan.job import Event, Scan
from agent.scan.plan import ScanPlan, Wanted, plan_of
from agent.scan.questioning import NEVER_BRIDGE, Questioning
from agent.settings import Profile, SerialSettings
from drivers.registry import DRIVERS, SEARCHES

_SENTINELS = (231, 238)  # hardly anybody's unit numbers


class LineScan:
    """One scan of one line, planned and ready to run."""

    def __init__(self, place: Place, asking: Asking, wanted: Wanted, library: Library, *, clock: Clock) -> None:
        """Raises SpecError for an address that a protocol cannot have."""
        self._asking = asking
        self._clock = clock
        self._line = place.line
        self._profiles = profiles_of(library)
        line = place.line
        self.plan: ScanPlan = plan_of(
            wanted,
            own=SerialSettings(baud=line.baud, parity=line.parity, stop_bits=line.stop_bits),
            framing=asking.framing,
            is_serial=asking.is_serial,
            searches=SEARCHES,
            profiles={name: sum(each.protocol == name for each in self._profiles) for name in wanted.protocols},
            wire_of=lambda serial: wire_of(serial, line),
        )
        sentinels = {
            protocol: SEARCHES[protocol](framing=asking.framing, numbers=_SENTINELS) for protocol in wanted.protocols
        }
        self._scan = Scan(
            self.plan,
            asking,
            wire_of=lambda serial: wire_of(serial, line),
            identify=self._identify,
            sentinels=sentinels if asking.framing == "tcp" else {},
        )
        self.heard = self._scan.heard

    @property
    def announced_s(self) -> float:
        """Seconds that it takes when nobody answers, on the part of the line's time that is ours."""
        return self.plan.seconds / self._asking.share

    def run(self) -> Iterator[Event]:
        """Does it. Raises LineDownError, ControlError."""
        return self._scan.run()

    def _identify(self, meter: FoundMeter) -> None:
        driver = DRIVERS[meter.protocol](framing=self._asking.framing, cost=NEVER_BRIDGE)
        questioning = Questioning(
            meter, asking=self._asking, driver=driver, wire=wire_of(meter.serial, self._line), clock=self._clock
        )
        meter.candidates = questioning.candidates([p for p in self._profiles if p.protocol == meter.protocol])


def profiles_of(library: Library) -> list[Profile]:
    """All profiles that stand; one that is wrong is `qushui profiles test`'s to tell."""
    found = []
    for name in library.names():
        with suppress(FormErrors):
            found.append(library.load(name))
    return found


def meter_json(meter: FoundMeter, configured: str | None) -> dict[str, Any]:
    """A found meter for machines."""
    return {
        "protocol": meter.protocol,
        "address": meter.address,
        "baud": meter.serial.baud,
        "parity": meter.serial.parity,
        "stop_bits": meter.serial.stop_bits,
        "delay_ms": round(1000 * meter.delay_s, 1),
        "received_hex": meter.received.hex(" "),
        "configured": configured,
        "confidence": meter.confidence,
        "profiles": [candidate_json(each) for each in meter.candidates],
    }


def candidate_json(candidate: Candidate) -> dict[str, Any]:
    """A profile that may fit, for machines."""
    return {
        "profile": candidate.profile,
        "marked": candidate.is_marked,
        "score": round(candidate.score, 2),
        "fitting": candidate.fitting,
        "quantities": candidate.quantities,
        "values": {quantity: _told(value) for quantity, value in candidate.values.items()},
    }


def _told(value: Value) -> str | list[str] | None:
    if isinstance(value, frozenset):
        return sorted(value)
    return None if value is None else f"{value:f}"


def protocols() -> Sequence[str]:
    """The protocols that can be searched for."""
    return tuple(SEARCHES)
