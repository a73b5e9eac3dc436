"""A running station: its store, lines, uplinks and control socket, wired and started in the order that loses nothing.

Start: store, lines, uplinks, control. Stop: lines (finish the exchange in hand), store (last commit), uplinks (drain),
then the cursors' commit. Each part is a worker of the supervisor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.bookkeeping import enter_configuration, open_books, reminding_of, uploads_of
from agent.clock import SystemClock, date_of
from agent.comparing import Comparing
from agent.control import ControlError, ControlServer, socket_path
from agent.declaring import Declarations, period_of
from agent.faults import FaultCode, FaultSink
from agent.heads import Heads
from agent.hosting import asked, guest_of, line_refusals
from agent.line.listening import DialIns
from agent.model import Round, StoredRound
from agent.orphans import orphaned
from agent.outgoing import Outgoing
from agent.poll import Poller
from agent.qualify import Judge
from agent.settings import Config
from agent.standing import standings
from agent.store.book_reader import BookReader
from agent.store.reader import Reader
from agent.store.store import Store
from agent.supervise import Supervisor
from agent.wiring import make_line, make_meters

_LINE_SLACK_S = 30.0
_DISK_SLACK_S = 120.0  # an fsync and a name server cannot be bounded
_LINE_STOP_S = 3.0
_STORE_STOP_S = 4.0
_WATCH_STOP_S = 1.0
_STAGGER_MS = 1  # lines that start a slot together would wait for one another
_MOST_STAGGER_MS = 50
_QUIET_S = 3.0  # after a start the first readings have the processor for themselves; a head can wait
_RESTART_S = 600.0  # a platform that asks again and again must not keep the meters from being read
_RECENT_ROUNDS = 2000  # looked through for the newest round of each meter


class RunningStation:
    """What one configuration becomes. Its methods are called from the main thread, but for the control handlers."""

    def __init__(self, config: Config, *, clock: SystemClock, log: Any, reload: Callable[[], None]) -> None:
        self.config = config
        self._clock = clock
        self._log = log
        self._reload = reload
        self._path = Path(config.store.path)
        self._store = Store(
            self._path,
            clock=clock,
            log=log,
            keep_s=config.store.keep_s,
            max_bytes=config.store.max_size,
            free_bytes=config.store.free_disk,
        )
        self.faults: FaultSink = self._store.faults
        self._supervisor = Supervisor(clock=clock, faults=self.faults, log=log)
        self._judge = Judge(faults=self.faults, baseline=self._store.last_values, begun=self._store.counters_begun)
        self._heads = self._make_heads(config)
        self._quiet_until_s = clock.monotonic() + _QUIET_S
        self._comparing = Comparing(self._store, self._judge, log=log)
        self._declarations = Declarations(self._store, clock=clock, period_ms=lambda name: period_of(self.config, name))
        self._dial_ins = DialIns(clock=clock, log=log)
        self._is_listening = False
        self._is_watching = self._is_entered = False
        self._pollers: dict[str, Poller] = {}
        self._outgoing = Outgoing(store=self._store, supervisor=self._supervisor, clock=clock, log=log, orders=self)
        self._restart_asked = threading.Event()
        self._restarted_s = float("-inf")

    # --- start, stop, change

    def open(self) -> None:
        """Opens the store. Raises StoreHeldError, OSError."""
        self._store.open()
        self._date()

    def start(self) -> None:
        """Starts every part. Uplinks are made first: what is on disk by then may have been delivered before."""
        self._end_orphans()
        self._outgoing.make(self.config)
        self._keep_books()
        self._supervisor.start("store", self._store.run, slack_s=_DISK_SLACK_S)
        self._listen()
        for name in self.config.lines:
            self._start_line(name)
        self._outgoing.start()
        self._watch_duties()
        handlers = {
            "status": self._status,
            "read": self._read,
            "ask": self._ask,
            "outbox-retry": self._outgoing.retry,
            "outbox-drop": self._outgoing.drop,
            "reload": self._reload_asked,
            "clock-set": self._clock_set,
            "clock-broadcast": self._clock_broadcast,
            **self._declarations.handlers(),
        }
        control = ControlServer(socket_path(self._path), handlers, clock=self._clock, log=self._log)
        self._supervisor.start("control", control.run)

    def stop(self) -> None:
        """Stops within 10 s; nothing committed is lost, what was read is committed."""
        self._stop_lines(list(self._pollers))
        self._stop_listening()
        self._supervisor.ask_to_stop("store")
        self._supervisor.join("store", _STORE_STOP_S)
        self._outgoing.stop()
        self._stop_watching()
        self._supervisor.join("control", 1.0)
        self._heads.close()
        self._store.close()

    def take_up(self, config: Config) -> None:
        """Goes over to another configuration of the same store and clock, touching only what differs."""
        before, self.config = self.config, config
        stopping = [name for name in before.lines if _line_of(before, name) != _line_of(config, name)]
        self._stop_lines(stopping)
        self._listen()
        self._keep_books()
        is_other_station = before.station != config.station
        if is_other_station:
            self._heads.close()
            self._heads = self._make_heads(config)
        self._outgoing.take_up(before, config)
        for name in config.lines:
            if name not in self._pollers:
                self._start_line(name)
        self._watch_duties()
        self._end_orphans()  # last: what ends raises its faults once more

    def _watch_duties(self) -> None:
        """Watches over what the intakes owe their platforms and the authority, as they are configured now."""
        self._stop_watching()
        self._is_watching = bool(self.config.intakes)
        if self._is_watching:
            uploads = uploads_of(self._store, self.config, clock=self._clock, log=self._log)
            self._supervisor.start("uploads", uploads.run)
            reminding = reminding_of(self._store, self.config, clock=self._clock, log=self._log)
            self._supervisor.start("reminders", reminding.run)

    def _stop_watching(self) -> None:
        for name in ("uploads", "reminders") if self._is_watching else ():
            self._supervisor.join(name, _WATCH_STOP_S)

    def _end_orphans(self) -> None:
        for fault in orphaned(self._store.faults.open(), self.config):
            self._store.faults.cleared(fault.code, fault.place)

    def _keep_books(self) -> None:
        """Accounts for the water of the intakes as they are configured now, and says so in the ledger."""
        self._enter_configuration()
        open_books(self._store, self.config)

    def _enter_configuration(self) -> None:
        now_ms = self._clock.boot_ms() + self._clock.offset_ms if self._clock.synced else None
        self._is_entered = enter_configuration(self._store, self.config, at_ms=now_ms, log=self._log)

    def watch(self) -> bool:
        """Once a second: follows the clock, restarts what failed; true while everything beats."""
        if self._restart_asked.is_set():
            self._restart()
        if self._clock.refresh():
            if self._clock.synced:
                self._log.info("clock.stepped", offset_ms=self._clock.offset_ms, source=self._clock.source)
            self._date(step=True)
        if not self._is_entered:
            self._enter_configuration()
        if self._clock.monotonic() >= self._quiet_until_s:
            self._heads.watch()
        return self._supervisor.watch()

    def _date(self, *, step: bool = False) -> None:
        """Dates this boot as soon as someone trusted says what time it is."""
        if not self._clock.synced:
            self.faults.raised(FaultCode.CLOCK_UNSET, "clock", source=self._clock.source)
            return
        self.faults.cleared(FaultCode.CLOCK_UNSET, "clock")
        self._store.date_boot(self._clock.offset_ms, self._clock.source, step=step)

    def _start_line(self, name: str) -> None:
        settings = self.config.lines[name]
        meters = make_meters(self.config, settings)
        if not meters:
            return
        for meter in meters:
            profile = self.config.profiles[meter.profile]
            doubts = self._comparing.doubts(meter.name, profile)
            self._judge.knows(meter.name, profile.version, self.config.entries(meter.name), doubts=doubts)
        poller = Poller(
            name,
            line=make_line(settings, clock=self._clock, dial_ins=self._dial_ins),
            meters=meters,
            sink=_Judged(self._store, self._judge),
            clock=self._clock,
            faults=self.faults,
            log=self._log,
            stagger_ms=len(self._pollers) * _STAGGER_MS % _MOST_STAGGER_MS,
        )
        self._pollers[name] = poller
        self._supervisor.start(f"line:{name}", poller.run, slack_s=_LINE_SLACK_S)

    def _listen(self) -> None:
        """Listens for the DTUs that dial in; those of unchanged lines stay connected."""
        self._dial_ins.serve(self.config.lines.values(), ZoneInfo(self.config.station.timezone))
        if not self._is_listening and any(line.dial_in is not None for line in self.config.lines.values()):
            self._is_listening = True
            self._supervisor.start("dial-in", self._dial_ins.run)

    def _stop_listening(self) -> None:
        if self._is_listening:
            self._supervisor.ask_to_stop("dial-in")
            self._dial_ins.nudge()
            if not self._supervisor.join("dial-in", _LINE_STOP_S):
                return  # it ends with the process
        self._dial_ins.close()

    def _stop_lines(self, names: list[str]) -> None:
        running = [name for name in names if name in self._pollers]
        for name in running:
            self._supervisor.ask_to_stop(f"line:{name}")
            self._pollers[name].nudge()
        for name in running:
            self._supervisor.join(f"line:{name}", _LINE_STOP_S)
            del self._pollers[name]

    def _make_heads(self, config: Config) -> Heads:
        return Heads(
            self._path,
            chain=self._store,
            station=config.station.id,
            zone=ZoneInfo(config.station.timezone),
            clock=self._clock,
            faults=self.faults,
            log=self._log,
        )

    def _reader(self) -> Reader:
        return Reader(self._path, on_damage=self._store.suspect)

    # --- what the control socket is asked

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        book = BookReader(self._path, on_damage=self._store.suspect)
        reader, config = book.rounds, self.config
        try:
            committed = reader.committed()
            recent = reader.rounds(max(1, committed - _RECENT_ROUNDS), committed, limit=_RECENT_ROUNDS + 1)
            newest = {each.layout.meter: each for each in recent}
            intakes = standings(config.intakes, self._store.accounts(), recent, book, clock=self._clock)
            faults = [
                {"code": row.code, "place": row.place, "count": row.count, "evidence": row.evidence,
                 "began": None if row.began_at_ms is None else _iso(row.began_at_ms)}
                for row in reader.faults(open_only=True)
            ]  # fmt: skip
        finally:
            book.close()
        meters = {name: told for poller in list(self._pollers.values()) for name, told in poller.meters().items()}
        from importlib.metadata import version  # noqa: PLC0415 - 2 MB that only a status needs

        return {
            "station": self.config.station.id,
            "version": version("qushui"),
            "clock": {
                "now": self._clock.now().isoformat(timespec="milliseconds"),
                "synced": self._clock.synced,
                "source": self._clock.source,
            },
            "dial_ins": self._dial_ins.snapshot(),
            "lines": {name: poller.snapshot() for name, poller in list(self._pollers.items())},
            "meters": {name: {**_told(newest.get(name)), **told} for name, told in meters.items()},
            "intakes": intakes,
            "uplinks": self._outgoing.snapshot(),
            "store": self._store.snapshot(),
            "faults": faults,
        }

    def _read(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = str(arguments.get("meter", ""))
        meter = self.config.meters.get(name)
        if meter is None:
            raise ControlError("UNKNOWN_METER", meter=name, known=" ".join(self.config.meters))
        with line_refusals(meter.line):
            result = self._pollers[meter.line].read(name)
        return self._comparing.told(result, self.config.profiles[meter.profile], arguments)

    def _ask(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = str(arguments.get("line", ""))
        settings, poller = self.config.lines.get(name), self._pollers.get(name)
        if settings is None or poller is None:
            raise ControlError("LINE_NOT_POLLED", line=name, known=" ".join(self._pollers))
        with line_refusals(name):
            return asked(poller, guest_of(arguments, framing=settings.framing))

    def _reload_asked(self, _: dict[str, Any]) -> dict[str, Any]:
        self._reload()
        return {}

    def _clock_set(self, arguments: dict[str, Any]) -> dict[str, Any]:
        ms = arguments.get("at_ms")
        if not isinstance(ms, int):
            raise ControlError("BAD_TIME", value=ms)
        self.set_clock(ms, "manual")
        for name in self.config.uplinks:  # a person has decided
            self.faults.cleared(FaultCode.CLOCK_DISPUTED, f"uplink/{name}")
        return {"now": self._clock.now().isoformat(timespec="milliseconds")}

    def set_clock(self, at_ms: int, source: str) -> None:
        """Takes the time (UTC ms) from somebody who is trusted; from any thread."""
        self._clock.set(date_of(at_ms), source)
        self._log.info("clock.stepped", offset_ms=self._clock.offset_ms, source=source)
        self._date(step=True)

    def ask_restart(self) -> bool:
        """Every line and uplink begins anew within seconds; False within ten minutes of the last time. Any thread.

        Store, accounts and clock go on: nothing that is stored is touched, and the date is not lost.
        """
        if self._clock.monotonic() < self._restarted_s + _RESTART_S:
            return False
        self._restarted_s = self._clock.monotonic()
        self._restart_asked.set()
        return True

    def _restart(self) -> None:
        self._restart_asked.clear()
        self._log.info("station.restarted")
        self._stop_lines(list(self._pollers))
        self._outgoing.restart()
        for name in self.config.lines:
            self._start_line(name)

    def _clock_broadcast(self, arguments: dict[str, Any]) -> dict[str, Any]:
        from agent.broadcasting import broadcast  # noqa: PLC0415 - with its protocol, for those who ask for it

        return broadcast(self.config, self._pollers, self._clock, arguments)


class _Judged:
    """The store as lines see it: rounds are judged on the way. A meter has one line, so their order is kept."""

    def __init__(self, store: Store, judge: Judge) -> None:
        self._store = store
        self._judge = judge
        self.begin_poll = store.begin_poll
        self.end_poll = store.end_poll

    def append(self, found: Round) -> int:
        return self._store.append(self._judge(found))


def _line_of(config: Config, name: str) -> tuple[object, ...]:
    """Everything that a line's worker was made from."""
    meters = [meter for meter in config.meters.values() if meter.line == name]
    profiles = [config.profiles[meter.profile].version for meter in meters]
    return (config.lines.get(name), meters, profiles)


def _told(found: StoredRound | None) -> dict[str, Any]:
    if found is None:
        return {"at": None, "id": None, "values": {}, "quality": {}}
    values: dict[str, object] = dict(zip(found.layout.quantities, found.texts, strict=True))
    if "status" in values and values["status"] is not None:
        bits = int(str(values["status"]))
        values["status"] = [flag for at, flag in enumerate(found.layout.flags) if bits >> at & 1]
    return {
        "at": None if found.at_ms is None else _iso(found.at_ms),
        "id": found.id,
        "values": values,
        "quality": {quantity: list(reasons) for quantity, reasons in (found.quality or {}).items()},
    }


def _iso(ms: int) -> str:
    return date_of(ms).isoformat(timespec="milliseconds")
