"""A read beside the display: what is still UNCONFIRMED, and the record of a number that agreed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger

from agent import confirmation
from agent.clock import SystemClock
from agent.control import ControlError
from agent.model import Reason
from agent.qualify import Judge
from agent.settings import Profile, StoreSettings
from agent.store.confirmations import Confirmation, settled_in
from agent.store.database import StoreHeldError
from agent.store.store import Store

Settled = Callable[[str, str], frozenset[str]]
Keep = Callable[[Sequence[Confirmation]], bool]


def compared(
    result: dict[str, Any], profile: Profile, arguments: Mapping[str, Any], *, settled: Settled, keep: Keep
) -> dict[str, Any]:
    """The result of a read with its doubts, and with `comparison` where `arguments` say what the display `shows`.

    `settled` gives what was compared for a meter and a profile's version; `keep` records what agrees now and says
    whether it is on disk. Raises ControlError.
    """
    meter, values = result["meter"], result["values"]
    doubts = confirmation.doubts(profile.doubtful, settled(meter, profile.version))
    told = dict(result)
    shows = arguments.get("shows")
    if shows is not None:
        shown = confirmation.shown_number(str(shows))
        if shown is None:
            raise ControlError("BAD_SHOWN", value=str(shows))
        found = confirmation.matched(values, shown)
        who = str(arguments.get("who", ""))
        new = [
            Confirmation(meter, profile.name, profile.version, name, str(shows), values[name], who)
            for name in found
            if name in doubts
        ]
        is_kept = keep(new) if new else True
        doubts = confirmation.doubts(doubts, [each.quantity for each in new])
        told["comparison"] = {
            "shows": str(shows),
            "matched": list(found),
            "confirmed": [each.quantity for each in new],
            "recorded": is_kept,
            "unconfirmed": sorted(doubts),
        }
    quality = {name: list(reasons) for name, reasons in result["quality"].items()}
    for name in values:
        if name in doubts and values[name] is not None:
            quality[name] = [*quality.get(name, ()), Reason.UNCONFIRMED.value]
    return {**told, "quality": quality}


class Comparing:
    """Comparisons in a running station: recorded in its store, and no longer held against later rounds."""

    def __init__(self, store: Store, judge: Judge, *, log: FilteringBoundLogger) -> None:
        self._store = store
        self._judge = judge
        self._log = log

    def doubts(self, meter: str, profile: Profile) -> frozenset[str]:
        """What is UNCONFIRMED of this meter now."""
        return confirmation.doubts(profile.doubtful, self._store.confirmations.settled(meter, profile.version))

    def told(self, result: dict[str, Any], profile: Profile, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """As `compared`. Raises ControlError."""
        told = compared(result, profile, arguments, settled=self._store.confirmations.settled, keep=self._keep)
        if "comparison" in told:
            self._judge.doubts(result["meter"], profile.version, self.doubts(result["meter"], profile))
        return told

    def _keep(self, new: Sequence[Confirmation]) -> bool:
        """After true a kill or a power cut does not lose them; after false they wait for a disk that takes them."""
        _record(self._store, new, self._log)
        return self._store.flush()


class DirectComparing:
    """The same without a daemon: the store is opened for as long as it takes to record what agreed."""

    def __init__(self, settings: StoreSettings, *, clock: SystemClock, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._path = Path(settings.path)
        self._clock = clock
        self._log = log

    def told(self, result: dict[str, Any], profile: Profile, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """As `compared`. Raises ControlError."""
        return compared(result, profile, arguments, settled=self._settled, keep=self._keep)

    def _settled(self, meter: str, version: str) -> frozenset[str]:
        return settled_in(self._path, meter, version)

    def _keep(self, new: Sequence[Confirmation]) -> bool:
        settings = self._settings
        store = Store(
            self._path,
            clock=self._clock,
            log=self._log,
            keep_s=settings.keep_s,
            max_bytes=settings.max_size,
            free_bytes=settings.free_disk,
        )
        try:
            store.open()
        except (StoreHeldError, OSError) as error:
            raise ControlError("STORE_CLOSED", path=str(self._path), detail=str(error)) from error
        try:
            if self._clock.synced:
                store.date_boot(self._clock.offset_ms, self._clock.source)
            _record(store, new, self._log)
            return store.flush()
        finally:
            store.close()
            hand_over(self._path)


def _record(store: Store, new: Sequence[Confirmation], log: FilteringBoundLogger) -> None:
    for each in new:
        store.confirmations.add(each)
        log.info("reading.confirmed", **each._asdict())


def hand_over(path: Path) -> None:
    """What root has made here belongs to whom the directory belongs to: the daemon must be able to write it."""
    owner = path.parent.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for file in path.parent.glob(f"{path.name}*"):
            os.chown(file, owner.st_uid, owner.st_gid)
