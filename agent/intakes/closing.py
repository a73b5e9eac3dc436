"""Where an intake stood at each full local hour: the sum of its registers there, once all of them are settled.

Strategy: each register settles its hours by itself (`track`); an hour of the intake closes when all have settled it.
With several registers one that stays silent does not hold the others up for longer than a day: the hour then closes
without it, its water is booked when it speaks again, and no volume is given for an hour of which a part is not known.
Of a silence of more than a week only the midnights close.

The body of a closing (JSON; volumes in m³, energies in kWh, both as decimal text, times in UTC ms):

    form      1
    before    {number, id, at_ms, volume, energy, pumping}: the last booked reading before the hour with the totals of
              the account there; absent before the first one. With several registers the earliest of their readings.
    after     the same for the first booked reading at or after it; with several registers the latest
    settled   {volume, energy, pumping, method, offset_ms, bracket_ms, doubt}: the boundary that both sides use;
              `doubt` in m³, k = 1
    view      the volume in hourly views, where a long gap is prorated; only where it is not the settled one
    unknown   true where a register was silent for too long
    registers {METER: {before: {id, at_ms, register}, after: {…}}}
    tally     the sums of `derive.uncertainty.Tally` since the account began
    counts    {expected, good, runs, run_h, swaps, rollovers, gaps, flags: {WORD: n}, qc: {LEVEL: n}} since then; with
              `unseen` the runs of which start, stop and hours are not known, where there are such

`energy` and `pumping` are there where the water is converted. Everything is cumulative: a period is a difference.
An hour that is open again, since something declared later holds its register, has the body `outcome.OPEN` instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from decimal import Decimal
from typing import Any, NamedTuple

from agent.derive.boundary import MAX_BRACKET_MS, Method
from agent.derive.energy import with_flags
from agent.derive.exact import MS_PER_HOUR, ZERO, exact
from agent.derive.flags import Flag
from agent.derive.uncertainty import Groups, together
from agent.intakes.counting import Counting, body_of
from agent.intakes.sources import Source
from agent.intakes.track import Point, Settled, Totals, Track, is_midnight, settled_without

_LONGEST_DAY_MS = 25 * MS_PER_HOUR  # where clocks are set back in autumn
WAIT_MS = 24 * MS_PER_HOUR  # for a register that is silent while another one speaks
_METHODS = (Method.READ, Method.INTERPOLATED, Method.NEAREST)  # the worst last


class Stood(NamedTuple):
    """What the account said at an earlier closing, and whether all of it was known."""

    at_ms: int
    volume_m3: Decimal
    is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Which hour closes next, and where the last one and the last midnight stood; `flags` are those of the day."""

    next_ms: int | None = None
    hour: Stood | None = None
    day: Stood | None = None
    flags: tuple[Flag, ...] = ()


class Hour(NamedTuple):
    """A closed hour. `total_m3` is the hourly view of the total; the volumes of the hour and of the day are None where
    a part is not known; `pumping_kwh` is that of the energy meter, also of one that only checks.
    """

    at_ms: int
    is_midnight: bool
    total_m3: Decimal
    hour_m3: Decimal | None
    day_m3: Decimal | None
    settled_m3: Decimal
    pumping_kwh: Decimal | None
    method: str
    flags: tuple[Flag, ...]
    day_flags: tuple[Flag, ...]
    body: dict[str, Any]


class Standing(NamedTuple):
    """What an hour closes on: the registers, what retired ones gave, the account's counts, its last closings."""

    tracks: Mapping[str, Track]
    retired: Totals
    retired_tally: Groups
    counting: Counting
    closing: Closing


def next_hour(sources: Sequence[Source], standing: Standing) -> int | None:
    """The next hour that the account can close: none before a register that counts has spoken, none that all skip."""
    begun = [standing.tracks[each.key] for each in sources if each.counts and each.key in standing.tracks]
    heads = [track.hours[0].at_ms if track.hours else track.next_ms for track in begun]
    first = min((head for head in heads if head is not None), default=None)
    return first if first is None else max(first, standing.closing.next_ms or first)


def is_due(sources: Sequence[Source], tracks: Mapping[str, Track], at_ms: int, heard_ms: int) -> bool:
    """Whether the hour can close: all registers have settled it, or waiting for the silent ones is over."""
    counting = [tracks.get(each.key, Track()) for each in sources if each.counts]
    has_all = all(_is_past(track, at_ms) for track in counting)
    if not has_all and not (any(_is_past(track, at_ms) for track in counting) and heard_ms >= at_ms + WAIT_MS):
        return False
    checks = [(each, tracks.get(each.key, Track())) for each in sources if not each.counts]
    return all(_is_past(track, at_ms) or heard_ms >= at_ms + 2 * each.period_ms for each, track in checks)


def _is_past(track: Track, at_ms: int) -> bool:
    return track.next_ms is not None and track.next_ms > at_ms


@exact
def close(sources: Sequence[Source], standing: Standing, at_ms: int, zone: tzinfo) -> tuple[Hour | None, Standing]:
    """Closes the hour; no hour where a register has settled only the midnights of a long silence."""
    found: list[tuple[Source, Settled]] = []
    tracks = dict(standing.tracks)
    is_known, is_skipped = True, False
    for source in sources:
        settled, tracks[source.key] = _take(source, tracks.get(source.key, Track()), at_ms)
        first_ms = tracks[source.key].first_ms
        if settled is not None:
            found.append((source, settled))
        if source.counts:
            is_known = is_known and first_ms is not None and (settled is None or settled.is_known)
            is_skipped = is_skipped or (settled is None and first_ms is not None and first_ms <= at_ms)
    if is_skipped:
        closing = replace(standing.closing, next_ms=at_ms + MS_PER_HOUR)
        return None, standing._replace(tracks=tracks, closing=closing)
    counting = standing.counting.closed(at_ms, {each.meter: each.period_ms for each in sources if each.counts})
    facts = _Facts(
        counted=[settled for source, settled in found if source.counts],
        checks=[settled for source, settled in found if not source.counts and source.energy is not None],
        registers={source.meter: _shown(settled) for source, settled in found if source.counts},
        is_converted=any(source.counts and source.energy is not None for source in sources),
        is_known=is_known,
    )
    hour, closing = _hour(standing, facts, counting, at_ms, at_midnight=is_midnight(at_ms, zone))
    return hour, standing._replace(tracks=tracks, counting=counting, closing=closing)


def _take(source: Source, track: Track, at_ms: int) -> tuple[Settled | None, Track]:
    """What a register says about the hour, and the register without it; None before it began."""
    hours = [each for each in track.hours if each.at_ms == at_ms]
    track = replace(track, hours=tuple(each for each in track.hours if each.at_ms > at_ms))
    if hours:
        return hours[0], track
    if source.counts and track.point is not None and track.next_ms is not None and track.next_ms <= at_ms:
        return settled_without(source.place, track, at_ms)
    return None, track


class _Facts(NamedTuple):
    """What the registers say about an hour."""

    counted: list[Settled]
    checks: list[Settled]
    registers: dict[str, Any]
    is_converted: bool
    is_known: bool


def _hour(
    standing: Standing, facts: _Facts, counting: Counting, at_ms: int, *, at_midnight: bool
) -> tuple[Hour, Closing]:
    last, counted = standing.closing, facts.counted
    totals = _sum([standing.retired, *(each.totals for each in counted)])
    view_m3 = standing.retired.volume_m3 + sum((each.view_m3 for each in counted), ZERO)
    flags = with_flags(*(each.flags for each in counted), () if facts.is_known else (Flag.GAP,))
    day_flags = with_flags(last.flags, flags)
    now, at_day = Stood(at_ms, view_m3, facts.is_known), Stood(at_ms, totals.volume_m3, facts.is_known)
    pumping = totals if facts.is_converted else _sum([each.totals for each in facts.checks]) if facts.checks else None
    body = _body(standing, facts, totals)
    if view_m3 != totals.volume_m3:
        body["view"] = str(view_m3)
    hour = Hour(
        at_ms=at_ms,
        is_midnight=at_midnight,
        total_m3=view_m3,
        hour_m3=_gained(last.hour, now, MS_PER_HOUR),
        day_m3=_gained(last.day, at_day, _LONGEST_DAY_MS) if at_midnight and not _is_blind(last.day, counted) else None,
        settled_m3=totals.volume_m3,
        pumping_kwh=None if pumping is None else pumping.pumping_kwh,
        method="prorated" if any(_is_prorated(each) for each in counted) else _method(counted),
        flags=tuple(flag for flag in flags if flag is not Flag.BOUNDARY_OFFSET),
        day_flags=day_flags,
        body=body | {"counts": body_of(counting.base)},
    )
    closing = Closing(
        next_ms=at_ms + MS_PER_HOUR,
        hour=now,
        day=at_day if at_midnight else last.day,
        flags=() if at_midnight else day_flags,
    )
    return hour, closing


def _method(counted: Sequence[Settled]) -> str:
    """How the boundary was settled: as the worst known of the registers."""
    return str(max((Method(each.method) for each in counted), key=_METHODS.index))


def _is_prorated(settled: Settled) -> bool:
    """Whether the hour lies in a gap too long for a boundary: its hourly view is pro rata."""
    before, after = settled.before, settled.after
    if before is None or after is None or settled.method == Method.READ:
        return False
    return after.at_ms - before.at_ms > MAX_BRACKET_MS


def _is_blind(day: Stood | None, counted: Sequence[Settled]) -> bool:
    """Whether a register was not read in the whole day: by the nearest readings it would seem to have stood still."""
    begin_ms = 0 if day is None else day.at_ms
    return any(each.method == Method.NEAREST and each.before and each.before.at_ms <= begin_ms for each in counted)


def _gained(before: Stood | None, now: Stood, most_ms: int) -> Decimal | None:
    if before is None or not before.is_known or not now.is_known or now.at_ms - before.at_ms > most_ms:
        return None
    return now.volume_m3 - before.volume_m3


def _sum(totals: Sequence[Totals]) -> Totals:
    found = Totals()
    for each in totals:
        found = found.plus(each)
    return found


def _body(standing: Standing, facts: _Facts, totals: Totals) -> dict[str, Any]:
    counted = facts.counted
    doubt = sum((each.doubt_m3 * each.doubt_m3 for each in counted), ZERO).sqrt()
    tally = together([standing.retired_tally, *(each.tally for each in counted)])
    body: dict[str, Any] = {
        "form": 1,
        "settled": {
            **_amounts(totals, is_converted=facts.is_converted),
            "method": _method(counted),
            "offset_ms": max((each.offset_ms for each in counted), key=abs),
            "bracket_ms": max(each.bracket_ms for each in counted),
            "doubt": f"{doubt:.6f}",
        },
        "registers": facts.registers,
        "tally": {group: {name: str(value) for name, value in sums.items()} for group, sums in tally.items()},
    }
    befores, afters = [each.before for each in counted], [each.after for each in counted]
    for name, points, pick in (("before", befores, min), ("after", afters, max)):
        known = [point for point in points if point is not None]
        if known:
            chosen = pick(known, key=lambda point: point.at_ms)
            sums = _sum([standing.retired, *(point.totals for point in known)])
            body[name] = _reading(chosen) | _amounts(sums, is_converted=facts.is_converted)
    return body if facts.is_known else body | {"unknown": True}


def _reading(point: Point) -> dict[str, Any]:
    return {"number": point.number, "id": point.id, "at_ms": point.at_ms}


def _amounts(totals: Totals, *, is_converted: bool) -> dict[str, Any]:
    amounts = {"volume": str(totals.volume_m3)}
    if is_converted:
        amounts |= {"energy": str(totals.energy_kwh), "pumping": str(totals.pumping_kwh)}
    return amounts


def _shown(settled: Settled) -> dict[str, Any]:
    found = {}
    for name, point in (("before", settled.before), ("after", settled.after)):
        if point is not None:
            found[name] = {"id": point.id, "at_ms": point.at_ms, "register": str(point.register)}
    return found
