"""A meter that was replaced is flagged until somebody says so, and not a round longer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.clock import date_of
from tests.system.processes import until
from tests.system.station import Site

DECLARED = ("enter", "replacement", "main-flow", "--quantity", "volume_forward", "--who", "Li")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path, poll="200ms") as site:
        site.tcp("lan")
        site.meter("main-flow", "lan", "l-mag", values={"volume_forward": "1234.5"})
        site.write()
        yield site


def newest(site: Site) -> tuple[str, tuple[str, ...]]:
    """What the total showed last, and what is said of it."""
    found = site.stored()[-1]
    text = found.texts[found.layout.quantities.index("volume_forward")]
    return str(text), tuple((found.quality or {}).get("volume_forward", ()))


def test_a_declared_replacement_ends_the_fault_and_the_flag(site: Site) -> None:
    meters = site.start_meters()
    daemon = site.start_daemon().ready()
    site.grows(2)
    meters.order(meter="main-flow", set={"volume_forward": "3.5"})
    until(lambda: newest(site) == ("3.5", ("NEGATIVE_DELTA",)), 10, "the new register is flagged")
    assert "METER-NEGATIVE-DELTA" in {each["code"] for each in daemon.status()["faults"]}
    (before,) = [each for each in site.stored() if "1234.5" in each.texts][-1:]
    assert before.at_ms is not None
    at = (date_of(before.at_ms) + timedelta(milliseconds=1)).isoformat()
    assert main([*DECLARED, "--old-final", "1234.5", "--new-initial", "3.5", "--at", at, "-c", str(site.config)]) == 0
    until(lambda: newest(site) == ("3.5", ()), 10, "the new register is the measure")
    until(lambda: "METER-NEGATIVE-DELTA" not in {each["code"] for each in daemon.status()["faults"]}, 10, "it ends")
