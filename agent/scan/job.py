"""Walks a bus: asks, listens, and finds out who answers. A generator, so that whoever runs it shows how far it is.

Strategy: the steps of the plan in their order. What comes late, into the next question, betrays its sender, who is
asked again with patience; garbled answers are asked for once more at once. Whoever is found is asked at once what
profiles would ask, until its model is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.line.asking import Asking, Heard, Whom
from agent.line.ports import WireSettings
from agent.scan.found import FoundMeter, Garbled, Hearing
from agent.scan.plan import LISTEN_S, ScanPlan, Step
from agent.settings import SerialSettings
from drivers.contract import Refusal, Refused
from drivers.search import Call

_PATIENT_WAIT_S = 2.0  # for those who are known to be there


@dataclass(frozen=True, slots=True)
class Advanced:
    """So many of the announced seconds are done."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """A meter answered."""

    meter: FoundMeter


@dataclass(frozen=True, slots=True)
class Identified:
    """Its profiles are known, or that none fits."""

    meter: FoundMeter


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Several meters answered one call at once: so many calls more are needed, which take so long."""

    calls: int
    seconds: float


Event = Advanced | Found | Identified | Narrowed
Identify = Callable[[FoundMeter], None]


class Scan:
    """One scan of one line. `heard` grows while it runs and holds after it was broken off."""

    def __init__(
        self,
        plan: ScanPlan,
        asking: Asking,
        *,
        wire_of: Callable[[SerialSettings], WireSettings],
        identify: Identify,
        sentinels: Mapping[str, Sequence[Call]],
    ) -> None:
        """`sentinels` are calls, by protocol, that no meter is likely to answer: one that does answers to any."""
        self._plan = plan
        self._asking = asking
        self._wire_of = wire_of
        self._identify = identify
        self._sentinels = sentinels
        self.heard = Hearing()

    def run(self) -> Iterator[Event]:
        """Does all of it. Raises LineDownError."""
        for step in self._plan.steps:
            if step.is_patient and self.heard.meters and not self.heard.is_live(step.serial):
                yield Advanced(step.seconds)  # this bus speaks with other settings
                continue
            yield from self._listen(step)
            for event in self._walk(step):
                yield event
                if isinstance(event, Found):
                    self._identify(event.meter)
                    event.meter.is_identified = True
                    yield Identified(event.meter)
                    yield Advanced(self._plan.identify_s)

    def _listen(self, step: Step) -> Iterator[Event]:
        """Hears the line out before the first question with a setting."""
        unasked = self.heard.unasked
        if step.serial not in unasked:
            unasked[step.serial] = self._asking.listen(self._wire_of(step.serial), LISTEN_S)
            yield Advanced(LISTEN_S)

    def _walk(self, step: Step) -> Iterator[Event]:
        share_s = step.seconds / len(step.calls)
        waiting = deque(step.calls)
        by_address = {call.address: call for call in step.calls}
        late: dict[str, Call] = {}
        while waiting:
            call = waiting.popleft()
            if not self.heard.knows(step.protocol, call.address, step.serial):
                meter, more = self._call(call, step, step.wait_s)
                if more:
                    waiting.extendleft(reversed(more))
                    yield Narrowed(len(more), len(more) * share_s)
                if meter is not None:
                    yield Found(meter)
                    if self._answers_any_unit(step):
                        return
                late |= {address: by_address[address] for address in self.heard.strangers & by_address.keys()}
            yield Advanced(share_s if call.address in by_address else 0.0)
        for call in late.values():
            if not self.heard.knows(step.protocol, call.address, step.serial):
                meter, _ = self._call(call, step, max(step.wait_s, _PATIENT_WAIT_S))
                if meter is not None:
                    yield Found(meter)
            self.heard.strangers.discard(call.address)

    def _call(self, call: Call, step: Step, wait_s: float) -> tuple[FoundMeter | None, tuple[Call, ...]]:
        """Asks one call: the meter that answered it, and what to ask because several seem to have."""
        heard = self._ask(call, step, wait_s)
        if not is_answer(heard) and self._is_garbled(heard, call):
            heard = self._ask(call, step, wait_s)
        if is_answer(heard):
            address = call.heard(heard.received) or call.address
            if self.heard.knows(step.protocol, address, step.serial):
                return None, ()
            meter = FoundMeter(
                protocol=step.protocol,
                address=address,
                serial=step.serial,
                delay_s=heard.delay_s,
                received=heard.received,
            )
            self.heard.meters.append(meter)
            return meter, ()
        if not self._is_garbled(heard, call):
            return None, ()
        self.heard.garbled.append(
            Garbled(protocol=step.protocol, address=call.address, serial=step.serial, received=heard.received)
        )
        return None, call.narrower()

    def _ask(self, call: Call, step: Step, wait_s: float) -> Heard:
        self.heard.asked += 1
        whom = Whom(protocol=step.protocol, address=call.address, wire=self._wire_of(step.serial))
        heard = self._asking.ask(call.ask, whom, wait_s=wait_s)
        self.heard.echoes += heard.received.startswith(heard.request)
        return heard

    def _is_garbled(self, heard: Heard, call: Call) -> bool:
        """Something came that is no frame of anybody; notes whose frame it is otherwise."""
        rest = heard.received.removeprefix(heard.request)
        if not rest or isinstance(heard.error, Refused):
            return False
        stranger = call.heard(rest)
        if stranger is not None:
            self.heard.strangers.add(stranger)
        return stranger is None

    def _answers_any_unit(self, step: Step) -> bool:
        """On Modbus TCP: whether this device does not look at the address at all. Found out once."""
        sentinels = self._sentinels.get(step.protocol, ())
        if self._asking.framing != "tcp" or len(self.heard.meters) != 1 or not sentinels:
            return False
        answers = [self._ask(call, step, step.wait_s) for call in sentinels]
        self.heard.answers_any_unit = all(is_answer(heard) for heard in answers)
        return self.heard.answers_any_unit


def is_answer(heard: Heard) -> bool:
    """A reply, or a refusal by the meter itself."""
    if isinstance(heard.error, Refused):
        return heard.error.kind is not Refusal.ABSENT
    return heard.reply is not None
