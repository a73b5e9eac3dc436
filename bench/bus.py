"""Rows of the serial bus: how much of what 9600 baud allows is used, and what dead meters cost their neighbours."""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures import Bench, Figure
from bench.physics import best_s, read_s
from bench.running import middle, naive, percentile, rate, settle, simulated
from tests.system.processes import Collector, Served, wall_offset_s
from tests.system.station import PLAIN, Site

BAUD = 9600
TURNAROUND_S = 0.009  # a meter waits out the silence (3.6 ms), then works
TEN = tuple(range(10))
GAPS = (0, 1, 2, 3, 10, 11, 12, 20, 21, 22)
GAP_RUNS = ((0, 4), (10, 3), (20, 3))
WARM_UP_S = 2.0
EARLY_S = 0.002  # dates are whole milliseconds: a poll may begin that much before its slot


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of one program on a bus."""

    per_second: float
    early: int
    requests: int
    errors_ms: Sequence[float]


def _site(
    bench: Bench, name: str, registers: Sequence[int], *, meters: int = 10, poll: str = "10ms", **far: Any
) -> Site:
    site = Site(bench.site(name), poll=poll)
    site.serial("bus", baud=BAUD, latency=f"{TURNAROUND_S * 1000:g}ms", **far)
    site.profile("bench", dict(zip(PLAIN, registers, strict=False)))
    for unit in range(1, meters + 1):
        site.meter(
            f"meter-{unit:02d}",
            "bus",
            "bench",
            unit,
            values=dict.fromkeys(PLAIN[: len(registers)], str(unit)),
            gaps="zero",
        )
    return site


def stamp_errors_ms(collector: Collector, served: Sequence[Served], since_s: float) -> list[float]:
    """Published `at` minus the moment the first byte of the meter's answer had passed the wire."""
    firsts: dict[str, list[float]] = {}
    for one in served:
        firsts.setdefault(one.meter, []).append(one.first_byte_s)
    errors = []
    for _, published, at_s in collector.stamped():
        times = firsts.get(published["meter"], [])
        if at_s >= since_s and times:
            place = bisect(times, at_s)
            errors.append(1000 * min((at_s - first for first in times[max(0, place - 1) : place + 1]), key=abs))
    return errors


def _measure(
    site: Site, seconds: float, *, with_naive: Sequence[tuple[int, int]] | None = None, warm_s: float = WARM_UP_S
) -> _Run:
    """One program on the bus, its answers counted by the meters' own log."""
    with site, simulated(site) as meters:
        site.start_broker()
        collector = site.start_collector()
        process = naive(site, 0.0, runs=with_naive) if with_naive else site.start_daemon()
        settle(process, warm_s)
        since_s = time.monotonic()
        settle(process, seconds)
        until_s = time.monotonic()
        process.stop()
        settle(collector, 0.5)
        meters.stop()
        served = site.served()
        window = [one for one in served if since_s <= one.at_s <= until_s]
        errors = [] if with_naive else stamp_errors_ms(collector, served, since_s)
        return _Run(rate(served, since_s, until_s), meters.early(), len(window), errors)


def _efficiency(bench: Bench, name: str, title: str, aim: str, registers: Sequence[int], **far: Any) -> list[Figure]:
    runs = GAP_RUNS if registers is GAPS else ((0, len(registers)),)
    limit = 1 / best_s(registers, BAUD, TURNAROUND_S)
    ours = _measure(_site(bench, name, registers, **far), bench.length_s(10, 60))
    theirs = _measure(_site(bench, f"{name}-naive", registers, **far), bench.length_s(6, 60), with_naive=runs)
    scans_naive = theirs.per_second / len(runs)
    note = (
        f"limit {limit:.2f} scans/s, reached {ours.per_second:.2f}; "
        f"early requests {ours.early} of {ours.requests} (naive {theirs.early})"
    )
    figures = [
        Figure(
            name=name,
            title=title,
            unit="% of limit",
            target=aim,
            limit=100,
            qushui=100 * ours.per_second / limit,
            naive=100 * scans_naive / limit,
            note=note,
            more={"early": ours.early, "requests": ours.requests, "early_naive": theirs.early},
        )
    ]
    if ours.errors_ms and name in {"rtu-9600", "rtu-usb-timer"}:
        absolute = [abs(error) for error in ours.errors_ms]
        figures.append(
            Figure(
                name=f"stamp-{name}",
                title=f"timestamp against the reply's first byte ({name})",
                unit="ms, median",
                target="≤ 2",
                limit=0,
                qushui=middle(absolute),
                note=f"p99 {percentile(absolute, 99):.2f} ms of {len(absolute)} rounds",
            )
        )
    return figures


def contiguous(bench: Bench) -> list[Figure]:
    return _efficiency(bench, "rtu-9600", "RTU 9600, 10 meters × 10 registers", "≥ 99, none early", TEN)


def strict(bench: Bench) -> list[Figure]:
    return _efficiency(bench, "rtu-strict", "the same, strict meters", "≥ 99", TEN, strict=True)


def gaps(bench: Bench) -> list[Figure]:
    title = "the same, registers with gaps (10 in 23)"
    return _efficiency(bench, "rtu-gaps", title, "≥ 98.5", GAPS, strict=True)


def usb(bench: Bench) -> list[Figure]:
    return _efficiency(
        bench, "rtu-usb-timer", "the same, USB adapter with 16 ms timer", "≥ 96", TEN, strict=True, usb_timer="16ms"
    )


def _kill(site: Site, dead: Sequence[int]) -> None:
    for unit in dead:
        site.far_meters[f"meter-{unit:02d}"]["mischief"] = [{"kind": "dead"}]


def one_dead(bench: Bench) -> list[Figure]:
    """One of ten does not answer; 100 % is the nine others back to back as if it were not there."""
    limit = 1 / read_s(len(TEN), BAUD, TURNAROUND_S)
    reached = []
    for with_naive, seconds in ((None, bench.length_s(15, 120)), (((0, 10),), bench.length_s(10, 120))):
        site = _site(bench, "dead-naive" if with_naive else "dead", TEN, strict=True)
        _kill(site, [5])
        reached.append(_measure(site, seconds, with_naive=with_naive, warm_s=4.0).per_second)
    return [
        Figure(
            name="rtu-one-dead",
            title="one dead meter of ten: cadence of the other nine",
            unit="%",
            target="≥ 97",
            limit=100,
            qushui=100 * reached[0] / limit,
            naive=100 * reached[1] / limit,
            note=f"{reached[0]:.2f} answers/s of {limit:.2f}",
        )
    ]


def crowd(bench: Bench) -> list[Figure]:
    """Five of twenty are dead on a bus that is 70 % busy when all answer: slots missed and lateness of the others."""
    one_s = read_s(len(TEN), BAUD, TURNAROUND_S)
    period_ms = round(20 * one_s / 0.7 * 1000)
    site = _site(bench, "crowd", TEN, meters=20, poll=f"{period_ms}ms", strict=True)
    _kill(site, [2, 6, 11, 15, 20])
    seconds = bench.length_s(20, 300)
    with site, simulated(site) as meters:
        site.start_broker()
        daemon = site.start_daemon()
        settle(daemon, 6.0)
        since_s = time.monotonic()
        settle(daemon, seconds)
        until_s = time.monotonic()
        daemon.stop()
        meters.stop()
        missed, lateness_ms = slots(site.served(), since_s, until_s, period_ms / 1000, one_s)
    return [
        Figure(
            name="crowd-missed",
            title="5 of 20 dead, bus 70 % busy: slots missed by the other 15",
            unit="slots",
            target="0",
            limit=0,
            qushui=missed,
            note=f"of {len(lateness_ms)} polls in {seconds:.0f} s",
        ),
        Figure(
            name="crowd-late",
            title="the same: mean lateness",
            unit="% of period",
            target="< 1",
            limit=0,
            qushui=100 * sum(lateness_ms) / max(1, len(lateness_ms)) / period_ms,
            note=f"worst {max(lateness_ms, default=0):.1f} ms of {period_ms} ms",
        ),
    ]


def slots(
    served: Sequence[Served], since_s: float, until_s: float, period_s: float, one_s: float
) -> tuple[int, list[float]]:
    """Missed slots, and how much later than physics allows each living meter was polled, in ms.

    The k-th poll of a slot cannot begin before k polls of its neighbours are over.
    """
    offset_s = wall_offset_s()
    by_slot: dict[int, list[float]] = {}
    for one in served:
        wall_s = one.at_s + offset_s + EARLY_S
        by_slot.setdefault(int(wall_s // period_s), []).append(wall_s % period_s - EARLY_S)
    first, last = int((since_s + offset_s) // period_s) + 1, int((until_s + offset_s) // period_s) - 1
    missed, lateness_ms = 0, []
    for slot in range(first, last + 1):
        places = sorted(by_slot.get(slot, []))
        missed += max(0, 15 - len(places))
        lateness_ms += [max(0.0, place - rank * one_s) * 1000 for rank, place in enumerate(places)]
    return missed, lateness_ms
