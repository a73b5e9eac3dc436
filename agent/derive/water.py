"""The water of an interval over all its pumps, and their runs: where each began, went on, ended."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from agent.derive.convert import Part, Pump, Water, Work, convert, sensed, split_by_pump
from agent.derive.counter import Booking
from agent.derive.crosscheck import Run
from agent.derive.energy import Pumping, with_flags
from agent.derive.exact import ZERO, rounded_m3
from agent.derive.flags import Flag
from agent.derive.models import Sensed
from agent.derive.site import Site
from agent.derive.state import Ends, OpenRun, State


class Pumped(NamedTuple):
    """What an interval's pumping energy became: `volume_m3` rounded once, None when there is only energy."""

    parts: tuple[Part, ...]
    sensed: Sensed
    volume_m3: Decimal | None
    flags: tuple[Flag, ...]
    runs: Mapping[str, OpenRun]
    ended: tuple[Run, ...]


def pumped(site: Site, booking: Booking, load: Pumping, ends: Ends, state: State) -> Pumped:
    """Converts the pumping energy of a booking, pump by pump, and follows the runs."""
    energies, flags = split_by_pump(load.energy_kwh, site.pumps, state.run_h)
    is_partial = Flag.PARTIAL_RUN in load.flags
    said = sensed(state.begin, ends, is_gap=Flag.GAP in booking.flags, is_partial=is_partial)
    if energies is None:
        return Pumped((), said, None, flags, state.runs, ())
    work = Work(
        begin_ms=booking.begin.at_ms,
        end_ms=booking.end.at_ms,
        sensed=said,
        meter=f"{site.register.name}#{state.counter.replacements}",
        accuracy=site.accuracy,
    )
    turns = [
        _turn(work, pump, energy, state.runs.get(pump.id)) for pump, energy in zip(site.pumps, energies, strict=True)
    ]
    found = [part for turn in turns for part in turn.parts]
    volumes = [part.volume_m3 for part in found if part.volume_m3 is not None]
    return Pumped(
        parts=tuple(found),
        sensed=said,
        volume_m3=rounded_m3(sum(volumes, ZERO)) if volumes or not found else None,
        flags=with_flags(flags, *(turn.flags for turn in turns)),
        runs={pump.id: turn.run for pump, turn in zip(site.pumps, turns, strict=True) if turn.run is not None},
        ended=tuple(turn.ended for turn in turns if turn.ended is not None),
    )


class _Turn(NamedTuple):
    """One pump in one interval: its water, and its run after it."""

    parts: tuple[Part, ...]
    flags: tuple[Flag, ...]
    run: OpenRun | None
    ended: Run | None


def _turn(work: Work, pump: Pump, energy_kwh: Decimal, run: OpenRun | None) -> _Turn:
    if energy_kwh == 0:
        return _Turn((), *_end(pump, run, work.begin_ms))
    water = convert(work, pump, energy_kwh, run)
    after = _went_on(work, energy_kwh, water, run)
    if work.sensed.is_partial and run is not None:  # it ended somewhere inside
        flags, _, ended = _end(pump, after, work.end_ms)
        return _Turn(water.parts, with_flags(water.flags, flags), None, ended)
    return _Turn(water.parts, water.flags, after, None)


def _went_on(work: Work, energy_kwh: Decimal, water: Water, run: OpenRun | None) -> OpenRun:
    volumes = [part.volume_m3 for part in water.parts if part.volume_m3 is not None]
    volume_m3 = sum(volumes, ZERO) if len(volumes) == len(water.parts) else None
    if run is None:
        return OpenRun(begin_ms=work.begin_ms, energy_kwh=energy_kwh, volume_m3=volume_m3, drop_kwh=water.drop_kwh)
    return run.went_on(energy_kwh, volume_m3, work.end_ms - work.begin_ms, water.drop_kwh)


def _end(pump: Pump, run: OpenRun | None, end_ms: int) -> tuple[tuple[Flag, ...], None, Run | None]:
    if run is None:
        return (), None, None
    return (Flag.SHORT_RUNS,) if run.is_short else (), None, run.ended(pump.id, end_ms)
