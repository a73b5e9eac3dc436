"""What a scan has heard: the meters it found and how each walk over a bus sounded. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.scan.identify import Candidate, Confidence, confidence
from agent.settings import SerialSettings


@dataclass(slots=True, kw_only=True)
class FoundMeter:
    """A meter that answered. `delay_s`: how long it took to begin; `candidates`: profiles that fit, the best first."""

    protocol: str
    address: str
    serial: SerialSettings
    delay_s: float
    received: bytes
    candidates: tuple[Candidate, ...] = ()
    is_identified: bool = False  # else the scan was broken off before

    @property
    def best(self) -> Candidate | None:
        """The profile that fits best."""
        return self.candidates[0] if self.candidates else None

    @property
    def confidence(self) -> Confidence | None:
        """How sure that profile is; None when there is none."""
        return confidence(self.candidates) if self.candidates else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbled:
    """Bytes came when this address was asked, and no sound frame among them."""

    protocol: str
    address: str
    serial: SerialSettings
    received: bytes


@dataclass(slots=True, kw_only=True)
class Hearing:
    """All that was heard so far."""

    meters: list[FoundMeter] = field(default_factory=list)
    garbled: list[Garbled] = field(default_factory=list)
    strangers: set[str] = field(default_factory=set)  # addresses heard that nobody had asked
    unasked: dict[SerialSettings, bytes] = field(default_factory=dict)  # what came while nobody asked
    asked: int = 0
    echoes: int = 0
    answers_any_unit: bool = False

    def knows(self, protocol: str, address: str, serial: SerialSettings) -> bool:
        """Whether the meter is found, with that baud and any parity: it would hear both or none."""
        wanted = (protocol, address, serial.baud)
        return any((each.protocol, each.address, each.serial.baud) == wanted for each in self.meters)

    def is_live(self, serial: SerialSettings) -> bool:
        """Whether anything was heard with that setting."""
        return serial in {*(each.serial for each in self.meters), *(each.serial for each in self.garbled)}
