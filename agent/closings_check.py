"""Whether the closings of a file are those that its sealed readings tell.

Strategy: closings themselves are not sealed, but each was told as a reading of its intake, which is a round and sealed,
and its proof names the hash of the closing. A report is made from the newest closing of an hour, so that one must be
what the newest such round says. Rounds are walked once, by number; only hours that were settled anew are remembered
until their newest round comes by.
Readings from before their proof named the hash tell only the volume. In a gap too long for a boundary that is the
hourly view, which is pro rata, and the report uses what one end of the gap says: then the view must be the reading's,
and of one register the settled volume that of an end.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal, DecimalException
from typing import Any, NamedTuple

from agent.model import INTAKE
from agent.store.packing import unpack, unpack_raw

_TOTAL, _HOUR = "volume_withdrawn", "volume_hour"
_CLOSING = "SELECT body FROM closing WHERE intake = ? AND at_ms = ? ORDER BY revision DESC LIMIT 1"


class Altered(NamedTuple):
    """A closing that is not what was told of its hour: `number` of the round that tells it, and both volumes in m³.

    Where the volumes are the same, or one of them is none, `told` and `found` are the hashes of the closing's body.
    """

    number: int
    intake: str
    at_ms: int
    told: str
    found: str


def altered_closings(connection: sqlite3.Connection, spell: Callable[[int], tuple[int | None, Any]]) -> list[Altered]:
    """All of them, by intake and hour. `spell` gives the offset (ms) of a round's boot and where that ends."""
    pending: dict[tuple[str, int], Altered] = {}
    for number, intake, at_ms, volume, sha256 in _told(connection, spell):
        try:
            row = connection.execute(_CLOSING, (intake, at_ms)).fetchone()
        except ValueError:  # a name that is no text; its layout is broken, and says so
            continue
        if row is None or (volume is None and not sha256):
            continue
        found, body_sha256 = _volume_of(row[0]), hashlib.sha256(str(row[0]).encode()).hexdigest()
        is_same = volume is not None and _same(found, volume)
        if body_sha256 == sha256 or (is_same and not sha256):
            pending.pop((intake, at_ms), None)
        else:
            both = (sha256, body_sha256) if is_same or not (volume and found) else (volume, found)
            pending[intake, at_ms] = Altered(number, intake, at_ms, *both)
    return [pending[key] for key in sorted(pending)]


def _told(
    connection: sqlite3.Connection, spell: Callable[[int], tuple[int | None, Any]]
) -> Iterator[tuple[int, str, int, str | None, str]]:
    """Round, intake, hour (UTC ms), total, and hash of the closing, of each reading that tells one, by number.

    The total is None where an hour is open again.
    """
    query = "SELECT id, meter, quantities FROM layout WHERE protocol = ?"
    places: dict[int, tuple[str, int]] = {}
    for number, meter, names in connection.execute(query, (INTAKE,)):
        quantities = str(names).split(",")
        if _TOTAL in quantities and _HOUR in quantities:
            places[number] = (meter, quantities.index(_TOTAL))
    until, offset_ms = 0, None
    marks = ", ".join("?" * len(places))
    query = f"SELECT number, layout, boot_ms, body, raw FROM round WHERE layout IN ({marks}) ORDER BY number"  # noqa: S608  # marks only
    for number, layout, boot_ms, body, raw in connection.execute(query, tuple(places)):
        if number >= until:
            offset_ms, end = spell(number)
            until = (1 << 62) if end is None else end
        meter, place = places[layout]
        texts = unpack(body)
        if offset_ms is not None and place < len(texts):
            yield number, meter, boot_ms + offset_ms, texts[place], _hash_in(raw)


def _hash_in(raw: bytes) -> str:
    """The hash of the closing that a reading's proof names; "" where it names none."""
    try:
        return str(json.loads(unpack_raw(raw)[0]).get("closing", ""))
    except (ValueError, LookupError, AttributeError):  # a proof that is none; its round is broken, and says so
        return ""


def _volume_of(body: str) -> str:
    """The volume of a closing as its reading should tell it; "" where there is none."""
    try:
        closing = json.loads(body)
        settled = str(closing["settled"]["volume"])
        view = str(closing.get("view", settled))
        ends = [str(closing[end]["volume"]) for end in ("before", "after") if end in closing]
        is_alone = len(closing["registers"]) == 1
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    is_an_end = any(_same(settled, end) for end in ends)
    return view if not is_alone or is_an_end or _same(view, settled) else settled


def _same(found: str, told: str) -> bool:
    try:
        return Decimal(found) == Decimal(told)
    except DecimalException:
        return False
