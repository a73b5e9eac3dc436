"""Whether water flows and pumps run, and since when: what several rules have to know before they may judge a value.

Every start and stop makes jumps that are no faults. An edge is a flow that crosses the lowest sure flow, or a power
that crosses that of running pumps; values within five minutes after one are exempt (R6; R7 and R13 for its reason).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from agent.derive.exact import MS_PER_HOUR
from agent.intakes.outcome import Heard
from agent.rules.contract import Step
from agent.rules.site import RuleSite

EDGE_MS = 300_000  # M7, R6: start/stop edges exempt for 5 min
_SHORT_MS = 2 * EDGE_MS  # over longer intervals a mean power says nothing about the end


@dataclass(slots=True)
class Sample:
    """A flow in m³/h with its time. `edge_ms` is the last edge known then, its own crossing included."""

    at_ms: int
    value: Decimal
    edge_ms: int | None = None


@dataclass(slots=True)
class FlowMemory:
    """The last two flows of a meter."""

    last: Sample | None = None
    before: Sample | None = None

    def is_near_edge(self, at_ms: int) -> bool:
        """Whether something started or stopped within the last five minutes."""
        return self.last is not None and is_near(self.last.edge_ms, at_ms)


def is_near(edge_ms: int | None, at_ms: int) -> bool:
    """Whether an edge lies less than five minutes back."""
    return edge_ms is not None and abs(at_ms - edge_ms) <= EDGE_MS


@dataclass(slots=True)
class MotionMemory:
    """Whether the pumps run, None while nothing tells; since when that has been told, and when it last changed."""

    is_running: bool | None = None
    at_ms: int = 0
    known_ms: int = 0
    edge_ms: int | None = None
    flows: dict[str, FlowMemory] = field(default_factory=dict)


class Motion:
    """The flows and the pumps of one intake."""

    def __init__(self, site: RuleSite, memory: MotionMemory) -> None:
        self._site = site
        self._memory = memory
        self._fresh_ms = 0
        energy = site.settings.energy
        if energy is not None:
            teller = energy.meter if energy.power is None else energy.power.meter
            self._fresh_ms = site.period_ms(teller) + site.period_ms(teller) // 2
        for source in site.flow_meters:
            memory.flows.setdefault(source.meter, FlowMemory())

    def flow(self, meter: str) -> FlowMemory | None:
        """The last flows of a flow meter, None for another meter."""
        return self._memory.flows.get(meter)

    def is_flowing(self, value: Decimal) -> bool:
        """Whether this is more than the lowest sure flow, either way."""
        return abs(value) > self._site.low_m3h

    def is_running(self, at_ms: int) -> bool | None:
        """Whether the pumps run, None where nobody has said so lately."""
        is_fresh = self._memory.is_running is not None and abs(at_ms - self._memory.at_ms) <= self._fresh_ms
        return self._memory.is_running if is_fresh else None

    def is_steady(self, from_ms: int, to_ms: int) -> bool:
        """Whether the pumps are known to have run, or rested, during all of this time."""
        memory = self._memory
        is_known = memory.is_running is not None and memory.known_ms <= from_ms and memory.at_ms >= to_ms
        return is_known and (memory.edge_ms is None or memory.edge_ms < from_ms)

    def total_flow(self, at_ms: int) -> Decimal | None:
        """The flow over all of its flow meters, m³/h; None unless each spoke lately."""
        total = Decimal(0)
        for source in self._site.flow_meters:
            sample = self._memory.flows[source.meter].last
            period_ms = self._site.period_ms(source.meter)
            if sample is None or abs(at_ms - sample.at_ms) > period_ms + period_ms // 2:
                return None
            total += sample.value
        return total if self._site.flow_meters else None

    def heard(self, heard: Heard) -> None:
        """Takes in what a round says about power and flow."""
        power, running_kw = self._site.power, self._site.running_kw
        if power is not None and running_kw is not None and power.meter == heard.meter:
            kw = heard.values.get(power.quantity)
            if isinstance(kw, Decimal):
                self._ran(kw * self._site.power_factor >= running_kw, heard.at_ms)
        memory, value = self._memory.flows.get(heard.meter), heard.values.get("flow_rate")
        if memory is None or not isinstance(value, Decimal):
            return
        edge_ms = self._memory.edge_ms
        if memory.last is not None:
            crossed = self.is_flowing(value) != self.is_flowing(memory.last.value)
            edges = (memory.last.edge_ms, edge_ms, heard.at_ms if crossed else None)
            edge_ms = max((edge for edge in edges if edge is not None), default=None)
        memory.before, memory.last = memory.last, Sample(heard.at_ms, value, edge_ms)

    def stepped(self, step: Step) -> None:
        """Takes in the mean power of a short interval, where no live power tells."""
        running_kw, duration_ms = self._site.running_kw, step.end_ms - step.begin_ms
        if self._site.power is not None or running_kw is None or step.energy_kwh is None:
            return
        if 0 < duration_ms <= _SHORT_MS:
            self._ran(step.energy_kwh * MS_PER_HOUR >= running_kw * duration_ms, step.end_ms)

    def _ran(self, is_running: bool, at_ms: int) -> None:
        memory = self._memory
        if memory.is_running is None or abs(at_ms - memory.at_ms) > self._fresh_ms:
            memory.known_ms, memory.edge_ms = at_ms, at_ms if memory.is_running not in {None, is_running} else None
        elif memory.is_running != is_running:
            memory.edge_ms = at_ms
        memory.is_running, memory.at_ms = is_running, at_ms
