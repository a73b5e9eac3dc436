"""When a report is for, and when it goes: slots on the wall clock, a jitter of the station's own. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo

_DAY_MS = 86_400_000


def slot_at(at_ms: int, every_ms: int, zone: tzinfo) -> int:
    """The last slot at or before `at_ms`: whole multiples of `every_ms` since local midnight, or longer in local days.

    Times are UTC ms since 1970.
    """
    offset_ms = _offset_ms(at_ms, zone)
    local_ms = at_ms + offset_ms
    if every_ms >= _DAY_MS:
        return local_ms - local_ms % every_ms - offset_ms
    midnight_ms = local_ms - local_ms % _DAY_MS
    return local_ms - (local_ms - midnight_ms) % every_ms - offset_ms


def next_slot(slot_ms: int, every_ms: int, zone: tzinfo) -> int:
    """The slot after one."""
    following = slot_at(slot_ms + every_ms, every_ms, zone)
    return following if following > slot_ms else slot_ms + every_ms


def slots_between(after_ms: int, until_ms: int, every_ms: int, zone: tzinfo, *, most: int) -> list[int]:
    """The slots behind `after_ms` up to `until_ms`, ascending; the last `most` of them."""
    last = slot_at(until_ms, every_ms, zone)
    found: list[int] = []
    while last > after_ms and len(found) < most:
        found.append(last)
        last = slot_at(last - 1, every_ms, zone)
    return found[::-1]


class Grid:
    """The slots of one interval or of several together. Moments are UTC ms."""

    def __init__(self, intervals_ms: Sequence[int], zone: tzinfo) -> None:
        """At least one interval."""
        self._intervals_ms = tuple(intervals_ms)
        self._zone = zone

    def at(self, at_ms: int) -> int:
        """The last slot at or before a moment."""
        return max(slot_at(at_ms, every_ms, self._zone) for every_ms in self._intervals_ms)

    def after(self, slot_ms: int) -> int:
        """The slot after one."""
        return min(next_slot(slot_ms, every_ms, self._zone) for every_ms in self._intervals_ms)


class Intervals:
    """How far apart the slots were, and since when: a centre may set it at any time. Moments are UTC ms."""

    def __init__(self, every_ms: int, changes: Iterable[tuple[int, int]] = ()) -> None:
        """`every_ms` holds until the first of `changes`: moments, ascending, and the interval from the next slot on."""
        self._spells = ((0, every_ms), *changes)

    def at(self, at_ms: int) -> int:
        """The interval that leads to a slot at this moment."""
        return next((every_ms for since_ms, every_ms in reversed(self._spells) if since_ms < at_ms), self._spells[0][1])

    def is_slot(self, at_ms: int, zone: tzinfo) -> bool:
        """Whether a report was due for this moment."""
        return slot_at(at_ms, self.at(at_ms), zone) == at_ms

    def between(self, after_ms: int, until_ms: int, zone: tzinfo, *, most: int) -> list[int]:
        """The slots behind `after_ms` up to `until_ms`, ascending; of each interval the last `most`."""
        ends = (*(since_ms for since_ms, _ in self._spells[1:]), until_ms)
        found: list[int] = []
        for (since_ms, every_ms), end_ms in zip(self._spells, ends, strict=True):
            first_ms, last_ms = max(since_ms, after_ms), min(end_ms, until_ms)
            if first_ms < last_ms:
                found += slots_between(first_ms, last_ms, every_ms, zone, most=most)
        return found


def jitter_ms(code: str, window_ms: int) -> int:
    """How long after its slot this station reports: always the same, evenly spread over all stations; 0…window."""
    if window_ms <= 0:
        return 0
    digest = hashlib.sha256(code.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") % window_ms


def _offset_ms(at_ms: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)
