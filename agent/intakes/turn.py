"""One round in an account, with the declarations that count before it: what is booked, closed and judged.

Strategy: a turn begins with the account's memory and ends with another one and the outcomes; nothing outside it
changes but the rules, which remember for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from agent.derive.counter import Decided, Replaced, Shown
from agent.derive.crosscheck import Run
from agent.derive.exact import MS_PER_HOUR, ONE, ZERO, exact, hours, rounded_m3
from agent.derive.flags import Flag, Qartod, worst
from agent.derive.site import Observation
from agent.intakes.closing import Hour, Standing, close, is_due, next_hour
from agent.intakes.counting import SWAPS, of_interval, of_runs
from agent.intakes.memory import Flow, Memory
from agent.intakes.outcome import Declared, Found, Heard, Outcome, RolledOver
from agent.intakes.saying import FLOW, closings, now
from agent.intakes.scene import Done, Scene, ran
from agent.intakes.sources import Source, number_in, observation, remarks_on, run_times
from agent.intakes.track import Booked, Track, event_of, full_hour, read_energy, read_water
from agent.rules.contract import Glance, Judgement
from agent.rules.contract import Standing as Seen

REPLACEMENT, DECISION = "replacement", "decision"
_WRONG_MS = 26 * MS_PER_HOUR  # a clock that goes back by more was wrong until then
_NOTHING = Judgement((), {}, int(Qartod.NOT_EVALUATED))


class Turn:
    """One round, heard once: first `declare` for each declaration, in order, then `hear`."""

    def __init__(self, memory: Memory, heard: Heard, *, rules: str | None) -> None:
        """`memory` is the account's before it, `rules` what its rules then remembered."""
        self.memory = memory
        self._rules = rules
        self._before = memory
        self._heard = heard
        self._ended: list[Run] = []
        self._said: list[Outcome] = []
        self._found: list[Found] = []

    @property
    def outcomes(self) -> list[Outcome]:
        """Everything that followed, in order."""
        return [*self._said, *self._found]

    def passes(self, declared: Declared) -> None:
        """Notes that a declaration was met which books nothing: one that is withdrawn, or the withdrawal."""
        self.memory = self.memory.knows(declared.id)

    def declare(self, scene: Scene, declared: Declared, at_ms: int) -> None:
        """Books what a replacement or a decision books, and shows the declaration to the rules."""
        self.memory = self.memory.knows(declared.id)
        done: list[Done] = []
        for source in scene.sources:
            is_about = declared.subject == source.meter and declared.body.get("quantity") in (None, source.quantity)
            if is_about and declared.kind in (REPLACEMENT, DECISION):
                booked = self._settle(scene, source, declared, at_ms)
                if booked is not None:
                    done.append(self._booked(source, booked))
        judged = self._look(scene, done, [], declared=declared)
        self._say(scene, done, judged, at_ms, is_manual=False)

    def _settle(self, scene: Scene, source: Source, declared: Declared, at_ms: int) -> Booked | None:
        counter = scene.track(self.memory, source).counter
        site = source.water or source.energy
        assert site is not None
        factor = site.register.factor if counter.baseline is None else counter.factor
        if source.counts and declared.kind == REPLACEMENT:
            self._count(source, at_ms, {SWAPS: ONE})
        event = event_of(at_ms, f"ledger/{declared.id}", declared.body, declared.kind, factor)
        return self._read(scene, source, event)

    def hear(self, scene: Scene) -> None:
        """Books what the round books and closes the hours that it settles."""
        heard, memory = self._heard, self.memory
        if memory.heard_ms is not None and heard.at_ms < memory.heard_ms - _WRONG_MS and not heard.is_manual:
            memory = memory.rewound(heard.at_ms)
        heard_ms = heard.at_ms if memory.heard_ms is None else max(memory.heard_ms, heard.at_ms)
        counting = memory.counting.began(heard.at_ms)
        self.memory = replace(memory, number=heard.number, heard_ms=heard_ms, counting=counting)
        done: list[Done] = []
        for source in scene.sources:
            given = self._given(scene, source)
            booked = None if given is None else self._read(scene, source, given)
            if booked is not None:
                done.append(self._booked(source, booked, remarks_on(heard, source.quantity)))
                if Flag.ROLLOVER in booked.flags:
                    self._said.append(RolledOver((source.meter, source.quantity), booked.begin.register))
        self._compare(scene)
        closed = self._close(scene)
        judged = self._look(scene, done, closed, heard=heard)
        self._say(scene, done, judged, heard.at_ms, is_manual=heard.is_manual)
        self._said += closings(scene, closed, judged, self._before, self._rules)

    def _given(self, scene: Scene, source: Source) -> Shown | Observation | None:
        """What the round says about a register; None where it says nothing."""
        heard = self._heard
        register = number_in(heard, source.quantity) if heard.meter == source.meter else None
        seen_ms = scene.track(self.memory, source).seen_ms
        if heard.is_manual and seen_ms is not None and heard.at_ms <= seen_ms:
            return None  # entered late: the register has told more since
        if register is not None and source.counts:
            counting = self.memory.counting
            hour_ms = self._hour(source, heard.at_ms + 1)
            self.memory = replace(
                self.memory, counting=counting.read(source.meter, heard.at_ms, source.period_ms, hour_ms)
            )
        if source.water is not None:
            return None if register is None else Shown(heard.at_ms, register, heard.id)
        energy = scene.settings.energy
        assert energy is not None
        run_h, running = run_times(energy, heard, self.memory.running)
        self.memory = replace(self.memory, running=running)
        return observation(energy, heard, run_h)

    def _read(self, scene: Scene, source: Source, given: Shown | Observation | Replaced | Decided) -> Booked | None:
        track, number = scene.track(self.memory, source), self._heard.number
        if source.water is not None:
            assert not isinstance(given, Observation)
            booked, after = read_water(source.water, source.place, given, track, number)
        else:
            assert source.energy is not None
            assert not isinstance(given, Shown)
            booked, after = read_energy(source.energy, source.place, given, track, number)
        self._put(source, after)
        return booked

    def _booked(self, source: Source, booked: Booked, remarks: tuple[str, ...] = ()) -> Done:
        """Counts what was booked, and compares the runs that ended."""
        ended: Sequence[Run] = ()
        if source.energy is not None:
            pumped = self.memory.tracks[source.key].pumped
            runs = {} if pumped is None else pumped.runs
            is_alone = len(source.energy.pumps) == 1
            comparison, ended = self.memory.comparison.booked(booked, runs, is_alone=is_alone)
            self.memory = replace(self.memory, comparison=comparison)
            self._ended += ended
        if source.counts:
            level = Qartod.MISSING if booked.volume_m3 is None else worst(booked.flags)
            self._count(source, booked.end.at_ms, of_interval(booked.flags, level, ended))
            self._flowed(source, booked)
        elif ended:
            self._count(source, booked.end.at_ms, of_runs(ended))
        return Done(source, booked, remarks)

    def _flowed(self, source: Source, booked: Booked) -> None:
        """What flows through a register: as its meter says, else what was booked over its time."""
        heard = self._heard
        told = heard.values.get(FLOW) if source.water is not None and booked.end.source == heard.id else None
        if isinstance(told, Decimal):
            flow = Flow(told, heard.at_ms, tuple(heard.quality.get(FLOW, ())))
        else:
            flow = Flow(_mean_m3h(booked), booked.end.at_ms, tuple(map(str, booked.flags)))
        self.memory = replace(self.memory, flows={**self.memory.flows, source.key: flow})

    def _compare(self, scene: Scene) -> None:
        """Keeps what the flow meters show for the runs of an energy meter beside them."""
        flows = [source for source in scene.sources if source.water is not None]
        energies = [scene.track(self.memory, source).point for source in scene.sources if source.energy is not None]
        if not energies or not any(source.meter == self._heard.meter for source in flows):
            return
        tracks = [scene.track(self.memory, source) for source in flows]
        if any(track.point is None for track in tracks):
            return
        needed_ms = None if energies[0] is None else energies[0].at_ms
        at_ms = max(track.point.at_ms for track in tracks if track.point is not None)
        total_m3 = sum((track.totals.volume_m3 for track in tracks), ZERO)
        comparison = self.memory.comparison.saw(at_ms, total_m3, needed_ms)
        self.memory = replace(self.memory, comparison=comparison)

    def _close(self, scene: Scene) -> list[Hour]:
        memory = self.memory
        heard_ms = memory.heard_ms or 0
        standing = Standing(memory.tracks, memory.retired, memory.retired_tally, memory.counting, memory.closing)
        closed: list[Hour] = []
        while (at_ms := next_hour(scene.sources, standing)) is not None and at_ms <= heard_ms:
            if not is_due(scene.sources, standing.tracks, at_ms, heard_ms):
                break
            hour, standing = close(scene.sources, standing, at_ms, scene.settings.zone)
            if hour is not None:
                closed.append(hour)
        self.memory = replace(memory, tracks=standing.tracks, counting=standing.counting, closing=standing.closing)
        return closed

    def _look(
        self,
        scene: Scene,
        done: Sequence[Done],
        closed: Sequence[Hour],
        *,
        heard: Heard | None = None,
        declared: Declared | None = None,
    ) -> Judgement:
        ended, self._ended = self._ended, []
        if scene.rules is None:
            return _NOTHING
        glance = Glance(
            heard=heard,
            declared=declared,
            steps=tuple(each.step for each in done),
            standings=tuple(Seen(hour.at_ms, hour.settled_m3, hour.pumping_kwh) for hour in closed),
            ran=ran(scene, self.memory, ended),
            total_m3=scene.total_m3(self.memory),
        )
        judged = scene.rules.look(glance)
        self._found += judged.findings
        return judged

    def _say(self, scene: Scene, done: Sequence[Done], judged: Judgement, at_ms: int, *, is_manual: bool) -> None:
        for each in done:
            if each.source.counts:
                reading = now(scene, self.memory, each, judged, at_ms=at_ms, is_manual=is_manual)
                self._said.append(reading)

    def _put(self, source: Source, track: Track) -> None:
        self.memory = replace(self.memory, tracks={**self.memory.tracks, source.key: track})

    def _count(self, source: Source, at_ms: int, counts: Mapping[str, Decimal]) -> None:
        counting = self.memory.counting.plus(self._hour(source, at_ms), counts)
        self.memory = replace(self.memory, counting=counting)

    def _hour(self, source: Source, at_ms: int) -> int:
        """The hour for which something counts: the one it ends in, unless that has closed."""
        return max(full_hour(at_ms, source.place.zone), self.memory.closing.next_ms or 0)


@exact
def _mean_m3h(booked: Booked) -> Decimal | None:
    duration_ms = booked.end.at_ms - booked.begin.at_ms
    if booked.volume_m3 is None or duration_ms <= 0:
        return None
    return rounded_m3(booked.volume_m3 / hours(duration_ms))
