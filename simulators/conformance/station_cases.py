"""The tests of stations that dial in, each with its clause or the fact sheet's section.

What the fact sheet marks as uncertain differs and never fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from simulators.conformance import station_asking as asking
from simulators.conformance import station_reporting as reporting
from simulators.conformance.station_link import SL651, SL651_SHEET, SZY206_SHEET, StationLink
from simulators.conformance.verdict import Case, Clause, Finding
from simulators.platforms.centre.behaviour import Protocol

_Run = Callable[[StationLink], Finding]


def _case(id_: str, clause: Clause, run: _Run) -> Case:
    return Case(id=f"station.{id_}", clause=clause, run=run)


def _cases(clause: Callable[[str], Clause], names: Mapping[str, str], queries: Mapping[str, _Run]) -> tuple[Case, ...]:
    """The tests that both protocols have; `names` are the sections of one of them."""
    plain: tuple[tuple[str, _Run], ...] = (
        ("connection", reporting.dials_in),
        ("report", reporting.reports),
        ("repeat", reporting.repeats),
        ("other-acknowledgement", reporting.other_acknowledgement),
        ("settled", reporting.settled),
        ("keepalive", reporting.keepalive),
    )
    judging: tuple[tuple[str, _Run], ...] = (  # at the end: of everything that came
        ("frames", reporting.frames),
        ("headers", reporting.headers),
        ("elements", reporting.elements),
        ("times", reporting.times),
        ("status", reporting.status_word),
    )
    rough: tuple[tuple[str, _Run], ...] = (
        ("password", asking.wrong_password),
        ("address", asking.foreign_address),
        ("check-sum", asking.bad_check),
        ("split", asking.split),
        ("noise", asking.noise),
        ("cut", asking.cut),
        ("reconnection", reporting.reconnects),
        ("outage", reporting.outage),
    )
    asked = tuple((f"query-{name}", run) for name, run in queries.items())
    found = [
        _case(name, clause(names[name if name in names else "query"]), run)
        for name, run in (*plain, *asked, *rough, *judging)
    ]
    return tuple(found)


_SL651_SECTIONS = MappingProxyType(
    {
        "connection": "9.4", "report": "20", "repeat": "6.6.2.4", "other-acknowledgement": "9.1", "settled": "9.2",
        "frames": "3", "headers": "7", "elements": "11, 12", "times": "7", "status": "15", "keepalive": "6.6.4.1",
        "query": "10", "password": "6", "address": "6", "check-sum": "3.4", "split": "3.4", "noise": "3.4",
        "cut": "3.4", "reconnection": "9.4", "outage": "18",
    }
)  # fmt: skip
_SZY206_SECTIONS = MappingProxyType(
    {
        "connection": "5", "report": "7.1", "repeat": "2.3", "other-acknowledgement": "7.2", "settled": "7.2",
        "frames": "2", "headers": "2.4", "elements": "6", "times": "2.6", "status": "7.4", "keepalive": "5",
        "query": "10", "password": "2.5", "address": "12", "check-sum": "2", "split": "2", "noise": "2",
        "cut": "2", "reconnection": "12", "outage": "9.4",
    }
)  # fmt: skip


def _sl651_clause(number: str) -> Clause:
    return Clause(SL651 if number.count(".") > 1 else SL651_SHEET, number)


CASES: Mapping[Protocol, tuple[Case, ...]] = MappingProxyType(
    {
        Protocol.SL651: (
            *_cases(_sl651_clause, _SL651_SECTIONS, asking.QUERIES[Protocol.SL651]),
            _case("serials", Clause(SL651, "6.6.2.4"), reporting.serials),
        ),
        Protocol.SZY206: (
            *_cases(lambda number: Clause(SZY206_SHEET, number), _SZY206_SECTIONS, asking.QUERIES[Protocol.SZY206]),
            _case("unknown", Clause(SZY206_SHEET, "4"), asking.unknown_function),
        ),
    }
)
"""Protocol to the tests of a station, in the order in which they are run."""
