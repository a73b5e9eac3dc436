"""The workers of all uplinks: those that stream every round and those that send composed reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.clock import Clock
from agent.control import ControlError
from agent.forward.forwarder import Forwarder
from agent.settings import Config
from agent.store.book_reader import BookReader
from agent.store.outbox_reader import OutboxReader
from agent.store.reader import Reader
from agent.store.store import Store
from agent.supervise import Supervisor
from agent.uplinks.registry import CENTRES, UPLINKS

if TYPE_CHECKING:  # stations without a centre do without its codec and its memory
    from agent.uplinks.reporting.commands import Orders
    from agent.uplinks.reporting.worker import ReportWorker

_SLACK_S = 120.0  # a name server cannot be bounded
_STOP_S = 8.5


class Outgoing:
    """Starts, changes and stops the uplinks of one station. Used from the main thread, but for what `status` asks."""

    def __init__(
        self,
        *,
        store: Store,
        supervisor: Supervisor,
        clock: Clock,
        log: Any,
        orders: Orders,
    ) -> None:
        """`orders` is what a platform may move of the station."""
        self._store = store
        self._supervisor = supervisor
        self._clock = clock
        self._log = log
        self._orders = orders
        self._workers: dict[str, Forwarder | ReportWorker] = {}
        self._config: Config

    def make(self, config: Config) -> None:
        """Makes those that are not there; what is on disk by then may have been delivered before."""
        self._config = config
        for name, settings in config.uplinks.items():
            if name not in self._workers:
                self._workers[name] = self._worker(name, settings, config)

    def start(self) -> None:
        """Starts those that do not run."""
        for name, worker in self._workers.items():
            if not self._supervisor.has(f"uplink:{name}"):
                self._supervisor.start(f"uplink:{name}", worker.run, slack_s=_SLACK_S)

    def stop(self) -> None:
        """Ends all: each drains what it can, at the same time."""
        self._end(list(self._workers))

    def take_up(self, before: Config, config: Config) -> None:
        """Goes over to another configuration, touching only what differs. A centre's reports depend on the intakes."""
        is_other = before.station != config.station
        changed = [name for name in self._workers if is_other or _sent_by(before, name) != _sent_by(config, name)]
        self._end(changed)
        self.make(config)
        self.start()

    def restart(self) -> None:
        """Ends all as `stop` does, and begins anew."""
        self.stop()
        self.make(self._config)
        self.start()

    def snapshot(self) -> dict[str, dict[str, object]]:
        """How each stands; of a centre also how many of this month's reports came, and came in time."""
        found = {name: worker.snapshot() for name, worker in list(self._workers.items())}
        centres = {name: each for name, each in self._config.uplinks.items() if each.type in CENTRES}
        for name in centres.keys() & found.keys():
            found[name] |= self._rates(name, centres[name])
        return found

    def _rates(self, name: str, settings: Any) -> dict[str, Any]:
        from agent.rates import intervals_of, rates_of  # noqa: PLC0415 - stations without a centre do without

        path, suspect = self._store.path, self._store.suspect
        reader, book = OutboxReader(path, on_damage=suspect), BookReader(path, on_damage=suspect)
        try:
            intervals, zone = intervals_of(book, name, settings), self._config.station.timezone
            return rates_of(reader, name, settings, intervals=intervals, timezone=zone, clock=self._clock)
        finally:
            reader.close()
            book.close()

    def retry(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Puts parked rounds or reports back. Raises ControlError."""
        name, number = str(arguments.get("uplink", "")), arguments.get("number")
        try:
            wanted = None if number is None else int(number)
            if name in self._store.outbox.names():
                return {"retried": self._retry_reports(name, wanted)}
            return {"retried": self._store.retry_parked(name, wanted)}
        except (KeyError, ValueError) as error:
            if number is None:
                raise ControlError("UNKNOWN_UPLINK", uplink=name) from error
            raise ControlError("UNKNOWN_ROW", uplink=name, number=number) from error

    def drop(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Forgets what a removed uplink owed: reports, rounds, or both where its type changed. Raises ControlError."""
        name = str(arguments.get("uplink", ""))
        if name in self._workers:
            raise ControlError("UPLINK_IN_USE", uplink=name)
        reports = self._store.outbox.drop(name) if name in self._store.outbox.names() else None
        try:
            rounds = self._store.drop(name)
        except KeyError as error:
            if reports is None:
                raise ControlError("UNKNOWN_UPLINK", uplink=name) from error
            rounds = 0
        return {"dropped": (reports or 0) + rounds}

    def _retry_reports(self, name: str, number: int | None) -> int:
        reader = OutboxReader(self._store.path, on_damage=self._store.suspect)
        try:
            parked = [row.waiting for row in reader.rows(name, state="parked", limit=100_000)]
        finally:
            reader.close()
        chosen = [row for row in parked if number is None or row.tag == number]
        if number is not None and not chosen:
            raise KeyError(number)
        return sum(self._store.outbox.retry(row) for row in chosen)

    def _end(self, names: list[str]) -> None:
        for name in names:
            self._supervisor.ask_to_stop(f"uplink:{name}")
        for name in names:
            self._supervisor.join(f"uplink:{name}", _STOP_S)
            del self._workers[name]

    def _worker(self, name: str, settings: Any, config: Config) -> Forwarder | ReportWorker:
        if settings.type in CENTRES:
            from agent.centres import make_worker  # noqa: PLC0415 - see above

            return make_worker(
                name, config=config, store=self._store, clock=self._clock, log=self._log, orders=self._orders
            )
        uplink = UPLINKS[settings.type].make(name, settings=settings, station=config.station, clock=self._clock)
        self._store.begin_cursor(name)
        path = Path(config.store.path)
        return Forwarder(
            name,
            uplink=uplink,
            reader_factory=lambda: Reader(path, on_damage=self._store.suspect),
            store=self._store,
            clock=self._clock,
            log=self._log,
            faults=self._store.faults,
            settings=settings,
        )


def _sent_by(config: Config, name: str) -> tuple[object, ...]:
    """Everything that an uplink's worker was made from."""
    settings = config.uplinks.get(name)
    if settings is None or settings.type not in CENTRES:
        return (settings,)
    intakes = [config.intakes.get(intake) for intake in settings.intakes.values()]
    return settings, intakes, [(meter.name, meter.poll_ms, meter.quantities) for meter in config.meters.values()]
