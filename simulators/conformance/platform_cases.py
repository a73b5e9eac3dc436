"""Tests of platforms: we are the station. Each asks one thing and names the clause, or the fact sheet's section."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from agent.report.content import Kind
from agent.uplinks.sl651_wire.codes import Control
from agent.uplinks.sl651_wire.packets import split
from simulators.conformance.platform_judging import judged
from simulators.conformance.platform_link import PlatformLink
from simulators.conformance.platform_sides import SL651, SL651_SHEET, SZY206_SHEET, Sl651Side, damaged
from simulators.conformance.verdict import Case, Clause, Finding, Verdict, differs, failed, passed, undecided
from simulators.stations.crowd import Crowd
from simulators.stations.making import many
from simulators.stations.station import Plan
from simulators.stations.tally import Tally

_NOISE = bytes.fromhex("7E00681668FF7E16010368")
_OVERSIZE_S = 20.0  # a platform gives up half a frame within it
_TWICE_S = 3.0  # longer than our stations wait behind a confirm, so that what passes here is safe with them
_SLOW_GAP_S = 0.02
_FIRST = frozenset({"connection", "report", "kinds"})  # tried whatever the platform does
_SPLIT_BYTES = 5
_TRIES = 2
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_MANY_REPORTS = 3
_PACKET_BYTES = 20

Wanted = Callable[[Any], bool]


def _deliver(link: PlatformLink, frame: Any, **more: Any) -> list[Any]:
    """What acknowledges a report."""
    answers = link.ask(link.side.raw(frame), lambda answer: link.side.is_answer(answer, frame), **more)
    link.has_acknowledged = bool(answers) or bool(link.has_acknowledged)
    return answers


def _guarded(run: Callable[[PlatformLink], Finding]) -> Callable[[PlatformLink], Finding]:
    """Where no report was ever acknowledged, there is nothing to hold the harder ones against."""

    def guarded(link: PlatformLink) -> Finding:
        return undecided("never-acknowledged") if link.has_acknowledged is False else run(link)

    return guarded


def _works(link: PlatformLink) -> bool:
    """Whether an ordinary report is acknowledged now."""
    return bool(_deliver(link, link.side.report()))


def connects(link: PlatformLink) -> Finding:
    """A connection, and the login where the protocol has one."""
    has_login = link.side.login() is not None
    answer = link.login()
    if not has_login:
        return passed("connected")
    if answer is None:
        return differs("login-unanswered", link.trace)
    return passed("login-answered", link.trace)


def report(link: PlatformLink) -> Finding:
    """A timed report: acknowledged, and once. An SZY206 station could take a second confirm for its next report's."""
    frame = link.side.report()
    finding = judged(link, frame, _deliver(link, frame))
    if finding.verdict is not Verdict.PASSED:
        return finding
    others = link.listen(lambda answer: link.side.is_answer(answer, frame), min(link.limit_s, _TWICE_S))
    return differs("acknowledged-often", link.trace, count=1 + len(others)) if others else finding


def kinds(link: PlatformLink) -> Finding:
    """Every other kind of report."""
    wanted = [Kind.ADDITIONAL]
    if isinstance(link.side, Sl651Side):
        wanted += [Kind.MANUAL, Kind.TEST, Kind.UNIFORM, Kind.HOURLY]
    missing, heard = [], []
    for kind in wanted:
        frame = link.side.report(kind)
        if not _deliver(link, frame):
            missing.append(f"{frame.function if isinstance(link.side, Sl651Side) else frame.afn:02X}")
            heard.append(link.trace[-1])
    if missing:
        return failed("kinds-unacknowledged", heard, kinds=" ".join(missing))
    return passed("all-acknowledged", link.trace, count=len(wanted))


def again(link: PlatformLink) -> Finding:
    """The same report once more: acknowledged again."""
    frame = link.side.report()
    if not _deliver(link, frame):
        return undecided("no-acknowledgement")
    repeated = link.side.again(frame)
    return judged(link, repeated, _deliver(link, repeated))


def bad_check(link: PlatformLink) -> Finding:
    """A wrong check sum: no answer, and the next report is acknowledged."""
    link.login()  # a late answer to an earlier report would come on the earlier connection
    frame = link.side.report()
    heard = link.ask(
        damaged(link.side.raw(frame)), lambda answer: link.side.is_answer(answer, frame), wait_s=link.quiet_s
    )
    if heard:
        return failed("bad-check-answered", link.trace)
    return _goes_on(link)


def _goes_on(link: PlatformLink) -> Finding:
    return passed("silent-and-on", link.trace) if _works(link) else failed("deaf-after", link.trace)


def password(link: PlatformLink) -> Finding:
    """A wrong password: no answer."""
    side = link.side
    assert isinstance(side, Sl651Side)
    if not _works(link):
        return undecided("no-acknowledgement")
    frame = side.forged(side.report())
    if link.ask(side.raw(frame), lambda answer: side.is_answer(answer, frame), wait_s=link.quiet_s):
        return differs("password-unchecked", link.trace)
    return _goes_on(link)


def foreign_centre(link: PlatformLink) -> Finding:
    """A report to another centre: no answer."""
    side = link.side
    assert isinstance(side, Sl651Side)
    frame = side.report()
    frame = replace(frame, centre=frame.centre % 254 + 1)
    if link.ask(side.raw(frame), lambda answer: side.is_answer(answer, frame), wait_s=link.quiet_s):
        return differs("centre-unchecked", link.trace)
    return _goes_on(link)


def keepalive(link: PlatformLink) -> Finding:
    """A keep-alive: SL 651 allows no answer, SZY206 leaves it open."""
    answers = link.ask(link.side.idle(), link.side.is_link, wait_s=link.quiet_s)
    if not isinstance(link.side, Sl651Side):
        return passed("keepalive-answered" if answers else "keepalive-silent", link.trace)
    if link.trace[-1].chunks and answers:
        return failed("keepalive-answered", link.trace)
    return _goes_on(link)


def _other_way(pieces_of: Callable[[PlatformLink, bytes], tuple[list[bytes], float]]) -> Callable[..., Finding]:
    """A report that travels in another way is acknowledged all the same."""

    def run(link: PlatformLink) -> Finding:
        for _ in range(_TRIES):  # a platform may lose one for another reason
            frame = link.side.report()
            pieces, gap_s = pieces_of(link, link.side.raw(frame))
            if _deliver(link, frame, pieces=pieces, gap_s=gap_s):
                return passed("acknowledged-so", link.trace)
            if not _works(link):
                return failed("deaf-after", link.trace)
        return failed("not-acknowledged-so", link.trace)

    return run


def glued(link: PlatformLink) -> Finding:
    """Three frames in one segment: a keep-alive and two reports, both of which are acknowledged."""
    side = link.side
    frames = [side.report(), side.report()]
    data = side.idle() + b"".join(side.raw(frame) for frame in frames)

    def wanted(answer: Any) -> bool:
        return any(side.is_answer(answer, frame) for frame in frames)

    answers = link.ask(data, wanted, count=2)
    if len(answers) >= len(frames):
        return passed("all-acknowledged", link.trace, count=len(answers))
    return failed("some-unacknowledged", link.trace, count=len(answers), total=len(frames))


def cut(link: PlatformLink) -> Finding:
    """Half a frame, and the connection ends; on the next one the whole report is acknowledged."""
    frame = link.side.report()
    data = link.side.raw(frame)
    link.ask(data[: len(data) // 2], lambda _: True, wait_s=0.05)
    link.close()
    link.login()
    return judged(link, frame, _deliver(link, frame))


def oversize(link: PlatformLink) -> Finding:
    """The head of the longest frame, and no body: the reports behind it, or on a new connection, are acknowledged."""
    link.login()
    side = link.side
    frame = side.report()
    answers = link.ask(
        side.head() + side.raw(frame),
        lambda answer: side.is_answer(answer, frame),
        wait_s=max(_OVERSIZE_S, link.limit_s),
    )
    if answers:
        return passed("oversize-recovered", link.trace)
    is_closed = link.trace[-1].closed
    link.login()
    if not _works(link):
        return failed("deaf-after", link.trace)
    return passed("oversize-closed", link.trace) if is_closed else differs("oversize-stuck", link.trace)


def late(link: PlatformLink) -> Finding:
    """A report of the hour before (SL 651: of ten days before) is acknowledged."""
    age_ms = 10 * _DAY_MS if isinstance(link.side, Sl651Side) else _HOUR_MS
    frame = link.side.report(age_ms=age_ms)
    return judged(link, frame, _deliver(link, frame))


def second_connection(link: PlatformLink) -> Finding:
    """A second connection of the same station takes the place of the first, which was not ended."""
    first = PlatformLink(address=link.address, side=link.side, limit_s=link.limit_s)
    first.login()
    try:
        frame = link.side.report()
        first.ask(link.side.raw(frame), lambda answer: link.side.is_answer(answer, frame))
        link.login()
        frame = link.side.report()
        return judged(link, frame, _deliver(link, frame))
    finally:
        first.close()


def more_follows(link: PlatformLink) -> Finding:
    """A report that ends with ETB is acknowledged with ACK."""
    side = link.side
    assert isinstance(side, Sl651Side)
    frame = replace(side.report(), end=Control.ETB)
    finding = judged(link, frame, _deliver(link, frame))
    if finding.verdict is Verdict.FAILED:
        return finding
    frame = side.report()
    return finding if _deliver(link, frame) else failed("deaf-after", link.trace)


def packets(link: PlatformLink) -> Finding:
    """A report in packets: one acknowledgement, with the last packet's number, and none before."""
    side = link.side
    assert isinstance(side, Sl651Side)
    whole = side.report()
    parts = split(whole, _PACKET_BYTES)
    for part in parts[:-1]:
        if link.ask(part.encode(), side.is_confirming, wait_s=0.2):
            return failed("packet-answered", link.trace)
    answers = link.ask(parts[-1].encode(), side.is_confirming)
    if not answers:
        return failed("not-acknowledged", link.trace, limit=f"{link.limit_s:g}")
    number = answers[0].packet
    if answers[0].end is Control.NAK:
        return failed("ack-nak", link.trace)
    if number != (len(parts), len(parts)):
        return failed("packet-number", link.trace, got=str(number), total=len(parts))
    return passed("acknowledged-so", link.trace)


def missing_packet(link: PlatformLink) -> Finding:
    """A packet is left out: it is asked for with NAK, and the whole is acknowledged when it came."""
    side = link.side
    assert isinstance(side, Sl651Side)
    parts = split(side.report(), _PACKET_BYTES)
    for part in (parts[0], *parts[2:-1]):
        link.ask(part.encode(), side.is_confirming, wait_s=0.1)
    answers = link.ask(parts[-1].encode(), side.is_confirming)
    if not answers or answers[0].end is not Control.NAK:
        return failed("no-nak", link.trace)
    if answers[0].packet is None or answers[0].packet[1] != 2:  # noqa: PLR2004 - the one that was left out
        return failed("packet-number", link.trace, got=str(answers[0].packet), total=len(parts))
    answers = link.ask(replace(parts[1], end=Control.ETX).encode(), side.is_confirming)
    if not answers or answers[0].end is Control.NAK:
        return failed("not-acknowledged", link.trace, limit=f"{link.limit_s:g}")
    return passed("nak-and-acknowledged", link.trace)


def crowd(link: PlatformLink) -> Finding:
    """Many stations at once, some of them splitting and resending, one with a connection for each report."""
    link.close()
    tally = Tally()
    stations = many(
        link.stations, link=link.side.link, first=link.side.link.numbered(link.side.station, 1),
        plan=Plan(every_s=0.0, reports=_MANY_REPORTS), tally=tally, spread_s=1.0,
    )  # fmt: skip
    Crowd(link.address, stations, tally).run()
    counts: dict[str, Any] = {"stations": link.stations, "reports": tally.reports, "acknowledged": tally.acknowledged}
    if tally.acknowledged < link.stations * _MANY_REPORTS:
        return failed("crowd-lost", **counts)
    slowest = tally.latencies.quantile_s(0.99) or 0.0
    return passed("crowd-served", **counts, slowest=f"{slowest * 1000:.0f}")


def _case(id_: str, clause: Clause, run: Callable[[PlatformLink], Finding]) -> Case:
    guarded = run if id_ in _FIRST else _guarded(run)
    return Case(id=f"platform.{id_}", clause=clause, run=guarded)


def _cases(
    document: str, *, connection: str, ack: str, resend: str, check: str, stream: str, cut_off: str, old: str
) -> tuple[Case, ...]:
    """The tests that both protocols have, with the sections of one of them."""

    def clause(number: str) -> Clause:
        if document == SL651_SHEET and number.count(".") > 1:
            return Clause(SL651, number)
        return Clause(document, number)

    by_pieces = _other_way(
        lambda _, data: ([data[at : at + _SPLIT_BYTES] for at in range(0, len(data), _SPLIT_BYTES)], _SLOW_GAP_S)
    )
    by_bytes = _other_way(lambda _, data: ([data[at : at + 1] for at in range(len(data))], _SLOW_GAP_S))
    noisy = _other_way(lambda _, data: ([_NOISE + data], 0.0))
    return (
        _case("connection", clause(connection), connects),
        _case("report", clause(ack), report),
        _case("kinds", clause(ack), kinds),
        _case("again", clause(resend), again),
        _case("check-sum", clause(check), bad_check),
        _case("keepalive", clause("6.6.4.1" if document == SL651_SHEET else connection), keepalive),
        _case("glued", clause(stream), glued),
        _case("split", clause(stream), by_pieces),
        _case("single-bytes", clause(stream), by_bytes),
        _case("noise", clause(stream), noisy),
        _case("cut", clause(cut_off), cut),
        _case("oversize", clause(stream), oversize),
        _case("late", clause(old), late),
        _case("second-connection", clause("9.4" if document == SL651_SHEET else "1"), second_connection),
        _case("many", clause("21" if document == SL651_SHEET else "12"), crowd),
    )


_SL651 = _cases(
    SL651_SHEET, connection="9.4", ack="6.3.1", resend="6.6.2.4", check="21", stream="3.4", cut_off="9.4", old="21"
)
_SL651_OWN = (
    _case("password", Clause(SL651_SHEET, "6, 21"), password),
    _case("centre", Clause(SL651_SHEET, "21"), foreign_centre),
    _case("more-follows", Clause(SL651, "6.2.2"), more_follows),
    _case("packets", Clause(SL651, "6.3.1.2"), packets),
    _case("missing-packet", Clause(SL651, "6.3.1.2"), missing_packet),
)
CASES: Mapping[str, tuple[Case, ...]] = MappingProxyType(
    {
        "sl651": (*_SL651[:-1], *_SL651_OWN, _SL651[-1]),
        "szy206": _cases(
            SZY206_SHEET, connection="5", ack="7.2", resend="2.3", check="2", stream="2", cut_off="2", old="9.4"
        ),
    }
)
"""Protocol to the tests of a platform, in the order in which they are run."""
