"""`python -m bench [--only NAME …] [--seconds N] [--json FILE]`: the figures of this machine, never a verdict.

Every row has the naive script of `bench/naive.py` beside it where it can do the same, measured in the same run: the
ratio holds on any machine. `FULL=1` takes the full lengths (60 s outages, minutes of polling).
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from bench import bus, chain, cost, disk, load, mixed, outage, report, stations
from bench.figures import Bench, Experiment, Figure, table

EXPERIMENTS: dict[str, Experiment] = {
    "contiguous": bus.contiguous,
    "strict": bus.strict,
    "gaps": bus.gaps,
    "usb": bus.usb,
    "one-dead": bus.one_dead,
    "crowd": bus.crowd,
    "mixed": mixed.mixed,
    "silent": outage.silent,
    "refused": outage.refused,
    "killed": outage.killed,
    "slow-link": outage.slow_link,
    "ordinary": cost.ordinary,
    "station": cost.station,
    "sustained": load.sustained,
    "drain": load.drain,
    "disk": disk.whole_life,
    "report": report.quarter,
    "stations": stations.stations,
    "chain": chain.chain,
}
DEFAULT_S = 360.0
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Runs the chosen experiments; 1 only when one of them could not be carried out."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=sorted(EXPERIMENTS), metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--seconds", type=float, default=DEFAULT_S, help="time for all rows together (about)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    for package in ("agent", "drivers", "simulators"):  # as pip does: no installed agent compiles when it starts
        compileall.compile_dir(ROOT / package, quiet=1)
    figures: list[Figure] = []
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="qushui-bench-") as directory:
        full = os.environ.get("FULL", "0") not in {"", "0"}
        bench = Bench(directory=Path(directory), scale=options.seconds / DEFAULT_S, full=full)
        for name in options.only or EXPERIMENTS:
            began_s = time.monotonic()
            print(f"{name} …", file=sys.stderr, flush=True)
            try:
                figures += EXPERIMENTS[name](bench)
            except (RuntimeError, AssertionError) as error:
                broken.append(name)
                print(f"{name} could not be measured: {error}", file=sys.stderr)
            print(f"{name} took {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)
    print(table(figures))
    document = {"machine": machine(), "figures": [figure.as_json() for figure in figures], "not_measured": broken}
    if options.json:
        options.json.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    else:
        print(json.dumps(document, ensure_ascii=False))
    return 1 if broken else 0


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    return {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


if __name__ == "__main__":
    sys.exit(main())
