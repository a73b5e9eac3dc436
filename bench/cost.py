"""Rows of what the agent costs: processor, memory, disk, start, and how much it carries at most."""

from __future__ import annotations

from bench.figures import Bench, Figure
from bench.running import Watch, lan, middle, naive, settle, simulated
from tests.system.processes import Collector, Process, until
from tests.system.station import TWENTY, Site

METERS = 50
VALUES = 20


def ordinary(bench: Bench) -> list[Figure]:
    """50 TCP meters × 20 registers each second: processor, memory, bytes on disk."""
    seconds = bench.length_s(15, 60)
    used = {}
    for who in ("qushui", "naive"):
        site = lan(bench.site(f"ordinary-{who}"), METERS, poll="1s", values=VALUES)
        with site, simulated(site):
            site.start_broker()
            collector = site.start_collector()
            process = naive(site, 1.0) if who == "naive" else site.start_daemon()
            settle(process, 4.0)
            before, watch = collector.count(), Watch(process)
            settle(process, seconds)
            usage, rounds = watch.usage(), collector.count() - before
            used[who] = usage, rounds * VALUES
            process.stop()
    ours, values = used["qushui"]
    theirs, values_naive = used["naive"]
    cpu_naive = 1000 * theirs.cpu_s / max(1, values_naive)
    return [
        Figure(
            name="cpu",
            title="CPU-seconds per 1000 values (50 TCP meters × 20 registers, 1 s)",
            unit="s",
            target="≤ 0.015, durable",
            qushui=1000 * ours.cpu_s / max(1, values),
            naive=cpu_naive,
            note=f"{values} values in {ours.seconds:.0f} s; the naive script keeps nothing",
        ),
        Figure(
            name="rss-50",
            title="resident memory, 50 TCP meters",
            unit="MB",
            target="≤ 50",
            qushui=ours.resident_mb,
            naive=theirs.resident_mb,
        ),
        Figure(
            name="bytes-per-value",
            title="bytes written per value (20 values a round, 50 rounds a second)",
            unit="bytes",
            target="≤ 16, raw replies kept",
            qushui=ours.written_bytes / max(1, values),
            note="write_bytes of the process; checkpoints and purge are in the whole-life row",
        ),
    ]


def station(bench: Bench) -> list[Figure]:
    """20 meters on two buses: memory, and how soon a start gives an acknowledged reading."""
    site = Site(bench.site("station"), poll="1s")
    site.profile("bench", {quantity: register for register, quantity in enumerate(TWENTY[:7])})
    for unit in range(1, 21):
        bus = f"bus-{unit % 2}"
        if bus not in site.lines:
            site.serial(bus)
        site.meter(f"meter-{unit:02d}", bus, "bench", unit, values=dict.fromkeys(TWENTY[:7], "1"))
    starts, starts_naive, resident = [], [], 0.0
    with site, simulated(site):
        site.start_broker()
        collector = site.start_collector()
        for _ in range(5 if bench.full else 3):
            site.database.unlink(missing_ok=True)
            starts.append(_first(collector, daemon := site.start_daemon()))
            settle(daemon, 4.0)
            resident = daemon.resident_mb()
            daemon.stop()
            starts_naive.append(_first(collector, script := naive(site, 1.0)))
            script.stop()
    return [
        Figure(
            name="cold-start",
            title="cold start to first acknowledged reading",
            unit="s",
            target="≤ 0.5",
            qushui=middle(starts),
            naive=middle(starts_naive),
            note="as the subscriber behind the broker sees it; median of " + ", ".join(f"{one:.2f}" for one in starts),
        ),
        Figure(
            name="rss-20", title="resident memory, 20 meters, one platform", unit="MB", target="≤ 50", qushui=resident
        ),
    ]


def _first(collector: Collector, process: Process) -> float:
    """Seconds from the start of `process` to the first rounds after it."""
    found: list[float] = []

    def came() -> bool:
        found[:] = [
            at_s for at_s, topic, _ in collector.lines() if topic.endswith("/rounds") and at_s > process.started_s
        ]
        return bool(found)

    until(came, 20, f"first reading of {process.name}")
    return found[0] - process.started_s
