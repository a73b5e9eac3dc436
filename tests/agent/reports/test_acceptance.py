"""The acceptance sheet: what each meter says now, room for what its display shows, what is missing, who signs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.messages import LANGUAGES, Messages
from agent.reports.acceptance import Acceptance, Check, Display, MeterSheet, acceptance_sheet
from tests.agent.reports.made import SETTINGS
from tests.agent.reports.test_package import Page

FLOW = MeterSheet(
    name="main-flow", line="rs485-1", profile="tuf2000", address="1", at="2026-11-21 08:00:00",
    values={"volume_forward": "1234.56", "flow_rate": None, "status": ["empty_pipe"]},
    quality={"flow_rate": ("NO_REPLY",)}, trouble="",
    displays=(Display(quantity="volume_forward", shown="1234.5", read="1234.56", who="<Li>", at="2026-11-20"),),
)  # fmt: skip
SILENT = replace(FLOW, name="pump-kwh", values={}, quality={}, trouble="NO_REPLY", displays=())
GIVEN = Acceptance(
    station="pumphouse-12",
    station_name="三号泵房",
    at="2026-11-21 08:00:00",
    software="0.1.0",
    key="aaaa-bbbb-cccc-dddd",
    config_sha256="c0" * 32,
    meters=(FLOW, SILENT),
    intakes=(SETTINGS,),
    lacking={"well-3": ("point.address",)},
    uplinks={"cloud": "connected", "province": ""},
    checks=(Check(name="write", judgement="good"),),
)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_sheet_says_what_was_found_and_whom_it_wants_to_sign(lang: str) -> None:
    out = Messages(lang)
    page = Page(acceptance_sheet(GIVEN, out))
    said = " ".join(page.said)
    assert (page.open, page.links) == ([], [])
    for shown in ("1234.56 m3", "1234.5", "<Li>", out.reason("NO_REPLY"), out.flag("empty_pipe"), "aaaa-bbbb-cccc-dddd",
                  "point.address", out.text("uplink.state.connected"), out.text("acceptance.not_running"),
                  out.text("acceptance.installer"), out.text("acceptance.inspector")):  # fmt: skip
        assert shown in said
    assert "acceptance." not in said
    assert "report." not in said


def test_an_intake_without_an_archive_is_said_to_have_none() -> None:
    out = Messages("en")
    assert out.text("acceptance.no_archive") in acceptance_sheet(replace(GIVEN, lacking={}), out)
    assert out.text("acceptance.complete") in acceptance_sheet(replace(GIVEN, lacking={"well-3": ()}), out)
