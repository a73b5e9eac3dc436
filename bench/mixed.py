"""Rows of a bus whose meters speak with different settings: what changing baud, parity and protocol costs.

The limit of a poll is its own characters, turnaround and silence (`bench/physics.py`), whoever comes next. So all
that a change of settings adds counts as loss, the longer silence before a slower meter too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.figures import Bench, Figure
from bench.physics import BITS_8N1, character_s, silence_s
from bench.running import settle, simulated
from tests.system.processes import Served
from tests.system.station import PLAIN, Site

TURNAROUND_S = 0.009
REGISTERS = 10
EACH = 3  # meters of each setting: grouped, two polls of three follow one of the same setting
WARM_UP_S = 4.0  # more than one turn of all


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to be spoken to on the bus; `shown` is what its meters show."""

    name: str
    profile: str
    baud: int
    parity: str
    address: str  # of meter N: formatted with N
    shown: tuple[tuple[str, str], ...]

    @property
    def character_s(self) -> float:
        return character_s(self.baud, self._bits)

    @property
    def silence_s(self) -> float:
        return silence_s(self.baud, self._bits)

    @property
    def _bits(self) -> int:
        return BITS_8N1 + (self.parity != "none")

    def best_s(self, one: Served) -> float:
        """The shortest time for which this poll holds the bus."""
        return (len(one.request) + len(one.reply)) * self.character_s + TURNAROUND_S + self.silence_s

    def add(self, site: Site, number: int, *, poll: str = "") -> str:
        """Puts meter `number` of this setting on the line `bus`, at both ends; its name."""
        name = f"{self.name}-{number}"
        site.meter(name, "bus", self.profile, poll=poll, values=dict(self.shown))
        spoken = {"address": self.address.format(number), "baud": self.baud, "parity": self.parity}
        site.meters[name] |= {**spoken, "quantities": [quantity for quantity, _ in self.shown]}
        site.far_meters[name] |= spoken
        return name


_TEN = tuple((quantity, str(100 + place)) for place, quantity in enumerate(PLAIN[:REGISTERS]))
SETTINGS = (
    Setting("modbus-9600-8n1", "ten", 9600, "none", "{}", _TEN),
    Setting("dlt645-2400-8e1", "dlt645-2007", 2400, "even", "{:012d}", (("energy_import", "123456.78"),)),
    Setting("modbus-19200-8e1", "ten", 19200, "even", "1{}", _TEN),
    Setting("cjt188-1200-8e1", "cjt188-cold-2004", 1200, "even", "{:014d}", (("volume_forward", "65432.15"),)),
)


def bus(site: Site) -> None:
    """The bus `bus`, whose meters drop what comes early, and the profile of its Modbus meters."""
    site.serial("bus", latency=f"{TURNAROUND_S * 1000:g}ms", strict=True)
    site.profile("ten", {quantity: register for register, (quantity, _) in enumerate(_TEN)})


@dataclass(frozen=True, slots=True)
class Step:
    """One poll and the begin of the next: for how long it held the bus, at best, and what came next."""

    took_s: float
    best_s: float
    is_switch: bool
    longer_silence_s: float  # before a slower meter the silence is its own

    @property
    def lost_s(self) -> float:
        return self.took_s - self.best_s


def steps(served: Sequence[Served], since_s: float, until_s: float) -> list[Step]:
    """The polls in the window, from the meters' log."""
    by_name = {setting.name: setting for setting in SETTINGS}
    found = []
    for one, following in pairwise(served):
        if since_s <= one.at_s and following.at_s <= until_s:
            mine, theirs = (by_name[each.meter.rpartition("-")[0]] for each in (one, following))
            longer_s = max(0.0, theirs.silence_s - mine.silence_s)
            found.append(Step(following.at_s - one.at_s, mine.best_s(one), mine != theirs, longer_s))
    return found


def efficiency(found: Sequence[Step]) -> float:
    """Percent of the time in which physics needs the bus."""
    return 100 * sum(step.best_s for step in found) / sum(step.took_s for step in found)


@dataclass(frozen=True, slots=True)
class _Run:
    steps: list[Step]
    early: int
    wrong_baud: int


def _run(bench: Bench, name: str, order: Sequence[tuple[Setting, int]]) -> _Run:
    """All meters back to back: they take turns in the order in which agent.yaml has them."""
    site = Site(bench.site(name), poll="10ms")
    bus(site)
    for setting, number in order:
        setting.add(site, number)
    with site, simulated(site) as meters:
        daemon = site.start_daemon().ready()
        settle(daemon, WARM_UP_S)
        since_s = time.monotonic()
        settle(daemon, bench.length_s(15, 120))
        until_s = time.monotonic()
        daemon.stop()
        meters.stop()
        counters = json.loads(meters.counters.read_text(encoding="utf-8"))["lines"]["bus"]
        return _Run(steps(site.served(), since_s, until_s), meters.early(), counters["wrong_baud"])


def mixed(bench: Bench) -> list[Figure]:
    """Twelve meters of four settings, with a change at each poll, and grouped by setting."""
    numbers = range(1, EACH + 1)
    mingled = _run(bench, "mixed", [(setting, number) for number in numbers for setting in SETTINGS])
    grouped = _run(bench, "grouped", [(setting, number) for setting in SETTINGS for number in numbers])
    switched = [step for step in mingled.steps if step.is_switch]
    kept = [step for step in grouped.steps if not step.is_switch]
    if len(switched) != len(mingled.steps) or not kept:
        raise RuntimeError(f"{len(switched)} of {len(mingled.steps)} polls were followed by another setting")
    added_ms, silence_ms, kept_ms = (
        1000 * sum(times) / len(times)
        for times in (
            [step.lost_s for step in switched],
            [step.longer_silence_s for step in switched],
            [step.lost_s for step in kept],
        )
    )
    silence_points = 100 * sum(step.longer_silence_s for step in switched) / sum(step.took_s for step in switched)
    return [
        Figure(
            name="mixed-switched",
            title="4 protocols and settings on one bus, a change at each poll",
            unit="% of limit",
            target="none early",
            limit=100,
            qushui=efficiency(switched),
            note=f"{len(switched)} changes; early {mingled.early}, wrong baud {mingled.wrong_baud}",
            more={"early": mingled.early, "wrong_baud": mingled.wrong_baud, "changes": len(switched)},
        ),
        Figure(
            name="mixed-kept",
            title="the same meters grouped, polls without a change",
            unit="% of limit",
            target="–",
            limit=100,
            qushui=efficiency(kept),
            note=f"with the change from group to group {efficiency(grouped.steps):.2f} %; early {grouped.early}",
            more={"early": grouped.early, "wrong_baud": grouped.wrong_baud, "all": efficiency(grouped.steps)},
        ),
        Figure(
            name="mixed-loss",
            title="lost by changing settings at each poll",
            unit="points",
            target="stated",
            limit=0,
            qushui=efficiency(kept) - efficiency(switched),
            note=(
                f"the longer silence before slower meters alone: {silence_points:.1f}; over the limit: "
                f"{added_ms:.1f} ms per poll with a change ({silence_ms:.1f} of silence), {kept_ms:.1f} ms without"
            ),
            more={
                "silence_points": silence_points,
                "over_limit_ms": added_ms,
                "longer_silence_ms": silence_ms,
                "kept_ms": kept_ms,
            },
        ),
    ]
