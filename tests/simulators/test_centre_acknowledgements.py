"""Whatever a centre does with acknowledgements, a station counts as delivered what the centre acknowledged, no more."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.platforms.centre.archive import Received
from simulators.platforms.centre.behaviour import Protocol, plan_of
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.server import CentreServer
from tests.simulators.far_station import DIALOGUES, FarStation, content

REPORTS = range(1, 6)
BOTH = (
    "normal",
    "late:0.05",
    "late:0.15",  # behind the first repeat
    "never,normal",
    "never,never,never,normal",  # the link is left, and the report comes again on the next
    "glued",
    "glued-query",
    "split",
    "parts",
    "bad-crc,normal",
    "wrong-address,normal",
    "close,normal",
    "reset,normal",
    "never,late:0.2,split,normal",
    "late:0.15+split,never,glued,normal",
    "again:0.02",
    "again:0.02,never,never,never,normal",
    "normal,again:0.02,close,normal",
)
PAUSE_S = 0.5  # far longer than a second confirm takes
PLANS = {
    "sl651": (
        *BOTH,
        "eot",
        "esc",
        "ack",
        "empty",
        "late:0.15+empty",
        "wrong-serial,normal",
        "previous-serial,normal",
        "previous-serial,late:0.2,normal",
        "late:0.15+previous-serial,normal",
        "wrong-password,normal",
        "nak,normal",
        "nak,close,reset,empty,parts,previous-serial,bad-crc,normal",
    ),
    "szy206": (*BOTH, "with-tp", "wrong-fcb", "wrong-fcb,with-tp+late:0.05,bad-crc,normal"),
}
CASES = [(protocol, plan) for protocol, plans in PLANS.items() for plan in plans]


def number_of(report: Received) -> int:
    """Which report it is: the volume says so."""
    values: Any = report.values
    volume = values["FF2B"] if "FF2B" in values else values["meters"][0]["cumulative_m3"]
    return int(volume) - 1000


@pytest.mark.parametrize(("protocol", "plan"), CASES, ids=lambda value: value)
def test_a_report_counts_as_delivered_exactly_when_the_centres_table_says_so(protocol: str, plan: str):
    with CentreServer(protocol, ack=plan) as centre:
        unfounded: list[int] = []

        def on_acknowledged(tag: int) -> None:
            if tag not in {number_of(report) for report in centre.acknowledged()}:
                unfounded.append(tag)

        contents = {number: content(number) for number in REPORTS}
        changes = {"confirm_pause_s": PAUSE_S} if protocol == "szy206" and "again" in plan else {}
        station = FarStation(centre.port, DIALOGUES[protocol](**changes), contents, on_acknowledged=on_acknowledged)
        station.run(30)
        assert sorted(station.acknowledged) == list(REPORTS)
        assert unfounded == []
        assert [number_of(report) for report in centre.received()] == list(REPORTS)
        assert [number_of(report) for report in centre.acknowledged()] == list(REPORTS)
        assert [each for each in centre.violations() if each.is_failed] == []


@pytest.mark.parametrize("protocol", list(DIALOGUES))
@pytest.mark.parametrize("plan", ["never", "bad-crc", "wrong-address", "close", "reset"])
def test_nothing_is_delivered_where_nothing_is_acknowledged(protocol: str, plan: str):
    with CentreServer(protocol, ack=plan) as centre:
        station = FarStation(centre.port, DIALOGUES[protocol](), {1: content(1)})
        station.run(1.5, until=lambda: station.connections > 2)
        assert station.acknowledged == []
        assert centre.acknowledged() == []
        assert [number_of(report) for report in centre.received()] == [1]
        assert centre.received()[0].copies > 1


@pytest.mark.parametrize(
    "plan",
    ["", "nonsense", "late:soon", "late:-1", "late:4000", "normal:3", "normal,,normal", ",".join(["normal"] * 2000)],
)
def test_a_plan_that_means_nothing_is_refused(plan: str):
    with pytest.raises(OrderError):
        plan_of(plan, Protocol.SL651)


def test_a_style_of_the_other_protocol_is_refused():
    with pytest.raises(OrderError, match="with-tp"):
        plan_of("previous-serial", Protocol.SZY206)
    with pytest.raises(OrderError, match="previous-serial"):
        plan_of("wrong-fcb", Protocol.SL651)
