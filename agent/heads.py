"""When the chain's head is signed: each local day, and for each frozen report. The key is made at the first start.

Strategy: the main thread looks once a second and never waits. What is due goes through three steps: the store seals
all it has, a short-lived process signs that seal's hash, the signed head is declared to the ledger, whence platforms
get it. A kill on the way costs nothing: what is due is seen from the ledger, and begins again. A ledger that cannot be
read ends nothing: the store repairs a damaged file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from agent.clock import Clock
from agent.faults import FaultCode, FaultSink
from agent.signing import KeyUnusableError, Signed, Signing, fingerprint, key_place, sign, signed_text
from agent.store.reader import Reader
from agent.store.seals import Seal

FORM = 1
WHO = "qushui"
_AGAIN_S = 600.0  # after a key that could not be used
_UNREAD_S = 10.0  # after a ledger that could not be read
_PLACE = "store"
_NEWEST = "SELECT id, subject, json_extract(body, '$.key') FROM ledger WHERE kind = ? ORDER BY id DESC LIMIT 1"


class Chain(Protocol):
    """What is needed of the store."""

    @property
    def newest_seal(self) -> Seal:
        """The last committed seal."""
        ...

    @property
    def is_seal_due(self) -> bool:
        """Whether what `seal_soon` asked for is still to come."""
        ...

    def seal_soon(self) -> None:
        """Has everything sealed that is committed, with the next commit or within some seconds."""
        ...

    def declare(self, kind: str, subject: str, at_ms: int | None, body: Mapping[str, Any], who: str) -> int:
        """Adds a row to the ledger with the next commit."""
        ...

    def suspect(self) -> None:
        """The file was found damaged: it is checked before the next commit."""
        ...


class _Known(NamedTuple):
    """What the ledger says: the newest key; the newest head's row, day and key; the newest frozen report's row."""

    key: str
    head: int
    day: str
    signer: str
    frozen: int


def head_of(seal: Seal, *, station: str, day: str, key: str) -> dict[str, Any]:
    """What is signed of a seal, for a local day (ISO) by the key with this fingerprint."""
    return {
        "form": FORM, "station": station, "day": day, "key": key,
        "seal": seal.id, "last": seal.last, "hash": seal.hash,
    }  # fmt: skip


class Heads:
    """Used by the main thread. `zone`: where the day changes."""

    def __init__(
        self, path: Path, *, chain: Chain, station: str, zone: tzinfo, clock: Clock, faults: FaultSink, log: Any
    ) -> None:
        """`path`: the database's."""
        self._path = path
        self._chain = chain
        self._station = station
        self._zone = zone
        self._clock = clock
        self._faults = faults
        self._log = log
        self._public: bytes | None = None  # of the key in use, once a signature has told it
        self._signing: Signing | None = None
        self._head: dict[str, Any] = {}  # what is being signed; empty: only the key is asked for
        self._is_sealing = False
        self._day = ""
        self._looked: tuple[int, str] | None = None  # seal and day of the last look at the ledger
        self._rest_until = 0.0

    def watch(self) -> None:
        """Once a second: takes the next step of whatever is due."""
        try:
            if self._signing is not None:
                if self._signing.is_over:
                    self._take(self._signing)
            elif self._clock.monotonic() >= self._rest_until:
                self._begin()
        except (sqlite3.Error, OSError) as error:
            self._log.warning("heads.unread", error=str(error))
            self._rest_until = self._clock.monotonic() + _UNREAD_S
            self._public = self._looked = None

    def close(self) -> None:
        """Gives up what is under way; the next start begins it again."""
        if self._signing is not None:
            self._signing.stop()
            self._signing = None

    def _begin(self) -> None:
        if self._public is None:
            self._sign({})
            return
        if not self._clock.synced:
            return
        day = self._clock.now().astimezone(self._zone).date().isoformat()
        seal = self._chain.newest_seal
        if not self._is_sealing:
            if self._looked == (seal.id, day):
                return
            known = _known(self._path, self._chain.suspect)
            self._looked = (seal.id, day)
            if known.day == day and known.frozen < known.head and known.signer == fingerprint(self._public):
                return
            self._is_sealing = True
            self._chain.seal_soon()
        elif seal.id and not self._chain.is_seal_due:
            self._is_sealing = False
            self._sign(head_of(seal, station=self._station, day=day, key=fingerprint(self._public)))

    def _sign(self, head: dict[str, Any]) -> None:
        self._head = head
        self._signing = Signing(key_place(self._path), signed_text(head))

    def _take(self, signing: Signing) -> None:
        self._signing = None
        try:
            signed = signing.result()
        except KeyUnusableError as error:
            self._faults.raised(FaultCode.KEY_UNUSABLE, _PLACE, detail=str(error))
            self._rest_until = self._clock.monotonic() + _AGAIN_S
            self._looked = None
            return
        self._faults.cleared(FaultCode.KEY_UNUSABLE, _PLACE)
        if signed.public != self._public:
            self._public = signed.public
            if fingerprint(signed.public) != _known(self._path, self._chain.suspect).key:
                declare_key(self._chain, signed.public)
                self._log.info("key.declared", fingerprint=fingerprint(signed.public))
            if self._head:  # the key was exchanged while we ran: the head names the old one
                self._looked = None
                return
        if self._head:
            declare_head(self._chain, self._head, signed, self._clock.now())
            self._looked = (self._chain.newest_seal.id, str(self._head["day"]))  # the row comes with the next seal
            self._log.info("head.signed", seal=self._head["seal"], day=self._head["day"])


def declare_key(chain: Chain, public: bytes) -> None:
    """Tells the ledger a new key."""
    chain.declare("key", fingerprint(public), None, {"public": public.hex()}, WHO)


def declare_head(chain: Chain, head: Mapping[str, Any], signed: Signed, now: datetime) -> None:
    """Tells the ledger a signed head."""
    body = {**head, "signature": signed.signature.hex()}
    chain.declare("head", str(head["day"]), round(now.timestamp() * 1000), body, WHO)


def sign_now(path: Path, chain: Chain, *, station: str, day: str, now: datetime) -> dict[str, Any]:
    """Signs the newest seal in this process, for a command that has the store to itself; gives the head.

    Commit before and after. Raises KeyUnusableError.
    """
    public = sign(key_place(path), b"").public
    if fingerprint(public) != _known(path, chain.suspect).key:
        declare_key(chain, public)
    head = head_of(chain.newest_seal, station=station, day=day, key=fingerprint(public))
    signed = sign(key_place(path), signed_text(head))
    declare_head(chain, head, signed, now)
    return {**head, "signature": signed.signature.hex()}


def _known(path: Path, on_damage: Callable[[], None]) -> _Known:
    reader = Reader(path, on_damage=on_damage)
    try:
        newest = {kind: next(iter(reader.query(_NEWEST, (kind,))), (0, "", "")) for kind in ("key", "head", "frozen")}
    finally:
        reader.close()
    head, day, signer = newest["head"]
    return _Known(key=newest["key"][1], head=head, day=day, signer=signer, frozen=newest["frozen"][0])
