"""From committed rounds to rows of the outbox: one uplink's slots, composed in the order of the rounds' numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import Protocol

from agent.clock import Clock
from agent.model import StoredRound
from agent.report.compose import Composer, Trigger
from agent.report.content import STATION, Content, Kind
from agent.report.in_force import InForce
from agent.report.options import CentreOptions
from agent.report.slots import next_slot, slot_at
from agent.store.outbox import Composed, NewReport, Outbox

_CHUNK = 500
_AGAIN = 2000  # rounds heard once more after a start: a slot may take a reading from before it
_LEAST_WAIT_MS = 15_000
_MOST_SLOTS = 100_000  # of one catching up


class Rounds(Protocol):
    """Where rounds are read."""

    def rounds(self, first: int, last: int, *, limit: int) -> list[StoredRound]:
        """At most `limit` rounds of first…last."""
        ...


class Composing:
    """Hears what was committed and writes what is due; used by the uplink's own thread."""

    def __init__(
        self,
        name: str,
        *,
        composer: Composer,
        options: CentreOptions,
        zone: tzinfo,
        outbox: Outbox,
        clock: Clock,
        alarms: Callable[[], Iterable[str]],
    ) -> None:
        """`alarms` gives the codes of the faults that are open now."""
        self._name = name
        self._composer = composer
        self._options = options
        self._zone = zone
        self._outbox = outbox
        self._clock = clock
        self._alarms = alarms
        self._every_ms = options.every_ms
        periods = [each.period_ms for each in composer.expected() if not each.is_exact]
        self._wait_ms = min(max([_LEAST_WAIT_MS, *(2 * each for each in periods)]), self._every_ms)
        self._heard = 0  # the last number that the composer has heard
        self._slot_ms = 0  # the last slot composed
        self._is_begun = False
        self.counts = {"composed": 0, "complete": 0}  # regular reports since the agent began

    @property
    def every_ms(self) -> int:
        """How often a report goes."""
        return self._every_ms

    def obey(self, in_force: InForce) -> None:
        """From the next slot on what a centre has set holds."""
        self._every_ms = in_force.every_ms or self._options.every_ms
        self._composer.limit({**self._options.limits, **in_force.limits})

    def due_in_ms(self) -> int | None:
        """How long until the next slot has waited enough; None while there is no time."""
        if not self._clock.synced or not self._slot_ms:
            return None
        following = next_slot(self._slot_ms, self._every_ms, self._zone)
        return max(0, following + self._wait_ms - self._now_ms())

    def step(self, reader: Rounds, committed: int) -> bool:
        """Composes what is due from rounds up to `committed`; whether rows were added, which must be on disk first."""
        if not self._clock.synced:
            return False
        if not self._is_begun:
            self._begin(reader, committed)
        reports: list[NewReport] = []
        before = (self._heard, self._slot_ms)
        while self._heard < committed:
            found = reader.rounds(self._heard + 1, committed, limit=_CHUNK)
            if not found:
                self._heard = committed
            for each in found:
                reports += self._heard_one(each)
        while (slot_ms := self._following()) + self._wait_ms <= self._now_ms():
            reports += self._composed(slot_ms)
        if (self._heard, self._slot_ms) == before:
            return False
        if reports or self._slot_ms != before[1]:
            self._outbox.add(self._name, reports, Composed(self._heard, self._slot_ms))
        return bool(reports)

    def latest(self) -> Content:
        """What is known now."""
        return self._composer.latest(self._now_ms(), self._alarms())

    def _begin(self, reader: Rounds, committed: int) -> None:
        """A new uplink begins with the next slot; another goes on where its last row ended."""
        composed = self._outbox.composed(self._name)
        if composed is None:
            composed = Composed(committed, slot_at(self._now_ms(), self._every_ms, self._zone))
            self._outbox.add(self._name, (), composed)
        self._heard, self._slot_ms = composed
        first = max(1, composed.number - _AGAIN)
        for each in reader.rounds(first, composed.number, limit=_AGAIN + 1):
            self._composer.hear(each)
        self._is_begun = True

    def _heard_one(self, found: StoredRound) -> list[NewReport]:
        """A round's alarms, and the slots that it is beyond."""
        self._heard = found.number
        triggers = self._composer.hear(found)
        reports = [self._additional(trigger) for trigger in triggers]
        if found.at_ms is None:
            return reports
        for _ in range(_MOST_SLOTS):
            slot_ms = self._following()
            if slot_ms > found.at_ms or not (self._composer.is_past(slot_ms) or slot_ms + self._wait_ms <= found.at_ms):
                break
            reports += self._composed(slot_ms)
        return reports

    def _following(self) -> int:
        return next_slot(self._slot_ms, self._every_ms, self._zone)

    def _composed(self, slot_ms: int) -> list[NewReport]:
        """The reports of a slot; none where nothing at all was read."""
        self._slot_ms = slot_ms
        reports = []
        for kind in self._options.kinds:
            contents = self._series(slot_ms) if kind is Kind.UNIFORM else {"": self._report(kind, slot_ms)}
            for variant, content in contents.items():
                if any(each.text is not None for each in content.samples):
                    self.counts["composed"] += 1
                    self.counts["complete"] += all(each.text is not None for each in content.samples)
                    reports.append(NewReport(kind.value, slot_ms, variant, content.to_text()))
        return reports

    def _report(self, kind: Kind, slot_ms: int) -> Content:
        return self._composer.report(kind, slot_ms, self._alarms())

    def _series(self, slot_ms: int) -> dict[str, Content]:
        """A uniform report has one quantity of one channel."""
        step_ms = self._options.uniform_step_ms
        return {
            f"{each.channel}/{each.quantity}": self._composer.uniform(each, slot_ms, self._every_ms, step_ms)
            for each in self._composer.expected()
            if not each.is_exact and each.channel != STATION
        }

    def _additional(self, trigger: Trigger) -> NewReport:
        content = self._composer.report(Kind.ADDITIONAL, trigger.at_ms, self._alarms(), trigger=trigger.reason)
        return NewReport(Kind.ADDITIONAL.value, trigger.at_ms, trigger.reason, content.to_text())

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)
