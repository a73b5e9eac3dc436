"""A simulated meter: its registers, its manners, and the mischief it is up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.fingerprint import typical
from agent.model import Value
from agent.settings import Profile
from drivers.contract import Driver
from simulators.meters.envelope import Envelope
from simulators.meters.image import Given, MeterImage, Snapshot
from simulators.mischief import Mischief, Trouble, delay_s, garbled


class SimulatedMeter:
    """One meter at `address`, showing `values` in the registers of its profile.

    `latency_s` (turnaround), `baud`, `parity` and `stop_bits` are the line's where they are None; `preset` and `gaps`
    are as for `MeterImage`. `set`, `update` and `mischief` may be used from any thread while the line runs.

    Raises:
        KeyError: `values` has a quantity that the profile does not have.
        CannotShowError: a value does not fit.
        CannotMisbehaveError: the mischief is not possible with this meter.
    """

    def __init__(
        self,
        name: str,
        *,
        profile: Profile,
        address: str,
        values: Mapping[str, Given] | None = None,
        mischief: Sequence[Mischief | Mapping[str, Any]] = (),
        preset: Mapping[str, Mapping[int, int]] | None = None,
        gaps: bool = False,
        latency_s: float | None = None,
        baud: int | None = None,
        parity: str | None = None,
        stop_bits: int | None = None,
    ) -> None:
        self.name = name
        self.profile = profile
        self.address = address
        self.latency_s = latency_s
        self.baud = baud
        self.parity = parity
        self.stop_bits = stop_bits
        marks = {mark.item: typical(mark, address) for mark in profile.identify}
        shown = {**_first_values(profile, marks), **(values or {})}
        self.image = MeterImage(profile.entries, shown, preset=preset, gaps=gaps, marks=marks)
        self._trouble = Trouble(mischief, self.image)

    def set(self, quantity: str, value: Given) -> None:
        """Shows `value`. Raises KeyError for a quantity it does not measure, CannotShowError when it does not fit."""
        self.image.set(quantity, value)

    def update(self, values: Mapping[str, Given]) -> None:
        """Shows all `values` at once, so that no reader sees half of them. Raises as `set` does."""
        self.image.update(values)

    @property
    def values(self) -> Mapping[str, Value]:
        """What an exact reader gets from a sound meter now."""
        return self.image.values

    @property
    def mischief(self) -> tuple[Mischief, ...]:
        """What it does wrong. Assigning replaces all of it (mappings as in the file, or `Mischief`), from now on."""
        return self._trouble.mischief

    @mischief.setter
    def mischief(self, mischief: Sequence[Mischief | Mapping[str, Any]]) -> None:
        self._trouble = Trouble(mischief, self.image)

    def reply_to(self, request: bytes, driver: Driver) -> bytes:
        """What a sound meter would answer now; b"" when it is not addressed or the request is not sound."""
        return driver.answer(request, {self.address: self.image.memory()})

    def hear(self, request: bytes, driver: Driver, latency_s: float) -> Attempt | None:
        """What this meter makes of a request; None when it is not addressed or the request is not sound."""
        if not self.reply_to(request, driver):
            return None
        trouble = self._trouble
        strikes = trouble.draw()
        turnaround_s = latency_s if self.latency_s is None else self.latency_s
        return Attempt(self, request, trouble, strikes, delay_s(turnaround_s, strikes))


def _first_values(profile: Profile, marks: Mapping[Any, Decimal]) -> dict[str, Decimal]:
    """What is shown before anyone says otherwise by quantities that also give the model away (a mains frequency)."""
    return {
        entry.quantity: marks[part.item] * part.scale * entry.scale + entry.offset
        for entry in profile.entries
        for part in entry.parts[:1]
        if part.item in marks and len(entry.parts) == 1 and not entry.factors
    }


@dataclass(frozen=True, slots=True)
class Attempt:
    """An answer that a meter is about to give, `delay_s` after the end of the request; never when that is None."""

    meter: SimulatedMeter
    request: bytes
    trouble: Trouble
    strikes: tuple[Mischief, ...]
    delay_s: float | None

    def frame(self, driver: Driver, envelope: Envelope) -> tuple[bytes, Snapshot]:
        """Fixes the registers now: the bytes for the wire, and what the registers meant."""
        if not self.strikes:
            snapshot = self.meter.image.snapshot
            return driver.answer(self.request, {self.meter.address: snapshot.memory}), snapshot
        snapshot = self.trouble.altered(self.strikes)
        frame = driver.answer(self.request, {self.meter.address: snapshot.memory})
        return garbled(frame, envelope, self.strikes), snapshot
