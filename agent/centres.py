"""From settings to a working centre: what its reports hold, its dialogue, its worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.clock import Clock
from agent.report.compose import Composer, Wanted
from agent.report.content import STATION
from agent.report.options import CentreOptions
from agent.report.slots import jitter_ms
from agent.settings import Config
from agent.store.book_reader import BookReader
from agent.store.outbox_reader import OutboxReader
from agent.store.reader import Reader
from agent.store.store import Store
from agent.uplinks.dialogue import Dialogue
from agent.uplinks.registry import CENTRES
from agent.uplinks.reporting.commands import Commands, Orders
from agent.uplinks.reporting.composing import Composing
from agent.uplinks.reporting.worker import ReportWorker

_HOUR_MS = 3_600_000
_OWN = ("flow_rate", "volume_withdrawn")  # an intake's, with each reading


def make_worker(
    name: str,
    *,
    config: Config,
    store: Store,
    clock: Clock,
    log: Any,
    orders: Orders,
) -> ReportWorker:
    """The worker of one centre."""
    options: CentreOptions = config.uplinks[name]
    wanted = tuple(wanted_of(config, options))
    path = Path(config.store.path)
    meters = _meters(config, options)
    read = {*meters, *(each.meter for each in wanted)}
    lines = {config.meters[meter].line for meter in read if meter in config.meters}
    places = {"store", *(f"meter/{meter}" for meter in read), *(f"line/{line}" for line in lines)}
    composing = Composing(
        name,
        composer=Composer(wanted, sends_derived=options.sends_derived, limits=options.limits, watched=meters),
        options=options,
        zone=ZoneInfo(config.station.timezone),
        outbox=store.outbox,
        clock=clock,
        alarms=lambda: [fault.code for fault in store.faults.open() if fault.place in places],
    )
    commands = _commands(
        name, config=config, wanted=wanted, store=store, clock=clock, log=log, orders=orders, composing=composing
    )
    composing.tell(commands.happened)
    return ReportWorker(
        name,
        options=options,
        jitter_ms=jitter_ms(options.station, options.jitter_ms),
        make_dialogue=_dialogues(name, options, commands, store),
        composing=composing,
        commands=commands,
        rounds=lambda: Reader(path, on_damage=store.suspect),
        contents=lambda: OutboxReader(path, on_damage=store.suspect),
        store=store,
        clock=clock,
        log=log,
        faults=store.faults,
        keep_ms=config.store.keep_s * 1000,
    )


def _commands(
    name: str,
    *,
    config: Config,
    wanted: tuple[Wanted, ...],
    store: Store,
    clock: Clock,
    log: Any,
    orders: Orders,
    composing: Composing,
) -> Commands:
    options: CentreOptions = config.uplinks[name]
    kind = CENTRES[options.type]
    return Commands(
        name,
        options=options,
        wanted=wanted,
        history=BookReader(Path(config.store.path), on_damage=store.suspect),
        store=store,
        orders=orders,
        log=log,
        faults=store.faults,
        latest=composing.latest,
        is_acceptable=kind.is_acceptable(),
        in_force=kind.in_force(),
        on_set=composing.obey,
        version=f"qushui {version('qushui')}",
        clock=clock,
        zone=ZoneInfo(config.station.timezone),
        meters=_meters(config, options),
        defaults=kind.defaults()(options),
    )


def _meters(config: Config, options: CentreOptions) -> frozenset[str]:
    """The meters of its intakes."""
    return frozenset(meter for intake in options.intakes.values() for meter in config.intakes[intake].meters)


def _dialogues(name: str, options: CentreOptions, commands: Commands, store: Store) -> Callable[[], Dialogue]:
    """What makes the dialogue of each connection, with what the centre has set by then."""
    make = CENTRES[options.type].dialogue()
    return lambda: make(
        options,
        commands.parameters(),
        next_serial=lambda: store.outbox.next_serial(name),
        last_serial=store.outbox.last_serial(name),
    )


def wanted_of(config: Config, options: CentreOptions) -> Iterator[Wanted]:
    """What a report to this centre holds, channel by channel."""
    for channel, intake in options.intakes.items():
        settings = config.intakes[intake]
        own_ms = min(settings.periods_ms.values(), default=_HOUR_MS)
        for quantity in options.quantities:
            if quantity in _OWN:
                yield Wanted(channel=channel, quantity=quantity, meter=intake, period_ms=own_ms)
            elif quantity == "volume_hour":
                yield Wanted(channel=channel, quantity=quantity, meter=intake, period_ms=_HOUR_MS, is_exact=True)
            elif meter := next((each for each in sorted(settings.meters) if _has(config, each, quantity)), None):
                period_ms = config.meters[meter].poll_ms
                yield Wanted(channel=channel, quantity=quantity, meter=meter, period_ms=period_ms)
    if options.supply is not None:
        period_ms = config.meters[options.supply].poll_ms
        yield Wanted(channel=STATION, quantity="supply_voltage", meter=options.supply, period_ms=period_ms)


def _has(config: Config, meter: str, quantity: str) -> bool:
    return meter in config.meters and quantity in config.meters[meter].quantities
