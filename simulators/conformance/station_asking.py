"""Tests of what a station answers: queries, right and damaged ones, some that are not for it. We are the centre.

Nothing is set that the station does not say itself already; orders that could move anything are never sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from simulators.conformance.station_link import CHINA, StationLink
from simulators.conformance.station_reporting import UNASKED, violated
from simulators.conformance.verdict import Finding, differs, failed, passed, undecided
from simulators.platforms.centre.behaviour import Protocol

_GARBAGE_S = 6.0  # a station gives up half a frame within it
_NOISE = bytes.fromhex("7E00681668FF7E16010368")
_SAMPLE = {Protocol.SL651: "37", Protocol.SZY206: "B0"}


def query(words: Callable[[], str], *, is_needed: bool = False) -> Callable[[StationLink], Finding]:
    """A question, answered with the same function and a body that can be read."""

    def run(link: StationLink) -> Finding:
        count = len(link.wrongs())
        asked = words()
        answer = link.query(asked)
        if answer is None:
            made = failed if is_needed else differs
            return made("query-unanswered", link.trace, query=asked, seconds=f"{link.limit_s:g}")
        bad = [each for each in link.wrongs()[count:] if each.is_failed and each.code not in UNASKED]
        found = violated(link, bad)
        if found is not None:
            return replace(found, evidence=(*link.trace, *found.evidence))
        return passed("query-answered", link.trace, query=asked)

    return run


def _history_sl651() -> str:
    now = datetime.now(CHINA)
    return f"38 from={now - timedelta(hours=2):%y%m%d%H} to={now:%y%m%d%H} step=1h id=28"


def _history_szy206() -> str:
    now = datetime.now(CHINA)
    return f"B1 kind=2 sensor_no=1 start={now - timedelta(hours=2):%Y-%m-%dT%H} end={now:%Y-%m-%dT%H}"


def wrong_password(link: StationLink) -> Finding:
    """A question (SZY206: the setting of the work mode it has) with a wrong password stays unanswered."""
    link.ready()
    if link.protocol is Protocol.SL651:
        data = link.bytes_of("37", password="5A5B")  # noqa: S106 - a wrong one
        answers = link.answers_to([data], "37", wait_s=link.quiet_s)
        return failed("password-answered", link.trace) if answers else passed("unheard", link.trace)
    mode = next((report.fields.get("work_mode") for _, report in link.reports()), None)
    if mode is None:
        return undecided("no-report-yet")
    data = link.bytes_of(f"12 work_mode={mode}", password="9998")  # noqa: S106 - a wrong one
    answers = link.answers_to([data], "12", wait_s=link.quiet_s)
    return differs("password-unchecked", link.trace) if answers else passed("unheard", link.trace)


def foreign_address(link: StationLink) -> Finding:
    """A question to another station stays unanswered."""
    link.ready()
    other = f"{int(link.station, 16) ^ 0x10001:010X}"
    sample = _SAMPLE[link.protocol]
    answers = link.answers_to([link.bytes_of(sample, station=other)], sample, wait_s=link.quiet_s)
    return failed("other-address-answered", link.trace, asked=other) if answers else passed("unheard", link.trace)


def bad_check(link: StationLink) -> Finding:
    """A question with a wrong check sum stays unanswered, the next is answered."""
    link.ready()
    sample = _SAMPLE[link.protocol]
    data = link.bytes_of(sample)
    at = len(data) - 2  # the check byte; of SL 651 the high one
    data = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
    if link.answers_to([data], sample, wait_s=link.quiet_s):
        return failed("bad-check-answered", link.trace)
    return _goes_on(link)


def _goes_on(link: StationLink) -> Finding:
    if link.query(_SAMPLE[link.protocol]) is None and link.query(_SAMPLE[link.protocol]) is None:
        return failed("deaf-after", link.trace)
    return passed("silent-and-on", link.trace)


def _other_way(
    pieces_of: Callable[[bytes], list[bytes]], gap_s: float = 0.0, extra_s: float = 0.0
) -> Callable[[StationLink], Finding]:
    def run(link: StationLink) -> Finding:
        link.ready()
        sample = _SAMPLE[link.protocol]
        answers = link.answers_to(pieces_of(link.bytes_of(sample)), sample, gap_s=gap_s, wait_s=link.limit_s + extra_s)
        return passed("answered-so", link.trace) if answers else failed("not-answered-so", link.trace)

    return run


def cut(link: StationLink) -> Finding:
    """Half a question; some seconds later a whole one is answered."""
    link.ready()
    sample = _SAMPLE[link.protocol]
    data = link.bytes_of(sample)
    if link.answers_to([data[: len(data) // 2]], sample, wait_s=_GARBAGE_S):
        return failed("half-answered", link.trace)
    return _goes_on(link)


def unknown_function(link: StationLink) -> Finding:
    """An order that no standard knows stays unanswered."""
    link.ready()
    answers = link.answers_to([link.bytes_of("6E data=00")], "6E", wait_s=link.quiet_s)
    return differs("unknown-answered", link.trace) if answers else passed("unheard", link.trace)


_OF_SL651 = MappingProxyType(
    {
        "current": query(lambda: "37", is_needed=True),
        "elements": query(lambda: "3A id=28,38"),
        "history": query(_history_sl651),
        "version": query(lambda: "45"),
        "status": query(lambda: "46"),
        "events": query(lambda: "50"),
        "clock": query(lambda: "51"),
    }
)
_OF_SZY206 = MappingProxyType(
    {
        "current": query(lambda: "B0", is_needed=True),
        "address": query(lambda: "50"),
        "clock": query(lambda: "51"),
        "mode": query(lambda: "52"),
        "events": query(lambda: "5D"),
        "status": query(lambda: "5E"),
        "history": query(_history_szy206),
    }
)
QUERIES: Mapping[Protocol, Mapping[str, Callable[[StationLink], Finding]]] = MappingProxyType(
    {Protocol.SL651: _OF_SL651, Protocol.SZY206: _OF_SZY206}
)
"""Protocol to the questions that a station is asked, by name."""
split = _other_way(lambda data: [data[at : at + 1] for at in range(len(data))], 0.03)
noise = _other_way(lambda data: [_NOISE + data], extra_s=_GARBAGE_S)  # it may look like a longer frame for so long
