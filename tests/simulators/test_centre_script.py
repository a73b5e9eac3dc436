"""Scripts of simulated centres, and the words of their console."""

from __future__ import annotations

import pytest

from simulators.platforms.centre.behaviour import Protocol
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.script import Action, Script, action_of, script_of
from simulators.platforms.centre.server import CentreServer
from tests.simulators.far_station import DIALOGUES, FarStation, content

SCRIPT = """
- ack: never
- after: 2
  ack: normal
  send: "37"
- wait: 0.2
  link: reset
"""


def test_a_script_acts_right_behind_the_report_that_it_waits_for():
    with CentreServer("sl651", script=SCRIPT) as centre:
        station = FarStation(centre.port, DIALOGUES["sl651"](), {1: content(1), 2: content(2)})
        station.run(20, until=lambda: len(station.acknowledged) == 2 and station.connections == 2)
        assert station.acknowledged == [1, 2]
        assert [(each.copies, each.acks) for each in centre.received()] == [(3, 1), (1, 1)]
        assert [each.name for each in centre.answers()] == ["37"]


def test_a_script_counts_reports_and_seconds():
    script = Script(
        script_of("[{after: 2, ack: never}, {wait: 5, ack: normal}, {after: 1, wait: 1, ack: eot}]", Protocol.SL651)
    )
    assert script.due(1, 0) == []
    assert script.due(2, 10) == [Action("ack", "never")]
    assert script.due(3, 14) == []
    assert script.deadline_s == 15
    assert script.due(3, 15) == [Action("ack", "normal")]
    assert script.due(3, 15.5) == []
    assert script.due(3, 16) == [Action("ack", "eot")]
    assert script.deadline_s is None


@pytest.mark.parametrize(
    "text",
    ["{", "ack: never", "- never", "- {act: never}", "- {after: -1}", "- {wait: soon}", "- {send: '99'}", "- {raw: xy}",
     "- {link: down}", "- {ack: sometimes}", "- {after: [1]}"],
)  # fmt: skip
def test_a_script_that_means_nothing_is_refused(text: str):
    with pytest.raises(OrderError):
        script_of(text, Protocol.SL651)


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("ack never, late:3", Action("ack", "never, late:3")),
        ("query", Action("send", "query")),
        ("query 37", Action("send", "37")),
        ("@3301060001 set-clock", Action("send", "set-clock", "3301060001")),
        ("raw 7E 7E", Action("raw", "7E7E")),
        ("set end EOT", Action("set", "end EOT")),
        ("reset", Action("link", "reset")),
        ("last", Action("last", "10")),
        ("HELP", Action("help")),
    ],
)
def test_a_line_of_the_console_is_an_action(line: str, action: Action):
    assert action_of(line, Protocol.SL651) == action


@pytest.mark.parametrize(
    "line", ["@3301060001", "nonsense", "raw x", "last x", "set end NAK", "set login F2", "set", "set password 1"]
)
def test_a_line_that_means_nothing_is_refused(line: str):
    with pytest.raises(OrderError):
        action_of(line, Protocol.SL651)
