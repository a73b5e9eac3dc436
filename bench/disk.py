"""Rows of the disk: a meter-row's whole life, measured by `bench/store_bytes.py` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.figures import Bench, Figure

SCRIPT = Path(__file__).with_name("store_bytes.py")
LIFE = "20 meters x 7 values each 60 s, purge after a day"
YEAR = "a year of it without intakes, MB"


def whole_life(bench: Bench) -> list[Figure]:
    """Insert, publish, purge and checkpoint of 20 meters at 60 s; size of a year at 5 minutes."""
    text = subprocess.run(
        [sys.executable, SCRIPT, bench.site("disk")], check=True, capture_output=True, text=True, timeout=600
    ).stdout
    result = json.loads(text)
    life = result[LIFE]
    return [
        Figure(
            name="bytes-per-row",
            title="bytes written per meter-row, whole life (20 meters × 7 values, 60 s)",
            unit="bytes",
            target="≤ 3000",
            qushui=life["bytes_per_row"],
            note=f"{life['bytes_per_value']} per value; one commit per scan writes about 12 800",
            more=result,
        ),
        Figure(
            name="year",
            title="a year of 20 meters at 5 minutes on disk",
            unit="MB",
            target="≤ 1000",
            qushui=result[YEAR],
        ),
    ]
