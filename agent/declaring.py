"""What people declare, and readings they took by hand: into the books of the running station, or of a stopped one.

Strategy: the daemon owns the store, so it is asked first; without one the store is opened here for as long as it takes.
Both ways go through `Declarations`, so that both refuse the same and nothing is answered that is not on the disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from agent import logs
from agent.client import Site
from agent.clock import Clock, SystemClock
from agent.comparing import hand_over
from agent.control import ControlError, DaemonAwayError, Handler
from agent.messages import Messages
from agent.model import MANUAL, Layout, Round
from agent.quantities import QUANTITIES
from agent.settings import Config
from agent.store.database import StoreHeldError
from agent.store.reader import Reader
from agent.store.store import Store

KINDS = frozenset(
    {"coefficient", "replacement", "decision", "acknowledgement", "archive", "frozen", "withdrawal", "nameplate"}
)
"""What may be declared from outside; a reading has a verb of its own."""

_VERSION = "00000000"  # no profile: a person read it
_DAY_MS = 86_400_000
_MOST_NAME = 100
_TIMEOUT_S = 30.0  # the disk may be slow


class Declarations:
    """Takes declarations into a store. After an answer a kill or a power cut does not lose them."""

    def __init__(self, store: Store, *, clock: Clock, period_ms: Callable[[str], int | None]) -> None:
        """`period_ms`: how often a meter is read, None for one that is not configured."""
        self._store = store
        self._clock = clock
        self._period_ms = period_ms

    def handlers(self) -> dict[str, Handler]:
        """The verbs of the control socket."""
        return {"declare": self.declare, "enter-reading": self.enter_reading}

    def declare(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A row of the ledger: `kind`, `subject`, `at_ms`, `body`, `who`. Gives its `id`. Raises ControlError."""
        match arguments:
            case {"kind": str(kind), "subject": str(subject), "at_ms": int() | None as at_ms, "body": dict(body),
                  "who": str(who)} if kind in KINDS and _is_name(subject) and _is_name(who):  # fmt: skip
                if kind == "frozen":  # in the commit that stores it, what it rests on is out of retention's reach
                    for first, last in _stretches(body.get("keep", [])):
                        self._store.keep(first, last, f"frozen {subject}")
                row = self._store.declare(kind, subject, at_ms, body, who)
            case _:
                raise ControlError("BAD_DECLARATION")
        self._settle()
        return {"id": row}

    def enter_reading(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A reading taken by hand: `meter`, `quantity`, `value`, `at_ms`, `who`, `photo`, `note`.

        Becomes a round of the meter and a row of the ledger with its evidence; gives both ids. Raises ControlError.
        """
        match arguments:
            case {"meter": str(meter), "quantity": str(quantity), "value": str(value), "at_ms": int(at_ms),
                  "who": str(who), "photo": list(photo)} if _is_name(who) and quantity in QUANTITIES:  # fmt: skip
                note = str(arguments.get("note", ""))
            case _:
                raise ControlError("BAD_READING")
        period_ms = self._period_ms(meter)
        if period_ms is None:
            raise ControlError("UNKNOWN_METER", meter=meter, known="")
        if not self._clock.synced:
            raise ControlError("CLOCK_UNTRUSTED")
        evidence = {"quantity": quantity, "value": value, "photo": photo} | ({"note": note} if note else {})
        raw = json.dumps({**evidence, "who": who}, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        polled = Round(
            layout=_layout(meter, quantity, period_ms),
            boot_ms=0,
            values=(_value(value),),
            quality={},
            raw=(raw,),
        )
        number = self._store.append(polled, at_ms=at_ms)
        self._settle()  # its id is that of the file it is in
        with closing(Reader(self._store.path)) as reader:
            round_id = f"{reader.epoch}-{number}"
        row = self._store.declare("reading", meter, at_ms, {**evidence, "round": round_id}, who)
        self._settle()
        return {"id": row, "round": round_id}

    def _settle(self) -> None:
        if not self._store.flush():
            raise ControlError("NOT_ON_DISK")


def _stretches(given: object) -> list[tuple[int, int]]:
    """Stretches of round numbers, first … last. Raises ControlError for anything else."""
    found = []
    for each in given if isinstance(given, list) else [given]:
        match each:
            case [int(first), int(last)] if 0 < first <= last:
                found.append((first, last))
            case _:
                raise ControlError("BAD_DECLARATION")
    return found


def period_of(config: Config, meter: str) -> int | None:
    """How often a meter is polled, or read by hand, ms; None when there is none of that name."""
    if meter in config.meters:
        return config.meters[meter].poll_ms
    return config.manual[meter].period_ms if meter in config.manual else None


def _is_name(text: str) -> bool:
    return 0 < len(text.strip()) <= _MOST_NAME


def _value(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ControlError("BAD_READING") from error
    if not value.is_finite() or value < 0:
        raise ControlError("BAD_READING")
    return value


def _layout(meter: str, quantity: str, period_ms: int) -> Layout:
    return Layout(
        meter=meter,
        profile=MANUAL,
        version=_VERSION,
        protocol=MANUAL,
        address="",
        quantities=(quantity,),
        flags=(),
        period_ms=period_ms or _DAY_MS,
        requests=(b"",),
    )


class Declaring:
    """The books of a site as a command reaches them. Raises ControlError, PermissionError as `agent.control.call`."""

    def __init__(self, site: Site, config: Config) -> None:
        self._site = site
        self._config = config

    def declare(self, kind: str, subject: str, at_ms: int | None, body: Mapping[str, Any], who: str) -> dict[str, Any]:
        """As `Declarations.declare`."""
        arguments = {"kind": kind, "subject": subject, "at_ms": at_ms, "body": dict(body), "who": who}
        return self._carried_out("declare", arguments)

    def enter_reading(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """As `Declarations.enter_reading`."""
        return self._carried_out("enter-reading", arguments)

    def _carried_out(self, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return dict(self._site.ask(verb, arguments, timeout_s=_TIMEOUT_S))
        except DaemonAwayError:
            return self._directly(verb, arguments)

    def _directly(self, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        clock = SystemClock(self._config.clock.trust)
        clock.refresh()
        settings, path = self._config.store, Path(self._config.store.path)
        store = Store(
            path,
            clock=clock,
            log=logs.set_up(level="warning"),
            keep_s=settings.keep_s,
            max_bytes=settings.max_size,
            free_bytes=settings.free_disk,
        )
        try:
            store.open()
        except (StoreHeldError, OSError) as error:
            raise ControlError("BOOKS_CLOSED", path=str(path), detail=str(error)) from error
        try:
            if clock.synced:
                store.date_boot(clock.offset_ms, clock.source)
            declarations = Declarations(store, clock=clock, period_ms=lambda meter: period_of(self._config, meter))
            carry_out = declarations.declare if verb == "declare" else declarations.enter_reading
            return carry_out(arguments)
        finally:
            store.close()
            hand_over(path)


def store_refusal(error: Exception, site: Site, out: Messages) -> str:
    """Why the database cannot be read, and what to do."""
    match error:
        case FileNotFoundError():
            return out.text("cli.no_store", path=site.store, config=site.config)
        case PermissionError():
            return out.text("cli.not_permitted")
        case _:
            return out.text("cli.store_unreadable", path=site.store, detail=error)
