"""Memory over many rounds."""

from __future__ import annotations

import os
from pathlib import Path

from tests.system.processes import until
from tests.system.station import BULK, TWENTY, Site

ROUNDS = int(os.environ.get("QUSHUI_ROUNDS", "100000" if BULK else "10000"))
METERS = 20


def test_memory_does_not_grow_over_many_rounds(tmp_path: Path) -> None:
    with Site(tmp_path, poll="10ms") as site:
        site.profile("five", {quantity: register for register, quantity in enumerate(TWENTY[:5])})
        for index in range(METERS):
            site.tcp(f"lan-{index}", latency="0ms")
            site.meter(f"meter-{index}", f"lan-{index}", "five", values=dict.fromkeys(TWENTY[:5], "1"))
        site.write()
        site.start_meters()
        site.start_broker()
        site.start_collector()
        daemon = site.start_daemon()
        until(lambda: site.committed() > ROUNDS / 4, ROUNDS / 50, "a quarter of the rounds is stored")
        early_mb = daemon.resident_mb()
        until(lambda: site.committed() > ROUNDS, ROUNDS / 50, "all rounds are stored")
        late_mb = daemon.resident_mb()
        assert daemon.stop() == 0
        print(f"{early_mb:.1f} MB after {ROUNDS // 4} rounds, {late_mb:.1f} MB after {ROUNDS}")
        assert late_mb < 1.05 * early_mb
