"""Gathers what the acceptance sheet says: every meter read now, what was compared, archives, platforms, the board."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from hashlib import sha256
from typing import Any

from agent.archive.checking import missing
from agent.board import look_at_clock, look_at_space, measure_disk, measure_timer
from agent.client import Site
from agent.clock import SystemClock
from agent.control import ControlError, DaemonAwayError
from agent.direct import DirectReading
from agent.reports.acceptance import Acceptance, Check, Display, MeterSheet
from agent.settings import Config, MeterSettings
from agent.store.book_reader import BookReader

_READ_S = 60.0  # a meter with many tries, on a line that is busy
_DISPLAYS = "SELECT quantity, shown, read, who, round, boot, ms FROM confirmation WHERE meter = ? ORDER BY id"

Read = Callable[[str], Mapping[str, Any]]


def accepted(site: Site, config: Config, book: BookReader, *, now_ms: int, software: str) -> Acceptance:
    """What there is on site now. Asks the running daemon, else the meters themselves.

    Raises as `BookReader`, and PermissionError where the daemon may not be asked.
    """
    try:
        live = site.ask("status")
    except DaemonAwayError:
        live = None
    with ExitStack() as stack:
        read = _through(site) if live is not None else _directly(site, stack)
        meters = tuple(_meter(each, read, book, site) for each in config.meters.values())
    keys = book.ledger("key")
    return Acceptance(
        station=config.station.id,
        station_name=config.station.name,
        at=site.local(now_ms),
        software=software,
        key=keys[-1].subject if keys else "",
        config_sha256=sha256(config.text.encode()).hexdigest(),
        meters=meters,
        intakes=tuple(config.intakes.values()),
        lacking={name: tuple(missing(archive.data)) for name, archive in config.archives.items()},
        uplinks={
            name: "" if live is None else live["uplinks"].get(name, {}).get("state", "") for name in config.uplinks
        },
        checks=tuple(_checks(site)),
    )


def _state(uplink: str, live: Mapping[str, Any] | None) -> str:
    return "" if live is None else str(live["uplinks"].get(uplink, {}).get("state", ""))


def _through(site: Site) -> Read:
    return lambda name: dict(site.ask("read", {"meter": name}, timeout_s=_READ_S))


def _directly(site: Site, stack: ExitStack) -> Read:
    reading = stack.enter_context(closing(DirectReading(site.config)))
    return lambda name: reading.read(name, {})


def _meter(settings: MeterSettings, read: Read, book: BookReader, site: Site) -> MeterSheet:
    trouble = ""
    told: Mapping[str, Any] = {}
    try:
        told = read(settings.name)
    except ControlError as refused:
        trouble = refused.code
    errors = [each["error"] for each in told.get("exchanges", ()) if each["error"]]
    if errors and not any(value is not None for value in told["values"].values()):
        trouble = errors[0]
    return MeterSheet(
        name=settings.name,
        line=settings.line,
        profile=settings.profile,
        address=settings.address,
        at=site.local(told.get("at")),
        values=told.get("values", {}),
        quality={name: tuple(reasons) for name, reasons in told.get("quality", {}).items()},
        trouble=trouble,
        displays=tuple(_displays(settings.name, book, site)),
    )


def _displays(meter: str, book: BookReader, site: Site) -> Iterator[Display]:
    for quantity, shown, read, who, number, boot, boot_ms in book.rounds.query(_DISPLAYS, (meter,)):
        at = site.local(book.rounds.moment(number, boot, boot_ms))
        yield Display(quantity=quantity, shown=shown, read=read, who=who, at=at)


def _checks(site: Site) -> Iterator[Check]:
    clock = SystemClock("ntp")
    directory = site.store.parent
    findings = (measure_disk(directory, clock), look_at_space(directory), measure_timer(clock), look_at_clock(clock))
    return (Check(name=each.name, judgement=each.judgement) for each in findings)
