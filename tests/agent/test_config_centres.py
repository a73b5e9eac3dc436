"""Centres that take composed reports, in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import load
from agent.form.problems import FormErrors
from agent.report.content import Kind
from agent.settings import Config
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

STATION = """
station: {id: pumphouse-12}
lines:
  lan: {tcp: "127.0.0.1:15502"}
meters:
  main-flow: {line: lan, profile: tuf2000, address: "1", poll: 60s}
intakes:
  well-3: {code: "4302810001", source: ground, water: {meter: main-flow}}
uplinks:
"""
SL651 = '  ministry: {type: sl651, host: 10.0.0.9, port: 9002, station: "0012345678", intakes: {1: well-3}%s}\n'
SZY206 = '  province: {type: szy206, host: 10.0.0.8, port: 9001, station: "4302810007", intakes: {1: well-3}%s}\n'


def loaded(text: str) -> Config:
    return load(Path("agent.yaml"), drivers=DRIVERS, uplink_settings=settings_models(), text=STATION + text)


def mistakes(text: str) -> list[str]:
    with pytest.raises(FormErrors) as caught:
        loaded(text)
    return [f"{problem.path}: {problem.code}" for problem in caught.value.problems]


def test_a_centre_has_the_sheets_defaults():
    config = loaded(SL651 % "" + SZY206 % "")
    ministry, province = config.uplinks["ministry"], config.uplinks["province"]
    for each in (ministry, province):
        assert (each.every_ms, each.jitter_ms, each.backlog_per_min) == (3_600_000, 300_000, 30)
        assert (each.sends_derived, each.allows_sets, each.trusts_clock) == (False, False, False)
        assert each.kinds == (Kind.TIMED,)
    assert (ministry.wire.mode, ministry.wire.flow_decimals, ministry.wire.station_class) == (2, 6, 0x49)
    assert ministry.wire.totals[1].identifier.hex().upper() == "FF2B"
    assert (province.wire.timeout_s, ministry.wire.timeout_s) == (10, 20)


def test_an_address_is_five_bytes_or_a_number():
    for form, sent in (("hex", "4302810007"), ("number", "4302810700"), ("number-high", "4302810007")):
        assert loaded(SZY206 % f", address: {form}").uplinks["province"].wire.station == sent


def test_a_centre_of_queries_only_gets_no_reports():
    assert loaded(SL651 % ", mode: m4, reports: [timed, hourly]").uplinks["ministry"].kinds == ()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (", backup: nowhere", "uplinks.ministry.backup: host-port"),
        (", every: 7m", "uplinks.ministry.every: report-every"),
        (", password: 12", "uplinks.ministry.password: hex-digits"),
        (', password: "12345"', "uplinks.ministry.password: hex-digits"),
        (', totals: {2: {element: "F2B", digits: 12, decimals: 0}}', "uplinks.ministry.totals.2.element: element"),
        (", supply: nobody", "uplinks.ministry.supply: meter"),
        (", backlog: 0", "uplinks.ministry.backlog: too-small"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(keys: str, said: str):
    assert mistakes(SL651 % keys) == [said]


def test_an_intake_that_is_not_there_is_named_with_those_that_are():
    assert mistakes(SL651.replace("well-3", "well-4") % "") == ["uplinks.ministry.intakes.1: intake"]


def test_a_channel_is_one_to_eight():
    (found,) = mistakes(SL651.replace("{1: well-3}", "{9: well-3}") % "")
    assert found.startswith("uplinks.ministry.intakes")
