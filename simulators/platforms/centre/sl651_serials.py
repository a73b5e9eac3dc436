"""What the serial numbers of a station's reports say, beside those that came before. Pure.

A number belongs to one report, and a report keeps its number. That numbers follow each other is usual; a backlog or
several centres that share a counter make gaps, and a restart may begin again, so those differ and do not fail. A gap is
told once of a station.

Source: SL 651-2014 6.6.2.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.uplinks.sl651_wire.parts import LAST_SERIAL
from simulators.platforms.centre.contract import Known, Wrong

_CLAUSE = "6.6.2.4"
_BACK = LAST_SERIAL // 2  # so far ahead is behind: the number was counted on from 65535 to 1


def numbered(known: Known, key: str, station: str) -> Iterator[Wrong]:
    """What is wrong with a report's number; `key` is STATION/FUNCTION/SERIAL/BODY, `known` what came before."""
    if key in known.recent or not known.recent:
        return
    before, serial, body = _split(key)
    if serial == 0:  # a failure of its own
        return
    if serial in known.recent.values():
        is_next = serial == known.last_serial
        yield Wrong(
            station=station, code="serial_reused", clause=_CLAUSE, arguments={"serial": serial}, is_failed=is_next
        )
        return
    open_ones = (each for each in reversed(known.recent) if each not in known.acknowledged)
    twin = next((each for each in open_ones if _split(each)[::2] == (before, body)), None)
    if twin is not None:
        arguments = {"before": _split(twin)[1], "serial": serial}
        yield Wrong(station=station, code="serial_changed", clause=_CLAUSE, arguments=arguments, is_failed=False)
    ahead = (serial - known.last_serial) % LAST_SERIAL
    if 1 < ahead < _BACK and not known.has_gap:
        known.has_gap = True
        arguments = {"before": known.last_serial, "serial": serial}
        yield Wrong(station=station, code="serial_gap", clause=_CLAUSE, arguments=arguments, is_failed=False)


def _split(key: str) -> tuple[str, int, str]:
    before, serial, body = key.rsplit("/", 2)
    return before, int(serial), body
