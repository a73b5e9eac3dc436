"""What a configuration becomes in the books: its intakes' accounts, and the rows that say it was taken up.

Strategy: accounts and rules are loaded only where there are intakes; a station that only reads meters does not pay for
them. A row of kind `config` is added when a configuration is taken up and differs from the last one, a row of kind
`archive` for each metering archive that is new or has changed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from agent.archive.record import archive_entries
from agent.clock import Clock
from agent.intakes.settings import IntakeSettings
from agent.settings import Config
from agent.store.book import Account, Intake
from agent.store.book_reader import BookReader
from agent.store.store import Store

if TYPE_CHECKING:
    from agent.reminding import Reminding
    from agent.report.slots import Intervals
    from agent.uploads import Uploads

WHO = "qushui"
_VERSION_DIGITS = 8


def open_books(store: Store, config: Config) -> None:
    """Has the store account for the water of the configured intakes, and of no others."""
    if not config.intakes:
        store.keep_books((), fault_of=lambda *_: None)
        return
    from agent.rules.faults import fault_of  # noqa: PLC0415 - not without intakes

    store.keep_books([intake_of(each) for each in config.intakes.values()], fault_of=fault_of)


def uploads_of(store: Store, config: Config, *, clock: Clock, log: Any) -> Uploads:
    """What watches over the arrival of what the configured intakes owe their platforms."""
    from agent.uplinks.registry import CENTRES  # noqa: PLC0415 - not without intakes
    from agent.uploads import Centre, Uploads  # noqa: PLC0415 - not without intakes

    def intervals(name: str, options: Any) -> Callable[[BookReader], Intervals]:
        from agent.rates import intervals_of  # noqa: PLC0415 - not without a centre

        return lambda book: intervals_of(book, name, options)

    centres = {name: each for name, each in config.uplinks.items() if each.type in CENTRES}
    return Uploads(
        store.path,
        intakes=config.intakes,
        uplinks=[name for name in config.uplinks if name not in centres],
        centres={
            name: Centre(intervals(name, each), frozenset(each.intakes.values())) for name, each in centres.items()
        },
        clock=clock,
        faults=store.faults,
        log=log,
        on_damage=store.suspect,
    )


def reminding_of(store: Store, config: Config, *, clock: Clock, log: Any) -> Reminding:
    """What reminds people of the quarters that are not frozen."""
    from agent.reminding import Reminding  # noqa: PLC0415 - not without intakes

    return Reminding(
        store.path,
        station=config.station,
        intakes=config.intakes,
        clock=clock,
        faults=store.faults,
        log=log,
        on_damage=store.suspect,
    )


def intake_of(settings: IntakeSettings) -> Intake:
    """The intake as the store needs it."""
    version = hashlib.sha256(repr(settings).encode()).hexdigest()[:_VERSION_DIGITS]
    return Intake(
        name=settings.name,
        code=settings.code,
        version=version,
        meters=settings.meters,
        open=_opener(settings),
    )


def _opener(settings: IntakeSettings) -> Callable[[str | None], Account]:
    from importlib.metadata import version  # noqa: PLC0415 - not without intakes

    from agent.intakes.account import Account as IntakeAccount  # noqa: PLC0415 - not without intakes
    from agent.rules.engine import RuleEngine  # noqa: PLC0415 - not without intakes

    software = version("qushui")

    def rules(text: str | None) -> RuleEngine:
        return RuleEngine(settings, text)

    def opened(text: str | None) -> Account:
        if text is None:
            return IntakeAccount.begin(settings, software=software, rules=rules)
        return IntakeAccount.load(settings, text, software=software, rules=rules)

    return opened


def enter_configuration(store: Store, config: Config, *, at_ms: int | None, log: Any) -> bool:
    """Tells the ledger a configuration that is taken up at `at_ms` (UTC; None: nobody knows the time) and is new.

    Only what intakes rest on is told: without intakes nothing is. Rides on the next commit; where a kill loses it, the
    next start tells it. False where the ledger could not be read: to be called again, the store repairs itself.
    """
    if not config.intakes:
        return True
    try:
        with closing(BookReader(store.path, on_damage=store.suspect)) as book:
            before = {row.subject: row.body for row in book.ledger("config")}
            archives = {row.subject: row.body for row in book.ledger("archive")}
    except (sqlite3.Error, OSError) as error:
        log.warning("config.not_entered", error=str(error))
        return False
    body = _body_of(config)
    if before.get(config.station.id) != body:
        store.declare("config", config.station.id, at_ms, body, WHO)
    for intake, entry in archive_entries(config, archives):
        store.declare("archive", intake, at_ms, entry, WHO)
    return True


def _body_of(config: Config) -> dict[str, Any]:
    return {
        "sha256": hashlib.sha256(config.text.encode()).hexdigest(),
        "text": config.text,
        "profiles": {name: profile.version for name, profile in sorted(config.profiles.items())},
    }
