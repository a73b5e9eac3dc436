"""Tests of what a station sends of itself: reports, repeats, keep-alives, what it missed. We are the centre."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from simulators.conformance.station_link import CHINA, StationLink, clause_of
from simulators.conformance.verdict import Finding, Verdict, differs, failed, passed, undecided
from simulators.platforms.centre.behaviour import Protocol
from simulators.platforms.centre.contract import Report, Wrong
from simulators.platforms.centre.contract import Seen as Word

_CLOCK_OFF_S = 300
_MOST_GAP = 30_000
_MOST_KINDS = 8  # of what is wrong, in one finding
_HEADER = frozenset(
    {
        "no_station", "no_header", "serial_zero", "send_time", "clock_off", "keepalive_body", "other_station",
        "station_class", "division", "station_number", "relay_number", "link_code", "unasked", "serial_reused",
        "too_many_sends", "fcb", "kind", "serial_changed", "reserved_function", "vendor_function",
        "keepalive_end", "centre_number", "no_class", "manual_station", "answered_late", "fcb_zero", "link_control",
        "composite",
    }
)  # fmt: skip
_TIMES = frozenset(
    {
        "observed_later", "no_tag", "tag_day", "tag_later", "too_late", "tag_time", "tag_reused", "tag_hidden",
        "other_month", "no_time", "early_element", "sl651_time", "sl651_no_time",
    }
)  # fmt: skip
_GAP = "serial_gap"  # a backlog may fill it: looked at when all has come
_STATUS = frozenset({"status_size", "status_bits", "alarm_bits", "state_bits"})
_FRAME = frozenset(
    {
        "noise", "direction", "packets_missing", "parts_missing", "wrong_length", "unfinished", "packets_left",
        "packet_end", "packet_total", "part_number", "lower_case",
    }
)  # fmt: skip
_FRAME_PREFIXES = ("sl651_", "szy206_")
_BODY = frozenset({"sl651_cut", "sl651_series", "sl651_no_size", "sl651_mark", "sl651_word", "sl651_version"})
UNASKED = frozenset({"unasked", "answered_late"})  # our own raw questions cause it


def _is_frame(code: str) -> bool:
    return code in _FRAME or (code.startswith(_FRAME_PREFIXES) and code not in _TIMES | _BODY)


def dials_in(link: StationLink) -> Finding:
    """The station connects and says who it is. The first report is not acknowledged, for the tests that follow."""
    link.listen()
    link.behave("never")
    wanted = link.station
    link.station = ""
    link.ready()
    if wanted and link.station != wanted:
        return failed("other-station", link.trace, got=link.station, asked=wanted)
    words = [each.event.word for each in link.seen if isinstance(each.event, Word)]
    if link.protocol is Protocol.SZY206 and "login" not in words:
        return differs("no-login", link.trace)
    return passed("dialled-in", link.trace, station=link.station)


def reports(link: StationLink) -> Finding:
    """A report comes."""
    if not link.pump(link.reports, link.report_s):
        return failed("no-report", link.trace, seconds=f"{link.report_s:g}")
    _, first = link.reports()[0]
    return passed("reported", link.frames_of([first]), function=first.function, observed=first.observed)


def repeats(link: StationLink) -> Finding:
    """Without an acknowledgement the report comes again: same body, same serial number or the next lower FCB."""
    found = link.reports()
    if not found:
        return undecided("no-report-yet")
    link.pump(lambda: len(link.reports()) > 1, link.repeat_s)
    found = link.reports()
    if len(found) < 2:  # noqa: PLR2004 - the first and its repeat
        return differs("no-repeat", link.trace, seconds=f"{link.repeat_s:g}")
    (_, first), (_, second) = found[:2]
    both = link.frames_of([first, second])  # they may have come while an earlier test waited
    if second.key != first.key:
        if second.serial == first.serial or second.observed == first.observed:
            return failed("repeat-differs", both, first=first.serial, second=second.serial)
        return differs("next-before-repeat", both)
    if link.protocol is Protocol.SZY206 and second.serial >= first.serial:
        return failed("fcb-not-lower", both, first=first.serial, second=second.serial)
    return passed("repeated", both, first=first.serial, second=second.serial)


def other_acknowledgement(link: StationLink) -> Finding:
    """An acknowledgement with another serial number, or to another address, settles nothing: the report comes again.

    The report is a new one: of an earlier one the station may have sent all repeats that the standard allows.
    """
    wrongly = _wrongly_acknowledged(link)
    if wrongly is None:
        return undecided("no-report-yet")

    def copies() -> list[Report]:
        return [report for _, report in link.reports() if report.key == wrongly.key]

    link.behave("normal")
    if link.pump(lambda: len(copies()) > 1, link.repeat_s + link.report_s):
        return passed("wrong-ack-ignored", link.frames_of(copies()))
    return failed("wrong-ack-taken", [*link.frames_of([wrongly]), *link.trace])


def _wrongly_acknowledged(link: StationLink) -> Report | None:
    """A report that came for the first time, wrongly acknowledged; what was open before is settled."""
    if not link.reports():
        return None
    link.behave("normal")
    count = len(link.reports())
    if not link.pump(lambda: len(link.reports()) > count, link.repeat_s + link.report_s):
        return None
    link.behave("wrong-serial" if link.protocol is Protocol.SL651 else "wrong-address")
    return _next_new(link)


def _next_new(link: StationLink) -> Report | None:
    """The next report that did not come before; None when none comes in time."""
    known = {report.key for _, report in link.reports()}

    def new() -> list[Report]:
        return [report for _, report in link.reports() if report.key not in known]

    return new()[0] if link.pump(new, link.repeat_s + link.report_s) else None


def settled(link: StationLink) -> Finding:
    """What was acknowledged at its first send does not come again; a station may wait for as many as it sent."""
    link.behave("normal")
    new = _next_new(link) if link.reports() else None
    if new is None:
        return undecided("no-report-yet")
    link.pump(lambda: False, min(link.repeat_s, link.limit_s) + link.quiet_s)
    copies = [report for _, report in link.reports() if report.key == new.key]
    if len(copies) > 1:
        return failed("came-again", link.frames_of(copies))
    return passed("settled", link.frames_of(copies))


def _judged(link: StationLink, chosen: Callable[[str], bool], good: str) -> Finding:
    """What the centre found wrong in the whole run, among the chosen codes."""
    if not link.reports():
        return undecided("no-report-yet")
    found = violated(link, [each for each in link.wrongs() if chosen(each.code)])
    if found is not None:
        return found
    first = link.frames_of([report for _, report in link.reports()[:1]])
    return passed(good, first, count=len(link.reports()))


def violated(link: StationLink, wrongs: Sequence[Wrong]) -> Finding | None:
    """All that is wrong, what fails first, each kind once with the bytes that show it; None for nothing."""
    kinds: dict[str, list[Wrong]] = {}
    for each in sorted(wrongs, key=lambda wrong: not wrong.is_failed):
        kinds.setdefault(each.code, []).append(each)
    if not kinds:
        return None
    firsts = [same[0] for same in kinds.values()][:_MOST_KINDS]
    worst = firsts[0]
    listed = [
        {
            "code": each.code,
            "count": len(kinds[each.code]),
            "clause": each.clause,
            "failed": each.is_failed,
            "details": dict(each.arguments),
        }
        for each in firsts
    ]
    made = failed if worst.is_failed else differs
    return made("violated", link.proofs(firsts), clause=clause_of(link, worst.clause), violations=listed)


def frames(link: StationLink) -> Finding:
    """Start, length, end character and check sum of everything that came."""
    return _judged(link, _is_frame, "frames-right")


def headers(link: StationLink) -> Finding:
    """Addresses, serial numbers or FCB, send time, station class."""
    return _judged(link, lambda code: code in _HEADER and code not in UNASKED, "headers-right")


def elements(link: StationLink) -> Finding:
    """Identifiers, data definitions, digits, units as the standard's table has them."""
    known = _HEADER | _TIMES | _STATUS | {_GAP}
    return _judged(link, lambda code: code not in known and not _is_frame(code), "elements-right")


def times(link: StationLink) -> Finding:
    """Observation time and send time: on the wall clock's slots, observed before it is sent."""
    finding = _judged(link, lambda code: code in _TIMES, "times-right")
    if finding.verdict is not Verdict.PASSED:
        return finding
    _, report = link.reports()[0]
    if not report.observed:
        return differs("no-observation", link.frames_of([report]))
    try:
        observed = datetime.fromisoformat(report.observed).replace(tzinfo=CHINA)
    except ValueError:
        return finding
    off_s = (datetime.now(CHINA) - observed).total_seconds()
    if off_s < -_CLOCK_OFF_S:
        return failed("observed-ahead", link.frames_of([report]), seconds=round(-off_s))
    return finding


def status_word(link: StationLink) -> Finding:
    """A status word (SL 651: element 45, advised; SZY206: alarm and state word of every report)."""
    finding = _judged(link, lambda code: code in _STATUS, "status-right")
    if finding.verdict is not Verdict.PASSED:
        return finding
    has_word = any(_has_status(report) for _, report in link.reports())
    return finding if has_word else differs("no-status", finding.evidence)


def _has_status(report: Report) -> bool:
    return "ZT" in report.values or "state_hex" in report.fields


def keepalive(link: StationLink) -> Finding:
    """An idle link is kept alive."""
    link.ready()
    since = len(link.seen)

    def came() -> bool:
        words = (each.event for each in link.seen[since:])
        return any(isinstance(each, Word) and each.word in {"keepalive", "keep-alive"} for each in words)

    if not link.pump(came, link.idle_s):
        return differs("no-keepalive", link.trace, seconds=f"{link.idle_s:g}")
    return passed("kept-alive", link.trace)


def reconnects(link: StationLink) -> Finding:
    """A connection that is ended is made anew."""
    link.ready()
    count = link.connections
    link.drop()
    began_s = time.monotonic()
    if not link.pump(lambda: link.connections > count and link.is_connected, link.report_s):
        return failed("not-reconnected", seconds=f"{link.report_s:g}")
    took_s = time.monotonic() - began_s
    link.ready()
    return passed("reconnected", link.trace, seconds=f"{took_s:.1f}")


def outage(link: StationLink) -> Finding:
    """What was due while the station was cut off comes later, with its own time."""
    if not link.outage_s:
        return undecided("no-outage")
    began = datetime.now(CHINA)
    link.refuse()
    time.sleep(link.outage_s)
    ended = datetime.now(CHINA)
    since = len(link.seen)
    link.ready()

    def backlog() -> list[Report]:
        return [report for _, report in link.reports(since) if _is_between(report.observed, began, ended)]

    if not link.pump(backlog, link.report_s):
        return failed("no-backlog", link.trace, seconds=f"{link.outage_s:g}")
    return passed("backlog", link.trace, count=len(backlog()), observed=backlog()[0].observed)


def _is_between(observed: str, began: datetime, ended: datetime) -> bool:
    try:
        at = datetime.fromisoformat(observed).replace(tzinfo=CHINA)
    except ValueError:
        return False
    return began - timedelta(minutes=1) < at <= ended


def serials(link: StationLink) -> Finding:
    """Reports are numbered in turn, one by one (SL 651). Older ones that wait behind newer ones may still come."""
    link.pump(lambda: not _missing({report.serial for _, report in link.reports()}), link.report_s)
    numbers = list(dict.fromkeys((report.serial, report.key) for _, report in link.reports()))
    if len({key for _, key in numbers}) < 2:  # noqa: PLR2004 - two to compare
        return undecided("one-report")
    by_key = {key: serial for serial, key in numbers}
    if len(set(by_key.values())) < len(by_key):
        return failed("serial-twice", link.trace)
    missing = _missing(set(by_key.values()))
    if missing:
        return differs("serials-missing", link.trace, numbers=" ".join(str(each) for each in missing[:12]))
    return passed("serials-apart", link.trace, numbers=" ".join(str(each) for each in list(by_key.values())[:12]))


def _missing(used: Collection[int]) -> list[int]:
    """The numbers between the lowest and the highest that were not used; none where it went from 65535 to 1."""
    first, last = min(used, default=0), max(used, default=0)
    if last - first - len(used) >= _MOST_GAP:
        return []
    return [number for number in range(first, last) if number not in used]
