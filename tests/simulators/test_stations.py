"""`qushui-sim station`: stations in any number, well-behaved and not, against a simulated centre."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from agent.uplinks.sl651.options import WireOptions as Sl651Options
from agent.uplinks.szy206.options import WireOptions as Szy206Options
from simulators import cli
from simulators.platforms.centre.server import CentreServer
from simulators.platforms.centre.sl651_options import Sl651Options as Sl651CentreOptions
from simulators.stations.behaviour import Behaviour, Share, of_station, shares_of
from simulators.stations.crowd import Crowd
from simulators.stations.links import Link, Sl651Link, Szy206Link
from simulators.stations.making import many
from simulators.stations.station import Plan
from simulators.stations.tally import Latencies, Tally

PROTOCOLS = ("sl651", "szy206")
LONGEST_S = 40.0


def link_of(protocol: str, timeout_s: float = 1.0) -> Link:
    if protocol == "sl651":
        return Sl651Link(Sl651Options(station="4302810001", timeout_s=timeout_s))
    return Szy206Link(Szy206Options(station="4302810100", timeout_s=timeout_s))


def played(
    centre: CentreServer, *behaviours: Behaviour, stations: int = 5, reports: int = 2, every_s: float = 0.0, **more: Any
) -> Tally:
    """What the stations tell once all is over; never longer than LONGEST_S."""
    tally = Tally()
    link = link_of(centre.protocol.value, **more)
    first = "4302810001" if centre.protocol.value == "sl651" else "4302810100"
    shares = [Share(each) for each in behaviours]
    plan = Plan(every_s=every_s, reports=reports, pace_s=0.002)
    crowd = Crowd(
        ("127.0.0.1", centre.port), many(stations, link=link, first=first, plan=plan, tally=tally, shares=shares), tally
    )
    end_s = time.monotonic() + LONGEST_S
    crowd.run(lambda: time.monotonic() > end_s)
    assert time.monotonic() < end_s
    return tally


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "behaviours",
    [
        (),
        (Behaviour.SPLIT,),
        (Behaviour.GLUED,),
        (Behaviour.CUT,),
        (Behaviour.NOISE,),
        (Behaviour.BAD_CHECK,),
        (Behaviour.RECONNECT,),
        (Behaviour.LATE,),
        (Behaviour.SLOW,),
        (Behaviour.NOISE, Behaviour.GLUED, Behaviour.SPLIT),
    ],
    ids="-".join,
)
def test_every_report_of_every_station_ends_acknowledged_and_on_record_once(
    protocol: str, behaviours: tuple[Behaviour, ...]
) -> None:
    with CentreServer(protocol) as centre:
        tally = played(centre, *behaviours, timeout_s=10.0)  # pieces take a second on a busy machine
        assert (tally.reports, tally.acknowledged, tally.unanswered) == (10, 10, 0)
        taken = centre.received()
        # a station of SZY206 sends a frame for each kind of data: flow, level, pressure
        assert len({(each.station, each.observed, each.function) for each in taken if each.acks}) >= 2
        assert len(taken) == 10 * (3 if protocol == "szy206" else 1)
        assert {each.copies for each in taken} == {1}
        assert len({each.station for each in taken}) == 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_report_that_was_acknowledged_once_may_come_again_and_is_kept_once(protocol: str) -> None:
    with CentreServer(protocol) as centre:
        tally = played(centre, Behaviour.RESEND, stations=2, reports=1, timeout_s=0.5)
        assert (tally.acknowledged, tally.unanswered) == (2, 0)
        assert max(each.copies for each in centre.received()) == 2


def test_what_has_a_wrong_password_or_comes_from_nobody_is_not_acknowledged() -> None:
    options = Sl651CentreOptions(password="0000")
    with CentreServer("sl651", options=options) as centre:
        tally = played(centre, Behaviour.WRONG_PASSWORD, stations=2, reports=1, timeout_s=0.2)
        assert (tally.acknowledged, tally.wrongly_acknowledged, tally.is_good) == (0, 0, True)
        assert centre.received() == []
        assert "wrong_password" in {each.code for each in centre.violations()}


def test_a_platform_that_never_acknowledges_is_told_from_one_that_does() -> None:
    with CentreServer("sl651", ack="never") as centre:
        tally = played(centre, stations=2, reports=1, timeout_s=0.2)
    assert (tally.acknowledged, tally.unanswered, tally.is_good) == (0, 2, False)
    assert tally.connections == 4  # each report on two connections, three times on each
    assert tally.sent == 12


def test_the_head_of_an_endless_frame_costs_a_report_time_and_nothing_else() -> None:
    with CentreServer("sl651") as centre:
        tally = played(centre, Behaviour.OVERSIZE, stations=2, reports=1, timeout_s=3.0)
        assert (tally.acknowledged, tally.unanswered) == (2, 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_simulated_station_answers_queries(protocol: str) -> None:
    with CentreServer(protocol, ack="glued-query") as centre:
        tally = played(centre, stations=1, reports=2, every_s=0.5)
        assert tally.asked >= 1
        assert centre.wait(lambda: any(each.answers for each in centre.answers()), 5)


def test_a_share_of_the_stations_misbehaves() -> None:
    shares = shares_of(["cut:10", "split"])
    having = [of_station(shares, place) for place in range(200)]
    assert sum(Behaviour.CUT in each for each in having) == 20
    assert sum(Behaviour.SPLIT in each for each in having) == 200
    for text in ("cut:x", "cut:101", "nothing"):
        with pytest.raises(ValueError, match=text.partition(":")[0]):
            shares_of([text])


def test_the_latency_of_ninety_nine_percent_is_never_said_too_small() -> None:
    latencies = Latencies()
    for ms in range(1, 1001):
        latencies.add(ms / 1000)
    assert 0.5 <= (latencies.quantile_s(0.5) or 0) <= 0.52
    assert 0.99 <= (latencies.quantile_s(0.99) or 0) <= 1.0


# --- the command


def command(*words: object) -> int:
    return cli.main(["station", *map(str, words)])


def test_the_command_ends_with_one_line_of_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with CentreServer("szy206") as centre:
        words = (f"127.0.0.1:{centre.port}", "--stations", 3, "--reports", 2, "--every", 0, "--edition", "2021")
        assert command("szy206", *words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    counts = json.loads(line)
    assert (counts["event"], counts["stations"], counts["reports"], counts["acknowledged"]) == (
        "stations.done",
        3,
        6,
        6,
    )
    assert counts["latency_ms"]["p50"] <= counts["latency_ms"]["p99"]


@pytest.mark.parametrize(
    ("ack", "said"),
    [("never", ["1 报重发"]), ("close", ["1 报重发", "断开了 2 个"]), ("bad-crc", ["1 报重发", "6 个不合规"])],
)
def test_a_platform_that_loses_reports_is_the_fields_no(
    ack: str, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with CentreServer("sl651", ack=ack) as centre:
        place = f"127.0.0.1:{centre.port}"
        assert command("sl651", place, "--every", 0, "--timeout", "100ms", "--lang", "zh") == 1
    *lines, last = capsys.readouterr().err.splitlines()
    assert last.endswith(f"qushui-sim conformance platform sl651 {place}")
    assert all(any(words in line for line in lines) for words in said)


def test_a_platform_that_nobody_can_reach_is_named_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        place = f"127.0.0.1:{unused.getsockname()[1]}"
    assert command("sl651", place, "--every", 0, "--lang", "en") == 1
    *_, progress, last = capsys.readouterr().err.splitlines()
    assert place in last
    assert "refused: nobody listens there" in progress
    assert "refused: nobody listens there" in last


def test_only_the_result_is_said_where_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with CentreServer("sl651", ack="never") as centre:
        place = f"127.0.0.1:{centre.port}"
        assert command("sl651", place, "--every", 0, "--timeout", "100ms", "--quiet") == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "words",
    [
        ("sl651", "nowhere"),
        ("sl651", "127.0.0.1:99999"),
        ("sl651", "127.0.0.1:9", "--station", "12"),
        ("sl651", "127.0.0.1:9", "--password", "12345"),
        ("sl651", "127.0.0.1:9", "--centre", 300),
        ("sl651", "127.0.0.1:9", "--stations", 0),
        ("sl651", "127.0.0.1:9", "--behaviour", "asleep"),
        ("sl651", "127.0.0.1:9", "--reports", 0, "--every", 0),
        ("szy206", "127.0.0.1:9", "--behaviour", "wrong-password"),
        ("sl651", "no..such..host:9"),
    ],
)
def test_wrong_input_is_said_before_anything_is_sent(
    words: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*words) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.strip().splitlines())) == ("", 1)


def test_a_platform_that_is_not_there_ends_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    tally = Tally()
    stations = many(1, link=link_of("sl651"), first="4302810001", plan=Plan(every_s=0.0), tally=tally)
    end_s = time.monotonic() + 3
    Crowd(("127.0.0.1", port), stations, tally).run(lambda: time.monotonic() > end_s)
    assert (tally.connections, tally.acknowledged) == (0, 0)
    assert tally.failed_connections >= 2
