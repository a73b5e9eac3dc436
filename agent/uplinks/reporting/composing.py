"""From committed rounds to rows of the outbox: one uplink's slots, composed in the order of the rounds' numbers.

Strategy: a step takes a bounded number of rounds and slots, so that a month that was missed is composed in pieces that
are on disk before the next one is begun. Rounds of a boot whose date is not on disk yet are left for later; those of a
boot that never got one are passed over, since no report can say when they were. A clock that goes back begins with the
next slot: what is in the outbox for a slot stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import Protocol

from agent.clock import Clock, date_of
from agent.model import INTAKE, MANUAL, StoredRound
from agent.report.compose import FAULTS, Composer, Trigger, origin_of
from agent.report.content import STATION, Content, Kind, Sample
from agent.report.in_force import InForce
from agent.report.options import CentreOptions
from agent.report.slots import Grid, slot_at
from agent.store.outbox import Composed, NewReport, Outbox

_CHUNK = 500
_AGAIN = 2000  # rounds heard once more after a start: a slot may take a reading from before it
_LEAST_WAIT_MS = 15_000
_MOST_SLOTS = 500  # composed in one step
_TOTAL = "volume_withdrawn"


class Rounds(Protocol):
    """Where rounds are read."""

    def rounds(self, first: int, last: int, *, limit: int) -> list[StoredRound]:
        """At most `limit` rounds of first…last."""
        ...

    def spells(self) -> tuple[tuple[int, int | None, int | None], ...]:
        """Stretches of numbers: first, first of the next, ms from boot time to UTC (None: without a date)."""
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
        """`alarms` gives the codes of the faults that are open now and concern these intakes."""
        self._name = name
        self._composer = composer
        self._options = options
        self._zone = zone
        self._outbox = outbox
        self._clock = clock
        self._alarms = alarms
        self._on_event: Callable[[str], None] = lambda _: None
        self._every_ms = options.every_ms
        self._additional_ms: int | None = None
        self._grid = Grid((self._every_ms,), zone)
        periods = [each.period_ms for each in composer.expected() if not each.is_exact]
        self._wait_ms = min(max([_LEAST_WAIT_MS, *(2 * each for each in periods)]), self._every_ms)
        self._heard = 0  # the last number that the composer has heard
        self._slot_ms = 0  # the last slot composed
        self._is_begun = False
        self._is_polled = False
        self._open: frozenset[str] | None = None  # the faults that were open when last looked
        self._slots = [kind for kind in options.kinds if kind is not Kind.MANUAL]
        self.counts = {"composed": 0, "complete": 0}  # regular reports since the agent began

    @property
    def every_ms(self) -> int:
        """How often a report goes."""
        return self._every_ms

    @property
    def is_polled(self) -> bool:
        """Whether the centre has set that reports wait until it asks, and still may set that."""
        return self._is_polled and self._options.allows_sets

    def tell(self, on_event: Callable[[str], None]) -> None:
        """From now on `on_event` hears of each flag, limit and fault that comes or goes: `+empty_pipe`, `level>5`."""
        self._on_event = on_event

    def obey(self, in_force: InForce) -> None:
        """From the next slot on what a centre has set holds."""
        self._every_ms = in_force.every_ms or self._options.every_ms
        self._additional_ms = in_force.additional_ms if self._options.kinds else None
        self._grid = Grid([each for each in (self._every_ms, self._additional_ms) if each], self._zone)
        configured = self._options.limits
        own = {key: limit.over(configured.get(key)) for key, limit in in_force.limits.items()}
        self._composer.limit({**configured, **own})
        self._is_polled = in_force.is_polled

    def step(self, reader: Rounds, committed: int) -> bool:
        """Composes some of what is due from rounds up to `committed`; whether to call again, all being on disk by then.

        True after rows were added, which must not be sent before they are on disk.
        """
        if not self._clock.synced or ((spells := reader.spells()) and spells[-1][2] is None):
            return False  # the date of this boot comes with the next commit
        if not self._is_begun:
            self._begin(reader, committed)
        self._follow_clock()
        before = (self._heard, self._slot_ms)
        reports = self._hear(reader, committed)
        if self._heard >= committed:
            reports += self._faults()
            for _ in range(_MOST_SLOTS):
                if self._following() + self._wait_ms > self._now_ms():
                    break
                reports += self._composed(self._following(), self._now_ms() - self._wait_ms)
        if reports or self._slot_ms != before[1]:
            self._outbox.add(self._name, reports, Composed(self._heard, self._slot_ms))
        return (self._heard, self._slot_ms) != before or bool(reports)

    def latest(self) -> Content:
        """What is known now."""
        return self._composer.latest(self._now_ms(), self._alarms())

    def _begin(self, reader: Rounds, committed: int) -> None:
        """A new uplink begins with the next slot; another goes on where its last row ended."""
        composed = self._outbox.composed(self._name)
        if composed is None:
            composed = Composed(committed, self._grid.at(self._now_ms()))
            self._outbox.add(self._name, (), composed)
        self._heard, self._slot_ms = composed
        first = max(1, composed.number - _AGAIN)
        for each in reader.rounds(first, composed.number, limit=_AGAIN + 1):
            self._composer.hear(each)
        self._is_begun = True

    def _follow_clock(self) -> None:
        """A clock that went back: what is composed is behind it already, and the next slot is the next one."""
        self._slot_ms = min(self._slot_ms, self._grid.at(self._now_ms()))

    def _hear(self, reader: Rounds, committed: int) -> list[NewReport]:
        """The next rounds, and what follows from them."""
        if self._heard >= committed:
            return []
        found = reader.rounds(self._heard + 1, committed, limit=_CHUNK)
        if not found:
            self._heard = committed
        reports: list[NewReport] = []
        for each in found:
            reports += self._heard_one(each)
        return reports

    def _heard_one(self, found: StoredRound) -> list[NewReport]:
        """A round's alarms, and the slots that it is beyond."""
        self._heard = found.number
        triggers = self._composer.hear(found)
        for trigger in triggers:
            self._on_event(trigger.reason)
        reports = [self._additional(trigger) for trigger in triggers] if self._options.kinds else []
        if found.at_ms is None:
            return reports
        if Kind.MANUAL in self._options.kinds:
            told = self._entered if self._options.enters_values else self._manual
            reports += told(found, found.at_ms)
        if found.layout.protocol == MANUAL:
            return reports  # entered for another time than now
        if found.at_ms > self._now_ms() + self._every_ms:
            return reports  # from before the clock was set back
        while (slot_ms := self._following()) <= found.at_ms:
            if not (self._composer.is_past(slot_ms) or slot_ms + self._wait_ms <= found.at_ms):
                break
            reports += self._composed(slot_ms, found.at_ms - self._wait_ms)
        return reports

    def _faults(self) -> list[NewReport]:
        """A fault that began or ended is reported at once; those from before the start are known."""
        before, self._open = self._open, FAULTS.intersection(self._alarms())
        changed = [] if before is None else sorted(before ^ self._open)
        triggers = [Trigger(self._now_ms(), f"{'+' if code in self._open else '-'}{code}") for code in changed]
        for trigger in triggers:
            self._on_event(trigger.reason)
        return [self._additional(trigger) for trigger in triggers] if self._options.kinds else []

    def _following(self) -> int:
        return self._grid.after(self._slot_ms)

    def _composed(self, slot_ms: int, until_ms: int) -> list[NewReport]:
        """The reports of a slot; none where nothing was read, and the slots like it up to `until_ms` are left."""
        self._slot_ms = slot_ms
        reports = []
        for kind in self._kinds_at(slot_ms):
            contents = self._series(slot_ms) if kind is Kind.UNIFORM else {"": self._report(kind, slot_ms)}
            for variant, content in contents.items():
                if any(each.text is not None for each in content.samples):
                    is_regular = kind is not Kind.INTERVAL
                    self.counts["composed"] += is_regular
                    self.counts["complete"] += is_regular and all(each.text is not None for each in content.samples)
                    reports.append(NewReport(kind.value, slot_ms, variant, content.to_text()))
        if not reports:
            near_ms = self._composer.next_near(slot_ms)
            last_ms = until_ms if near_ms is None else min(until_ms, near_ms - 1)
            self._slot_ms = max(slot_ms, self._grid.at(last_ms))
        return reports

    def _kinds_at(self, slot_ms: int) -> list[Kind]:
        """What goes at a slot: the timed reports at theirs, an additional one at each that the centre has set."""
        own = (self._slots, self._every_ms), ([Kind.INTERVAL], self._additional_ms)
        return [
            kind for kinds, every in own if every and slot_at(slot_ms, every, self._zone) == slot_ms for kind in kinds
        ]

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

    def _manual(self, found: StoredRound, at_ms: int) -> list[NewReport]:
        """What a person read and entered: free text, with its own time."""
        meter = found.layout.meter
        values = [f"{name} {text}" for name, text in zip(found.layout.quantities, found.texts, strict=True) if text]
        if found.layout.protocol != MANUAL or not self._composer.hears(meter) or not values:
            return []
        moment = date_of(at_ms).astimezone(self._zone)
        text = " ".join((f"{moment:%y%m%d%H%M}", meter, *values))
        content = Content(kind=Kind.MANUAL, slot_ms=at_ms, samples=(), text=text)
        return [NewReport(Kind.MANUAL.value, at_ms, meter, content.to_text())]

    def _entered(self, found: StoredRound, at_ms: int) -> list[NewReport]:
        """What an intake had withdrawn when a person read its meter: the register itself is another number."""
        if found.layout.protocol != INTAKE or origin_of(found) != MANUAL:
            return []
        told = dict(zip(found.layout.quantities, found.texts, strict=True))
        reports = []
        for each in self._composer.expected():
            text = told.get(each.quantity) if each.quantity == _TOTAL else None
            if each.meter != found.layout.meter or text is None:
                continue
            sample = Sample(each.channel, _TOTAL, text, at_ms, MANUAL, found.id, (found.quality or {}).get(_TOTAL, ()))
            content = Content(kind=Kind.MANUAL, slot_ms=at_ms, samples=(sample,), alarms=tuple(sorted(self._alarms())))
            reports.append(NewReport(Kind.MANUAL.value, at_ms, str(each.channel), content.to_text()))
        return reports

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)
