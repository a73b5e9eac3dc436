"""What polling takes: each meter's requests, the seconds of a line's cycle, and whether its periods allow it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agent.decode import bundles
from agent.profiles import Drivers
from agent.settings import Config, LineSettings, MeterSettings
from drivers.contract import Ask, WireCost

TURNAROUND_S = 0.02  # a typical meter's answer delay; the running line measures each meter's own


class Wire(Protocol):
    """How long characters and silences last for a meter on its line."""

    @property
    def character_s(self) -> float:
        """Seconds of one character."""
        ...

    @property
    def silence_s(self) -> float:
        """Seconds of silence between frames."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterPlan:
    """A meter's requests and the seconds that one poll of it is expected to take."""

    settings: MeterSettings
    asks: tuple[Ask, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePlan:
    """A line with its meters."""

    settings: LineSettings
    meters: tuple[MeterPlan, ...]

    @property
    def cycle_s(self) -> float:
        """Seconds to poll every meter of the line once."""
        return sum(meter.seconds for meter in self.meters)

    @property
    def load(self) -> float:
        """The share of the line's time that the poll periods ask for; above 1 slots are skipped."""
        return sum(meter.seconds * 1000 / meter.settings.poll_ms for meter in self.meters)


AnyWire = TypeVar("AnyWire", bound=Wire)


def plan_of(line: LineSettings, meters: Iterable[tuple[MeterSettings, Wire, tuple[Ask, ...]]]) -> LinePlan:
    """The plan of a line from its meters, each with how it is spoken to and its planned requests."""
    return LinePlan(
        settings=line,
        meters=tuple(
            MeterPlan(
                settings=settings,
                asks=asks,
                seconds=sum(ask_s(ask, None if line.framing == "tcp" else wire) for ask in asks),
            )
            for settings, wire, asks in meters
        ),
    )


def plans_of(
    config: Config,
    *,
    drivers: Drivers,
    wire_of: Callable[[MeterSettings], AnyWire],
    cost_of: Callable[[LineSettings, AnyWire], WireCost],
) -> tuple[LinePlan, ...]:
    """The plan of every line, in the order of the file; `drivers`, `wire_of` and `cost_of` as the daemon uses them."""

    def asked(line: LineSettings, meter: MeterSettings) -> tuple[MeterSettings, Wire, tuple[Ask, ...]]:
        wire, profile = wire_of(meter), config.profiles[meter.profile]
        driver = drivers[profile.protocol](framing=line.framing, cost=cost_of(line, wire))
        return meter, wire, driver.plan(meter.address, bundles(config.entries(meter.name)), profile.limits)

    return tuple(
        plan_of(line, [asked(line, meter) for meter in config.meters.values() if meter.line == line.name])
        for line in config.lines.values()
    )


def ask_s(ask: Ask, wire: Wire | None) -> float:
    """Seconds from one request to the next: its characters, a silence on both sides of the reply, the meter's delay.

    `wire` is None on Modbus TCP, where only the delay counts.
    """
    if wire is None:
        return TURNAROUND_S
    return (ask.request_size + ask.reply_size) * wire.character_s + 2 * wire.silence_s + TURNAROUND_S
