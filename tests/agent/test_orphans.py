"""What a changed configuration leaves behind ends: nobody looks after it any more."""

from __future__ import annotations

import pytest

from agent.faults import FaultCode
from agent.orphans import orphaned
from tests.agent.store.conftest import Site
from tests.agent.test_config_intakes import FLOW, METERS, loaded

UPLINK = "uplinks: {cloud: {type: mqtt, url: 'mqtt://127.0.0.1:1883'}}\n"
WITH = METERS.replace("lines: {", "lines: {idle: {port: /dev/ttyUSB1}, ") + UPLINK + FLOW


@pytest.mark.parametrize(
    ("code", "place", "is_over"),
    [
        ("METER-NO-REPLY", "meter/flow", False),
        ("METER-NO-REPLY", "meter/removed", True),
        ("METER-NO-REPLY", "meter/old", True),  # people read it now: nothing polls it
        ("RULE-FROZEN", "meter/old", False),
        ("LINE-DOWN", "line/bus", False),
        ("LINE-DOWN", "line/idle", True),  # no meter is left on it
        ("UPLINK-DOWN", "uplink/cloud", False),
        ("UPLINK-DOWN", "uplink/removed", True),
        ("UPLOAD-RATE-LOW", "uplink/cloud", False),
        ("QUARTER-DUE", "quarter/2026Q3", False),
        ("THREAD-RESTARTED", "thread/line:bus", True),
        ("STORE-FULL", "store", False),
        ("OF-A-LATER-VERSION", "store", True),
    ],
)
def test_what_nobody_would_end_is_ended(tmp_path, code, place, is_over):
    site = Site(tmp_path)
    faults = site.open().faults
    faults.raised(code, place)
    assert [each.place for each in orphaned(faults.open(), loaded(WITH))] == [place] * is_over
    faults.cleared(code, place)
    assert faults.open() == ()
    site.close()


@pytest.mark.parametrize("code", [FaultCode.UPLOAD_RATE_LOW, FaultCode.QUARTER_DUE])
def test_without_intakes_nothing_is_owed_for_them(tmp_path, code):
    site = Site(tmp_path)
    faults = site.open().faults
    faults.raised(code, "uplink/cloud" if code is FaultCode.UPLOAD_RATE_LOW else "quarter/2026Q3")
    assert len(list(orphaned(faults.open(), loaded(METERS + UPLINK)))) == 1
    site.close()
