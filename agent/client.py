"""The station as a command sees it: where its store and its daemon's socket are, and what time it is there.

A daemon goes on with the last configuration that passed, so the verbs that ask it, or look into its store, need of the
file only what is said here and take the default where even that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.clock import date_of
from agent.control import call, socket_path
from agent.loading import DEFAULT_CONFIG

__all__ = ["DEFAULT_CONFIG", "Site", "site_of"]

_DEFAULT_STORE = Path("/var/lib/qushui/qushui.db")
_DEFAULT_TIMEZONE = "Asia/Shanghai"
_YEARS = range(2024, 2100)  # another one is a slip of the finger, and water would be booked under it


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One station on this board: its configuration file, its database, its local time.

    `manual` are the meters that people read, each with the first quantity that they enter.
    """

    config: Path
    store: Path
    timezone: tzinfo
    manual: Mapping[str, str] = field(default_factory=dict)

    def ask(self, verb: str, arguments: Mapping[str, object] | None = None, *, timeout_s: float = 10.0) -> Any:
        """What the running daemon answers. Raises as `agent.control.call` does."""
        return call(socket_path(self.store), verb, arguments or {}, timeout_s)

    def local(self, at: str | int | None) -> str:
        """A moment (ISO text, or UTC ms since 1970) in the station's time, to the second; "" for None."""
        if at is None:
            return ""
        moment = datetime.fromisoformat(at) if isinstance(at, str) else date_of(at)
        return moment.astimezone(self.timezone).strftime("%Y-%m-%d %H:%M:%S")

    def moment(self, text: str) -> datetime | None:
        """The moment that `2026-11-21 08:00:00` (station's time) or ISO 8601 with an offset means; None if neither."""
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        if moment.year not in _YEARS:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=self.timezone)


def site_of(config: Path) -> Site:
    """What the file says, as far as it can be read."""
    import yaml  # noqa: PLC0415 - the daemon takes only the default path from this module

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        document = yaml.load(config.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        document = None
    store, timezone = _DEFAULT_STORE, _DEFAULT_TIMEZONE
    match document:
        case {"store": {"path": str(path)}}:
            store = Path(path)
    match document:
        case {"station": {"timezone": str(name)}}:
            timezone = name
    manual = {}
    match document:
        case {"meters": dict(meters)}:
            manual = dict(_read_by_hand(meters))
    return Site(config=config, store=store, timezone=_zone(timezone), manual=manual)


def _read_by_hand(meters: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for name, meter in meters.items():
        match meter:
            case {"manual": [str(quantity), *_]}:
                yield str(name), quantity


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # KeyError: no such zone
        return ZoneInfo(_DEFAULT_TIMEZONE)
