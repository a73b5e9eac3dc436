"""How the intakes of a running station stand: what `status` says of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from agent.clock import Clock, date_of
from agent.intakes.settings import IntakeSettings
from agent.model import INTAKE, StoredRound
from agent.store.book_reader import BookReader

_MS_PER_S = 1000
_OPEN_MS = 26 * 3_600_000  # readings of so long may follow the last closed hour: a silent register is waited for a day
_FLOW, _WITHDRAWN = "flow_rate", "volume_withdrawn"


def standings(
    intakes: Mapping[str, IntakeSettings],
    accounts: Mapping[str, Mapping[str, Any]],
    recent: Iterable[StoredRound],
    book: BookReader,
    *,
    clock: Clock,
) -> dict[str, dict[str, Any]]:
    """By intake: code, title, account (state, backlog), the newest reading, today's volume in m³, open findings."""
    newest = {each.layout.meter: each for each in recent if _is_running(each)}
    return {
        name: {
            "code": intake.code,
            "title": intake.title,
            **accounts.get(name, {}),
            **_water(newest.get(name) or _before(book, name, clock), intake, book),
            "findings": [
                {"rule": event.rule, "subject": event.subject, "quantity": event.quantity, "level": event.level,
                 "began": _iso(event.began_ms)}
                for event in book.events(name, open_only=True)
            ],
        }
        for name, intake in intakes.items()
    }  # fmt: skip


def _is_running(found: StoredRound) -> bool:
    """Whether it is a reading of an intake itself, no closing of an hour."""
    return found.layout.protocol == INTAKE and _FLOW in found.layout.quantities


def _before(book: BookReader, intake: str, clock: Clock) -> StoredRound | None:
    """The newest of its rounds; looked for where it must be, since all that came after may be millions of rounds."""
    now_ms, reach = clock.boot_ms() + clock.offset_ms, book.reach(intake)
    return book.at(intake, now_ms if reach is None else min(now_ms, reach[1] + _OPEN_MS))


def _water(found: StoredRound | None, intake: IntakeSettings, book: BookReader) -> dict[str, Any]:
    """The newest reading, and what was withdrawn since local midnight of its day."""
    if found is None or found.at_ms is None:
        return {"at": None, "values": {}, "quality": {}, "today_m3": None}
    values = dict(zip(found.layout.quantities, found.texts, strict=True))
    return {
        "at": _iso(found.at_ms),
        "values": values,
        "quality": {quantity: list(reasons) for quantity, reasons in (found.quality or {}).items()},
        "today_m3": _since_midnight(found.at_ms, values.get(_WITHDRAWN), intake, book),
    }


def _since_midnight(at_ms: int, total: str | None, intake: IntakeSettings, book: BookReader) -> str | None:
    """None where the total is not known now or was not at midnight; all of it on the account's first day."""
    if total is None:
        return None
    today = date_of(at_ms).astimezone(intake.zone).date()
    midnight = datetime.combine(today, time(), intake.zone)
    midnight_ms = round(midnight.timestamp() * _MS_PER_S)
    reach = book.reach(intake.name)
    if reach is None or reach[0] > midnight_ms:
        return total
    closing = book.at(intake.name, midnight_ms, midnight_ms)
    if closing is None:
        return None
    values = dict(zip(closing.layout.quantities, closing.texts, strict=True))
    before = values.get(_WITHDRAWN)
    return None if before is None else format(Decimal(total) - Decimal(before), "f")


def _iso(ms: int) -> str:
    return date_of(ms).isoformat(timespec="milliseconds")
